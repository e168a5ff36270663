#!/usr/bin/env python3
"""Loads libperceive.so into Python's torch and checks its operators: torch.library.opcheck, gradcheck.

    python_check.py LIBRARY VERSION

VERSION is the libtorch that the library is built against; under another one its binary interface may differ. Exits with 77
(skipped) where this Python has no torch of it.
"""
import sys

SKIPPED = 77


def load_torch(version):
    try:
        import torch
    except ImportError as error:
        print(f"skipped: {sys.executable} cannot import torch ({error}); name another Python by -DPERCEIVE_PYTHON=")
        sys.exit(SKIPPED)
    if torch.__version__.split("+")[0] != version:
        print(f"skipped: {sys.executable} has torch {torch.__version__}, the library is built against {version}")
        sys.exit(SKIPPED)
    return torch


def attend_cases(torch, random):
    """The arguments of perceive::attend, by name of the case."""
    def arguments(mask=None, causal=False, dropout=0.0, key_heads=2):
        q, k, v = random(2, 2, 3, 4), random(2, key_heads, 5, 4), random(2, key_heads, 5, 3)
        return (q, k, v, mask, 0.5, causal, dropout, 7, 0, 0)

    some = torch.tensor([[True, True, False, True, False], [True, False, True, True, True]])
    return {"plain": arguments(), "mask": arguments(mask=some), "causal": arguments(causal=True),
            "dropout": arguments(dropout=0.4), "shared heads": arguments(key_heads=1)}


def attend_source_cases(torch, random):
    """Those of perceive::attend_source, for a grid of 3 x 2 keys."""
    def arguments(plan, biased=True, source_gradients=True, **options):
        values, axes = random(2, 6, 2), [random(3, 3), random(2, 2)]
        for tensor in (values, *axes):
            tensor.requires_grad_(source_gradients)
        width = 2 + 3 + 2
        biases = (random(8), random(6)) if biased else (None, None)
        mask = torch.tensor([[True] * 6, [True, False, True, True, False, True]]) if options.get("mask") else None
        return (random(2, 2, 3, 4), values, axes, mask, random(8, width), biases[0], random(6, width), biases[1],
                options.get("normalize", False), 1e-5, 2, plan, 0, 6, 0.5, False, options.get("dropout", 0.0), 7, 0, 0)

    plans = ["automatic", "separate", "absorb_keys", "absorb_values", "absorb"]
    cases = {plan: arguments(plan) for plan in plans}
    cases["separable"] = arguments("separable", source_gradients=False)
    cases["normalized"] = arguments("automatic", normalize=True)
    cases["mask, no bias"] = arguments("automatic", biased=False, mask=True)
    cases["dropout"] = arguments("automatic", dropout=0.4)
    return cases


def gradcheck(torch, operator, arguments):
    """gradcheck hands over tensors one by one: lists among the arguments are taken apart, and put together again."""
    tensors, places = [], []
    for place, argument in enumerate(arguments):
        for index, tensor in enumerate(argument if isinstance(argument, list) else [argument]):
            if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
                tensors.append(tensor)
                places.append((place, index))

    def function(*given):
        whole = [list(a) if isinstance(a, list) else a for a in arguments]
        for (place, index), tensor in zip(places, given):
            if isinstance(whole[place], list):
                whole[place][index] = tensor
            else:
                whole[place] = tensor
        return operator(*whole)

    torch.autograd.gradcheck(function, tensors)


def main(library, version):
    torch = load_torch(version)
    torch.ops.load_library(library)
    torch.manual_seed(3)
    torch.set_num_threads(1)  # the inputs are too small to share

    def random(*sizes):
        return torch.randn(*sizes, dtype=torch.float64, requires_grad=True)

    failures = 0
    for name, cases in (("attend", attend_cases), ("attend_source", attend_source_cases)):
        operator = getattr(torch.ops.perceive, name).default
        for case, arguments in cases(torch, random).items():
            for check, run in (("opcheck", lambda: torch.library.opcheck(operator, arguments)),
                               ("gradcheck", lambda: gradcheck(torch, operator, arguments))):
                try:
                    run()
                except Exception as error:  # all are reported, whatever they raise
                    failures += 1
                    print(f"{name}, {case}: {check} failed: {error}", file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
