"""perceive and a peer in turns: the same model, the same numbers, a pass of one and then a pass of the other."""
import json
import pathlib
import statistics
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
# Outputs of both, in units of 1 + |output|, of sums of very many float32 terms. What differs by more is not compared.
TOLERANCE = 1e-4


class Failed(Exception):
    """Why a side has nothing to show."""


class Side:
    """A process that writes a line when it is ready, and one for each line that it is given."""

    def __init__(self, command, environment):
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen([str(word) for word in command], env=environment, text=True, stderr=self.errors,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def hear(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.errors.seek(0)
        said = [text.strip() for text in self.errors if text.strip()]
        raise Failed(f"ended by signal {-code}, as for want of memory" if code < 0
                     else said[-1] if said else f"exit code {code}")

    def again(self):
        try:
            self.process.stdin.write("again\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # hear() tells why
        return self.hear()["seconds"]

    def end(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def ours(perceive, case, folder, environment, threads):
    words = [perceive, "bench", "model", f"--preset={case['preset']}", f"--pass={case['pass']}", f"--threads={threads}"]
    words += [f"--{name}={case[name]}" for name in ("length", "batch") if case.get(name)]
    words += ["--input_gradients"] * case["input_gradients"]
    words += [f"--args={json.dumps(case['args'])}"] * bool(case.get("args"))
    return Side(words + [f"--save={folder}"] * bool(case.get("peer")), environment)


def theirs(peers, case, folder, environment, threads):
    job = {"packages": str(peers / "packages"), "package": case["peer"], "version": case["version"],
           "folder": str(folder), "pass": case["pass"], "input_gradients": case["input_gradients"], "threads": threads}
    return Side([peers / "venv" / "bin" / "python", HERE / "peers" / "worker.py", json.dumps(job)], environment)


def take_turns(case, perceive, peers, environment, threads):
    """A row of results; `note` says why a figure is missing."""
    with tempfile.TemporaryDirectory(prefix="perceive-bench-") as folder:
        row, sides = dict(case, note=""), []
        try:
            sides.append(ours(perceive, case, folder, environment, threads))
            first = sides[0].hear()
            row.update(parameters=first["parameters"], batch=first["items"], bytes=first["extra_bytes"])
            seconds, peer_seconds = [], []
            try:
                if case.get("peer"):
                    sides.append(theirs(peers, case, folder, environment, threads))
                    row.update(meet(sides[1], row))
            except Failed as reason:
                row["note"] = f"missing: {reason}"
            compared = len(sides) == 2 and not row["note"]
            for _ in range(case["repeats"]):
                seconds.append(sides[0].again())
                if compared:
                    peer_seconds.append(sides[1].again())
            row.update(seconds=min(seconds), median_seconds=statistics.median(seconds))
            if compared:
                row.update(peer_seconds=min(peer_seconds), peer_median_seconds=statistics.median(peer_seconds),
                           ratio=min(peer_seconds) / min(seconds))
        except Failed as reason:
            row["note"] = f"perceive: {reason}"
        finally:
            for side in sides:
                side.end()
        return row


def meet(peer, row):
    """What the peer says of its first pass; its outputs must be ours."""
    first = peer.hear()
    if not first["difference"] <= TOLERANCE:
        raise Failed(f"refused: outputs differ by {first['difference']:.1g}, {TOLERANCE:.0e} is allowed")
    return {"difference": first["difference"], "peer_bytes": first["extra_bytes"], "torch": first["torch"],
            "bytes_ratio": first["extra_bytes"] / row["bytes"] if row["bytes"] else None}
