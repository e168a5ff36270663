"""Holds perceive against one version of one package: a process of `check`, run by the environment's Python.

Reads what to do as JSON from standard input (run_worker of `check` writes it), writes a line of JSON for each configuration.
"""
import copy
import importlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import traceback
import warnings
import zipfile

import torch
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "tools")]
import stand_ins  # noqa: E402
from draw import Draw, shake  # noqa: E402
from export_torch import draw_cotangents, export, flat, gradients, name_outputs, _call  # noqa: E402

OUTPUTS = {torch.float32: 1e-5, torch.float64: 1e-10}  # absolute and relative
GRADIENTS = 10  # times that
# How much farther than the peer itself perceive may be from the float64 result, where the peer rounds by more than the above.
ROUNDING = 4


def draw_case(model_class, seed, version):
    draw = Draw(seed, version)
    way = draw.one_of(*model_class.float64) if draw.chance() else "float32"
    dtype = torch.float32 if way == "float32" else torch.float64
    torch.set_default_dtype(torch.float64 if way == "made" else torch.float32)
    case = model_class.draw(draw)
    if not any(tensor.is_floating_point() for tensor in case.module.state_dict().values()):
        dtype = torch.float32  # the precision follows the weights, and there are none
        torch.set_default_dtype(dtype)
    shake(case.module)
    case.module = case.module.train(not drops(case.args) and draw.chance(0.2)).to(dtype)
    case.inputs = {name: convert(value, dtype) for name, value in case.inputs.items() if value is not None}
    return case, dtype


def drops(args):
    """Whether training would be left to chance."""
    return any(drops(value) if isinstance(value, dict) else "drop" in name and value for name, value in args.items())


def convert(value, dtype):
    if isinstance(value, list):
        return [convert(item, dtype) for item in value]
    return value.to(dtype) if value is not None and value.is_floating_point() else value


def run(perceive, folder):
    """What perceive makes of the files, outputs and gradients by name, or its error message."""
    files = {"--model": "model.json", "--weights": "weights.safetensors", "--inputs": "inputs.safetensors",
             "--cotangents": "cotangents.safetensors", "--outputs": "outputs.safetensors", "--grads": "grads.safetensors"}
    words = [word for flag, name in files.items() for word in (flag, str(folder / name))]
    done = subprocess.run([perceive, "run", *words], capture_output=True, text=True)
    if done.returncode != 0:
        return None, f"exit {done.returncode}: {done.stderr.strip()}"
    return {**load_file(folder / "outputs.safetensors"), **load_file(folder / "grads.safetensors")}, None


def tolerance(name, dtype):
    return OUTPUTS[dtype] * (GRADIENTS if name.startswith(("inputs.", "weights.")) else 1)


def distance(actual, expected):
    """The largest difference in units of 1 + |expected|; infinite where one is NaN and the other is not."""
    if expected.numel() == 0:
        return 0.0
    actual, expected = actual.double(), expected.double()
    difference = (actual - expected).abs() / (1 + expected.abs())
    difference[(actual == expected) | (actual.isnan() & expected.isnan())] = 0.0
    return difference.nan_to_num(nan=float("inf")).max().item()


def in_float64(case):
    """The peer's results for the same weights and inputs in float64: how far its float32 results are off."""
    torch.set_default_dtype(torch.float64)
    module = copy.deepcopy(case.module).double()
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if isinstance(value, torch.Tensor):  # neither a parameter nor a buffer
                setattr(part, name, convert(value, torch.float64))
    leaves = {name: convert(value, torch.float64) for name, value in case.inputs.items()}
    for tensor in flat(leaves).values():
        tensor.requires_grad_(tensor.is_floating_point())
    outputs = name_outputs((case.call or _call)(module, leaves, case.forward_args), case.names)
    cotangents = {name: tensor.float().double() for name, tensor in draw_cotangents(outputs, seed=0).items()}
    return {**outputs, **gradients(outputs, cotangents, leaves, module)}


def compare(case, expected, actual, dtype):
    """Lists of disagreements and of tensors that the peer's own rounding excuses, and the largest differences."""
    wrong, rounded = [], []
    worst = {"outputs": 0.0, "gradients": 0.0}
    exact = None
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual or name not in expected:
            wrong.append(f"{name}: " + ("perceive gives none" if name not in actual else "the peer gives none"))
            continue
        if actual[name].shape != expected[name].shape or actual[name].dtype != expected[name].dtype:
            wrong.append(f"{name}: {list(actual[name].shape)} {actual[name].dtype} where the peer gives "
                         f"{list(expected[name].shape)} {expected[name].dtype}")
            continue
        off, allowed = distance(actual[name], expected[name]), tolerance(name, dtype)
        if off > allowed:
            text = f"{name}: {off:.2g} where {allowed:.0e} is allowed"
            if dtype == torch.float32:
                exact = exact or in_float64(case)
                peer, ours = distance(expected[name], exact[name]), distance(actual[name], exact[name])
                text += f"; from float64 the peer is off by {peer:.2g}, perceive by {ours:.2g}"
                if ours <= max(allowed, ROUNDING * peer):
                    rounded.append(text)
                    continue
            wrong.append(text)
        kind = "gradients" if name.startswith(("inputs.", "weights.")) else "outputs"
        worst[kind] = max(worst[kind], off)
    return wrong, rounded, worst


def round_trip(perceive, folder, module, extra_weights):
    """Weights that perceive has written, loaded into the peer's module again: the same bits under the same names."""
    wrong = []
    for suffix in ("safetensors", "pt"):
        path = folder / f"converted.{suffix}"
        done = subprocess.run([perceive, "convert", str(folder / "weights.safetensors"), str(path)], capture_output=True)
        if suffix == "pt" and not zipfile.is_zipfile(path):
            continue  # a build that does not write these yet
        if done.returncode != 0:
            wrong.append(f"convert to {suffix}: {done.stderr.decode().strip()}")
            continue
        tensors = load_file(path) if suffix == "safetensors" else torch.load(path, weights_only=True)
        tensors = {name: tensor for name, tensor in tensors.items() if name not in extra_weights}
        before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
        module.load_state_dict(tensors, strict=True)
        wrong += [f"convert to {suffix}: {name} has changed" for name, tensor in module.state_dict().items()
                  if not torch.equal(tensor, before[name])]
    return wrong


def check(job, name, model_class, index):
    label = f"{name}-{job['version']}-{index}"
    folder = pathlib.Path(job["folder"]) / label
    result = {"class": name, "version": job["version"], "index": index, "wrong": [], "rounded": []}
    case, dtype = draw_case(model_class, f"{job['seed']}/{label}", job["version"])
    result["args"], result["dtype"] = case.args, str(dtype).removeprefix("torch.")
    result["inputs"] = {key: list(value.shape) for key, value in flat(case.inputs).items()}
    result["forward_args"] = case.forward_args
    expected = export(case.module, name, job["version"], case.args, case.inputs, folder, case.forward_args,
                      call=case.call, names=case.names, extra_weights=case.extra_weights, quiet=True)
    actual, refusal = run(job["perceive"], folder)
    if refusal:
        result["wrong"].append(refusal)
    else:
        result["wrong"], result["rounded"], result["worst"] = compare(case, expected, actual, dtype)
    if index % 5 == 0:
        result["wrong"] += round_trip(job["perceive"], folder, case.module, case.extra_weights)
    if not result["wrong"] and not job["keep"]:
        shutil.rmtree(folder)
    return result


def indices_of(job, name):
    """The configurations of a class, which are shared out among the versions that serve it: those for this version."""
    served = [version for version in job["versions"] if version in job["known"].get(name, ())]
    if job["version"] not in served:
        return []
    wanted = range(job["configurations"]) if job["index"] is None else [job["index"]]
    return [index for index in wanted if index % len(served) == served.index(job["version"])]


def plan(job, classes):
    """The configurations of each class, and what is to be said about classes that are left out."""
    wanted = [name for name in classes if re.search(job["classes"], name)]
    messages = []
    if job["version"] == job["versions"][0]:
        messages += [f"{name}: not in this build of perceive" for name in wanted if name not in job["known"]]
        messages += [f"{name}: nothing draws configurations of it yet" for name in job["known"]
                     if name not in classes and re.search(job["classes"], name)]
    planned = {name: indices_of(job, name) for name in wanted}
    count = sum(map(len, planned.values()))
    return planned, messages + [f"{job['package']} {job['version']}: {count} configurations"] * (count > 0)


def main():
    job = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a package prints goes to standard error

    def answer(**result):
        print(json.dumps(result), file=answers, flush=True)

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    stand_ins.load(pathlib.Path(job["packages"]), job["package"], job["version"])
    classes = importlib.import_module("generators." + job["package"].replace("-", "_")).CLASSES
    planned, messages = plan(job, classes)
    for message in messages:
        answer(message=message)
    for name, indices in planned.items():
        for index in indices:
            try:
                answer(**check(job, name, classes[name], index))
            except Exception:  # the generator or the peer: reported like a disagreement
                answer(**{"class": name, "version": job["version"], "index": index, "wrong": [traceback.format_exc()]})


if __name__ == "__main__":
    main()
