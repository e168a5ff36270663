"""Writes a live torch module, its inputs and its results as files that `perceive run` reads.

In your own Python, with torch and safetensors only:

    from export_torch import export                       # this file, next to yours or on sys.path

    model = flash_perceiver.Perceiver(input_dim=6, depth=2, output_dim=3, output_mode="average", use_flash_attn=False)
    export(model.eval(), "flash_perceiver.Perceiver", "0.2.0",
           {"input_dim": 6, "depth": 2, "output_dim": 3, "use_flash_attn": False},      # the constructor's arguments
           {"data": torch.randn(2, 5, 6), "mask": torch.ones(2, 5, dtype=torch.bool)},  # those of forward()
           "exported")

and then, without Python, the command that this prints:

    perceive run --model exported/model.json --weights exported/weights.safetensors \\
                 --inputs exported/inputs.safetensors --cotangents exported/cotangents.safetensors \\
                 --check exported/expected.safetensors

It tells for each output and each gradient whether perceive agrees (1e-5 in float32, 1e-10 in float64; gradients ten times
that). `perceive models` lists the classes, `perceive models CLASS` their arguments.

    model.json              class, version, arguments; the scalars and flags of forward()
    weights.safetensors     the state_dict; tensors that are tied appear under each of their names
    inputs.safetensors      the tensors of forward(), a list as data.0, data.1, …
    cotangents.safetensors  a random tensor for each output, from which the gradients start
    expected.safetensors    outputs by name, gradients as inputs.NAME and weights.NAME; none where torch gives none
"""
import inspect
import json
import pathlib

import torch
from safetensors.torch import save_file


def export(module, class_name, version, args, inputs, folder, forward_args=None, grads=True, call=None, names=None,
           extra_weights=None, seed=0, quiet=False):
    """Runs `module` on `inputs` and writes the files into `folder`; returns the expected tensors by name.

    inputs        tensors by forward()'s argument names; a list of tensors (and of None) where forward() takes one
    forward_args  the scalars and flags among forward()'s arguments
    grads         whether to run backward as well
    call          call(module, inputs, forward_args), where module(**inputs, **forward_args) is not what is meant
    names         what the parts of a tuple are called; by default one tensor is "output"
    extra_weights tensors that the model needs but its state_dict lacks, by attribute path
    seed          of the cotangents
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    description = {"class": class_name, "version": version, "args": args}
    if forward_args:
        description["args_forward"] = forward_args
    if module.training:
        description["train"] = True
    (folder / "model.json").write_text(json.dumps(description, indent=2, default=_plain) + "\n")
    save(folder / "weights.safetensors", {**module.state_dict(), **(extra_weights or {})})

    leaves = {name: _leaf(value, grads) for name, value in inputs.items() if value is not None}
    save(folder / "inputs.safetensors", flat(leaves))
    with torch.set_grad_enabled(grads):
        outputs = name_outputs((call or _call)(module, leaves, forward_args or {}), names)
    expected = dict(outputs)
    if grads:
        cotangents = draw_cotangents(outputs, seed)
        save(folder / "cotangents.safetensors", cotangents)
        expected.update(gradients(outputs, cotangents, leaves, module))
    save(folder / "expected.safetensors", expected)
    if not quiet:
        print(command(folder, grads))
    return {name: tensor.detach() for name, tensor in expected.items()}


def command(folder, grads=True, program="perceive"):
    files = f"--model {folder}/model.json --weights {folder}/weights.safetensors --inputs {folder}/inputs.safetensors"
    if grads:
        files += f" --cotangents {folder}/cotangents.safetensors"
    return f"{program} run {files} --check {folder}/expected.safetensors"


def save(path, tensors):
    """Each tensor by itself and contiguous: safetensors refuses memory that is shared, and strides."""
    save_file({name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
               for name, tensor in tensors.items()}, path)


def flat(arguments):
    """A list as NAME.0, NAME.1, …, without numbers where it holds None."""
    tensors = {}
    for name, value in arguments.items():
        if isinstance(value, (list, tuple)):
            tensors.update({f"{name}.{i}": item for i, item in enumerate(value) if item is not None})
        elif value is not None:
            tensors[name] = value
    return tensors


def name_outputs(result, names=None):
    if isinstance(result, torch.Tensor):
        return {"output": result}
    if isinstance(result, dict):
        return flat(result)
    if names is None or len(names) != len(result):
        raise ValueError(f"forward() returned a tuple of {len(result)}: name its parts, such as "
                         'names=("output", "hiddens")')
    return flat(dict(zip(names, result)))


def draw_cotangents(outputs, seed):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor)
            for name, tensor in outputs.items() if tensor.is_floating_point()}


def gradients(outputs, cotangents, leaves, module):
    roots = {name: outputs[name] for name in cotangents if outputs[name].requires_grad}
    wanted = {f"inputs.{name}": tensor for name, tensor in flat(leaves).items() if tensor.requires_grad}
    # A tied parameter comes once, under its first name.
    wanted.update({f"weights.{name}": p for name, p in module.named_parameters() if p.requires_grad})
    if not roots or not wanted:
        return {}
    found = torch.autograd.grad(list(roots.values()), list(wanted.values()), [cotangents[name] for name in roots],
                                allow_unused=True)
    return {name: gradient for name, gradient in zip(wanted, found) if gradient is not None}


def _leaf(value, grads):
    if isinstance(value, (list, tuple)):
        return [_leaf(item, grads) for item in value]
    if value is None:
        return None
    return value.detach().clone().requires_grad_(grads and value.is_floating_point())


def _call(module, inputs, forward_args):
    names = list(inspect.signature(module.forward).parameters)
    if "x" in inputs and "x" not in names:  # `x` stands for the first argument
        inputs = dict(inputs)
        return module(inputs.pop("x"), **inputs, **forward_args)
    return module(**inputs, **forward_args)


def _plain(value):
    """What json does not know: tensors, numpy's numbers, dataclasses' tuples."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"args: {value!r} of type {type(value).__name__} has no place in a JSON file")
