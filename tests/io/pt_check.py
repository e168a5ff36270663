#!/usr/bin/env python3
"""Opens a checkpoint that perceive wrote, by torch.load(weights_only=True), for tests/io/tensors_pt_test.cpp.

    pt_check.py FILE

Exits with 77 (skipped) where this Python has no torch.
"""
import sys

try:
    import torch
except ImportError as error:
    print(f"skipped: {sys.executable} cannot import torch ({error}); name another Python by -DPERCEIVE_PYTHON=")
    sys.exit(77)

for mapped in (False, True):
    content = torch.load(sys.argv[1], weights_only=True, mmap=mapped)
    assert content["epoch"] == "3", content
    tensors = content["state_dict"]
    base = torch.arange(1.0, 13.0).reshape(3, 4)
    for name, expected in {"base": base, "tied": base, "transposed": base.t(), "part": base[:, 1:4:2]}.items():
        assert torch.equal(tensors[name], expected), name
        assert tensors[name].stride() == expected.stride(), name
        assert tensors[name].untyped_storage().data_ptr() == tensors["base"].untyped_storage().data_ptr(), name
    names = ["bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16",
             "float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"]
    for name in names:
        numbers = torch.arange(1, 7).reshape(2, 3)
        expected = numbers % 2 == 1 if name == "bool" else numbers.to(getattr(torch, name))
        assert tensors[name].dtype == expected.dtype, name
        assert tensors[name].tolist() == expected.tolist(), name
    assert tensors["empty"].shape == (0, 3) and tensors["scalar"].item() == 7
    assert len(tensors) == len(names) + 6, sorted(tensors)
