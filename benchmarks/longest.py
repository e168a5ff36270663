"""The longest input, mapped from a file, that fits under a limit on a process's memory: perceive's and perceiver-pytorch's.

    longest.py PEER_JOB     run by the peers' Python: one pass of the peer over the mapped file

The limit is on data (setrlimit), which mapped files are not part of. The file has holes for numbers: it takes no disk.
"""
import json
import pathlib
import resource
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CHANNELS = 128
LIMIT = 8 << 30
GROWTH = 1.1  # the longest input is known to this factor


def make_input(path, length):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({length}, {CHANNELS}), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        file.truncate(file.tell() + 4 * length * CHANNELS)


def run(command, environment):
    """What it printed, or None where it did not get through."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))  # noqa: E731
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True,
                          preexec_fn=limit)
    return json.loads(done.stdout) if done.returncode == 0 else None


def longest_of_peer(peers, environment, model, folder, backward):
    """By doubling, then in steps of GROWTH."""
    path, python = folder / "peer.npy", peers / "venv" / "bin" / "python"

    def fits(length):
        make_input(path, length)
        job = {"packages": str(peers / "packages"), "model": str(model), "input": str(path), "backward": backward}
        return run([python, HERE / "longest.py", json.dumps(job)], environment) is not None

    length = 65536
    while fits(2 * length):
        length *= 2
    while fits(int(GROWTH * length)):
        length = int(GROWTH * length)
    return length


def rows(build, perceive, peers, environment, times):
    """For forward, and forward and backward: the peer's longest input, and perceive over `times` that."""
    with tempfile.TemporaryDirectory(prefix="perceive-bench-") as folder:
        folder = pathlib.Path(folder)
        for name in ("native", "perceiver_pytorch"):
            subprocess.run([str(perceive), "bench", "model", f"--preset={name}", f"--save={folder / name}"],
                           env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        for backward in (False, True):
            length = longest_of_peer(peers, environment, folder / "perceiver_pytorch", folder, backward)
            make_input(folder / "ours.npy", times * length)
            words = [build / "bench_mapped_model", folder / "native" / "model.json",
                     folder / "native" / "weights.safetensors", folder / "ours.npy"] + ["--backward"] * backward
            ours = run(words, environment)
            yield {"suite": "longest", "preset": "native", "pass": "forward_backward" if backward else "forward",
                   "length": times * length, "peer": "perceiver-pytorch", "version": "0.11.0", "ratio": None,
                   "label": f"{LIMIT >> 30} GB; the peer's longest: {length}", "seconds": ours and ours["seconds"],
                   "bytes": ours and ours["extra_bytes"], "note": "" if ours and ours["finite"] else "did not fit"}


def pass_of_peer(job):
    sys.path.insert(0, str(HERE / "peers"))
    sys.path.insert(0, str(HERE.parent / "tests" / "peers"))
    import modules
    import numpy
    import stand_ins
    import torch
    from safetensors.torch import load_file
    stand_ins.load(pathlib.Path(job["packages"]), "perceiver-pytorch", "0.11.0")
    model = pathlib.Path(job["model"])
    args = json.loads((model / "model.json").read_text())["args"]
    module = modules.perceiver_pytorch(args, load_file(model / "weights.safetensors"))
    data = torch.from_numpy(numpy.load(job["input"], mmap_mode="r"))[None]
    with torch.set_grad_enabled(job["backward"]):
        output = module(data)
        if job["backward"]:
            output.mean().backward()
    print("{}")


if __name__ == "__main__":
    pass_of_peer(json.loads(sys.argv[1]))
