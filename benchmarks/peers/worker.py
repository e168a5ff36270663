"""One peer's model as a process that takes turns with `perceive bench model`, whose protocol it speaks.

    worker.py JOB       JSON: packages, package, version, folder, pass, input_gradients, threads

`folder` is what `perceive bench model --save` has written: the model, its weights, inputs and outputs. The first pass
counts the memory and is held against these outputs; then there is one pass for every line of standard input.
"""
import ctypes
import json
import pathlib
import sys
import time
import warnings

import torch
import torch._dynamo  # by itself at the first checkpoint or step of an optimizer, whose memory is not the import's
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "tests" / "peers")]
import modules  # noqa: E402
import stand_ins  # noqa: E402


def load(path):
    """Into memory of its own: a mapped file would be read, and counted, during the first pass."""
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def status(line):
    with open("/proc/self/status") as file:
        return next(1024 * int(row.split()[1]) for row in file if row.startswith(line + ":"))


def restart_peak_memory():
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


class Pass:
    """As perceive's: gradients have their memory beforehand, the loss is the output's mean, the optimizer AdamW."""

    def __init__(self, kind, module, inputs, input_gradients):
        self.kind, self.module, self.inputs = kind, module, list(inputs.values())
        self.optimizer = None
        if kind == "forward":
            return
        leaves = list(module.parameters()) + [tensor.requires_grad_() for tensor in self.inputs if input_gradients]
        for leaf in leaves:
            leaf.grad = torch.zeros_like(leaf)
        if kind == "training_step":
            self.optimizer = torch.optim.AdamW(module.parameters())

    def run(self):
        with torch.set_grad_enabled(self.kind != "forward"):
            if self.optimizer:
                self.optimizer.zero_grad(set_to_none=False)
            output = self.module(*self.inputs)
            if self.kind != "forward":
                output.mean().backward()
            if self.optimizer:
                self.optimizer.step()
        return output.detach()


def difference(actual, expected):
    """The largest difference in units of 1 + |expected|; infinite for NaN and for another shape."""
    if actual.shape != expected.shape:
        return float("inf")
    apart = (actual.double() - expected.double()).abs() / (1 + expected.double().abs())
    return apart.nan_to_num(nan=float("inf")).max().item()


def main():
    job = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    torch.set_num_threads(job["threads"])
    folder = pathlib.Path(job["folder"])
    stand_ins.load(pathlib.Path(job["packages"]), job["package"], job["version"])
    description = json.loads((folder / "model.json").read_text())
    make = getattr(modules, job["package"].replace("-", "_"))
    work = Pass(job["pass"], make(description.get("args", {}), load(folder / "weights.safetensors")),
                load(folder / "inputs.safetensors"), job["input_gradients"])
    before = restart_peak_memory()
    output = work.run()
    peak = status("VmHWM")
    apart = difference(output, load(folder / "outputs.safetensors")["output"])
    print(json.dumps({"torch": torch.__version__, "difference": apart, "extra_bytes": max(0, peak - before),
                      "peak_bytes": peak}), flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        work.run()
        print(json.dumps({"seconds": time.perf_counter() - begin}), flush=True)


if __name__ == "__main__":
    main()
