"""Checkpoints of torch.save for tests/io/pt_test.cpp and tests/io/tensors_pt_test.cpp, with the classes of others in them.

Written with torch 2.15.0:  python make_pt.py   (into pt/, beside this file)
"""

import argparse
import collections
import enum
import pathlib
import zipfile

import torch

FOLDER = pathlib.Path(__file__).parent / "pt"


class Monitor(enum.Enum):
    LOSS = "loss"


class AttributeDict(dict):
    pass


class Callback:
    def __init__(self):
        self.best = torch.ones(2)


def filled(dtype, *shape):
    numbers = torch.arange(1, 1 + torch.Size(shape).numel()).reshape(shape)
    return (numbers % 2 == 1) if dtype == torch.bool else numbers.to(dtype)


def save(name, value, **options):
    torch.save(value, FOLDER / name, **options)


def deflate(source, name):
    with zipfile.ZipFile(FOLDER / source) as old, zipfile.ZipFile(FOLDER / name, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.namelist():
            new.writestr(item, old.read(item))


def main():
    FOLDER.mkdir(exist_ok=True)
    names = ["bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16",
             "float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"]
    save("dtypes.pt", {name: filled(getattr(torch, name), 2, 3) for name in names})

    layer = torch.nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(filled(torch.float32, 2, 3))
        layer.bias.copy_(filled(torch.float32, 2))
    for protocol in (2, 3, 4, 5):
        save(f"linear_protocol{protocol}.pt", layer.state_dict(), pickle_protocol=protocol)  # an OrderedDict with state
    deflate("linear_protocol2.pt", "deflated.pt")

    base = filled(torch.float32, 3, 4)
    save("views.pt", {"base": base, "transposed": base.t(), "row": base[1], "columns": base[:, 1:4:2],
                      "expanded": filled(torch.float32, 3, 1)[1:2].expand(2, 5), "empty": torch.zeros(0, 3),
                      "scalar": torch.tensor(7.0), "tied": base})

    marked = torch.nn.Parameter(filled(torch.float32, 2))
    marked.decay = False
    save("parameters.pt", {"plain": torch.nn.Parameter(filled(torch.float32, 3)), "marked": marked,
                           "inner": {"weight": filled(torch.int64, 2), "list": [filled(torch.int64, 1), 5]}})

    callback = Callback()
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(filled(torch.float32, 1, 3)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        layer.weight.copy_(filled(torch.float32, 2, 3))
    save("lightning.ckpt", {
        "epoch": 3, "global_step": 1 << 40, "pytorch-lightning_version": "2.5.0",
        "state_dict": collections.OrderedDict((f"model.{k}", v) for k, v in layer.state_dict().items()),
        "callbacks": {"Best": {"monitor": Monitor.LOSS, "callback": callback}},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{"milestones": collections.Counter([3, 4]), "last_lr": [1e-3]}],
        "hyper_parameters": AttributeDict(lr=0.25, sizes=torch.Size([2, 3]), dtype=torch.bfloat16,
                                          device=torch.device("cpu"), names={"a"}, none=None, flag=True,
                                          args=argparse.Namespace(seed=2**70, raw=b"\x00\xff"))})

    save("unknown_class.pt", {"weight": filled(torch.float32, 2), "extra": argparse.Namespace(a=1)})
    save("sparse.pt", {"weight": torch.eye(2).to_sparse()})
    save("conjugated.pt", {"weight": filled(torch.complex64, 2).conj()})
    save("module.pt", layer)
    save("tensor.pt", filled(torch.float32, 2))
    save("legacy.pt", {"weight": filled(torch.float32, 2)}, _use_new_zipfile_serialization=False)
    torch.jit.script(layer).save(str(FOLDER / "script.pt"))
    with zipfile.ZipFile(FOLDER / "linear_protocol2.pt") as old, zipfile.ZipFile(FOLDER / "big_endian.pt", "w") as new:
        for item in old.namelist():
            new.writestr(item, b"big" if item.endswith("/byteorder") else old.read(item))


if __name__ == "__main__":
    main()
