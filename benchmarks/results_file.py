"""The rows of a CSV that benchmarks/run has written; what is a number there is one here, what is empty is None."""
import csv
import math

NUMBERS = ("length", "batch", "ratio", "bytes_ratio", "seconds", "peer_seconds", "bytes", "peer_bytes", "share_of_peak",
           "peer_share_of_peak", "peak_gflops", "read_gigabytes", "threads", "quick")
MEBI = 2**20


def read(path):
    with open(path, newline="") as file:
        return [{name: (float(text) if name in NUMBERS else text) if text else None for name, text in row.items()}
                for row in csv.DictReader(file)]


def of(rows, **wanted):
    """Rows with these values; a set of values stands for any of them."""
    return [row for row in rows
            if all(row[name] in value if isinstance(value, set) else row[name] == value for name, value in wanted.items())]


def slope(points, least):
    """Of log y over log x by least squares, over x >= least; None of fewer than two points."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x >= least]
    if len(logs) < 2:
        return None
    mean_x, mean_y = (sum(values) / len(logs) for values in zip(*logs))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)
