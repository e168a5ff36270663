"""The pictures of docs/benchmarks.md, from the rows of a CSV: plots.py CSV. Needs matplotlib, which tools/peers installs.

Sizes are such that the letters can be read at half of a page's width; colours are those of Okabe and Ito, which are told
apart without seeing red or green, and each line has a mark of its own as well.
"""
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator  # noqa: E402

from results_file import MEBI, of, read, slope  # noqa: E402

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2",
                                                       "#D55E00", "#CC79A7")
STYLES = {"perceiver-pytorch": (BLUE, "o"), "flash-perceiver": (RED, "s"), "transformers": (GREEN, "^")}
STEADY = 16384  # from this length on the input counts, not the latents
plt.rcParams.update({"font.size": 15, "figure.figsize": (9, 5.4), "figure.dpi": 100, "axes.grid": True,
                     "grid.color": "#d0d0d0", "lines.linewidth": 2.5, "lines.markersize": 9, "axes.axisbelow": True,
                     "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})


def short(number, _=None):
    for unit, name in ((2**20, "Mi"), (2**10, "Ki")):
        if number >= unit and number % unit == 0:
            return f"{number / unit:.0f} {name}"
    return f"{number:g}"


def lengths_axis(axes, lengths):
    axes.set_xscale("log", base=2)
    ticks = sorted(set(lengths))
    axes.xaxis.set_major_locator(FixedLocator(ticks if len(ticks) <= 8 else ticks[::2] + ticks[-1:]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(short))
    axes.set_xlabel("length of the input, tokens")


def log_axis(axes, steps=(1, 2, 5)):
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def legend_below(axes, columns=2):
    axes.legend(fontsize=12, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns)


def over_length(rows, column, title, label):
    """A line a peer: solid for forward and backward, dashed for forward alone."""
    figure, axes = plt.subplots()
    for peer, (colour, mark) in STYLES.items():
        for kind, dash, name in (("forward_backward", "-", "forward + backward"), ("forward", ":", "forward")):
            points = [(row["length"], row[column]) for row in of(rows, suite="perceiver", peer=peer, **{"pass": kind})
                      if row[column]]
            if points:
                axes.plot(*zip(*points), dash, color=colour, marker=mark, label=f"{peer}, {name}")
    axes.axhline(1, color=BLACK, linewidth=1.5)
    lengths_axis(axes, [row["length"] for row in of(rows, suite="perceiver")])
    log_axis(axes, (1, 1.5, 2, 3, 5, 7))
    axes.set(title=title, ylabel=label)
    legend_below(axes)
    return figure


def speed(rows):
    return over_length(rows, "ratio", "perceive beside other Perceivers: speed", "times as fast as the peer")


def memory(rows):
    return over_length(rows, "bytes_ratio", "perceive beside other Perceivers: memory", "times less memory than the peer")


def growth(rows):
    """Seconds over length, log-log, with the slope of the long inputs; the longest peer beside it."""
    figure, axes = plt.subplots()
    for kind, dash, name in (("forward_backward", "-", "forward + backward"), ("forward", ":", "forward")):
        for who, colour, mark, chosen, seconds in (
                ("perceive", ORANGE, "D", of(rows, suite="growth", **{"pass": kind}), "seconds"),
                ("perceiver-pytorch", BLUE, "o",
                 of(rows, suite="perceiver", peer="perceiver-pytorch", **{"pass": kind}), "peer_seconds")):
            points = [(row["length"], row[seconds]) for row in chosen if row[seconds]]
            if not points:
                continue
            steep = slope(points, STEADY)
            axes.plot(*zip(*points), dash, color=colour, marker=mark,
                      label=f"{who}, {name}" + (f": slope {steep:.2f}" if steep else ""))
    lengths_axis(axes, [row["length"] for row in of(rows, suite="growth")])
    log_axis(axes, (1,))
    axes.set(title="Time over length (slope from 16 Ki tokens on)", ylabel="seconds a pass")
    legend_below(axes)
    return figure


def bars(axes, groups, series, unit):
    """series: (name, colour, hatch, values), a value a group; None is left out."""
    width = 0.8 / len(series)
    for i, (name, colour, hatch, values) in enumerate(series):
        places = [group + (i - (len(series) - 1) / 2) * width for group in range(len(groups))]
        drawn = axes.bar(places, [value or 0 for value in values], width, color=colour, hatch=hatch, label=name,
                         edgecolor="white", linewidth=0.5)
        axes.bar_label(drawn, [unit(value) if value else "" for value in values], fontsize=11, padding=2)
    axes.set_xticks(range(len(groups)), groups)
    axes.grid(False, axis="x")
    axes.margins(y=0.15)
    legend_below(axes)


def peak(rows):
    """Share of the machine's multiply-adds, of the operator and of libtorch's way, by shape."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5.4), sharey=True)
    for axes, what in ((left, "attend forward"), (right, "attend backward")):
        chosen = of(rows, suite="attention", peer="sdpa", **{"pass": what})
        series = [(name, colour, hatch, [row[column] and 100 * row[column] for row in chosen])
                  for name, colour, hatch, column in (("perceive", ORANGE, "", "share_of_peak"),
                                                      ("libtorch's attention", SKY, "//", "peer_share_of_peak"))]
        bars(axes, [row["preset"] for row in chosen], series, lambda value: f"{value:.0f}")
        axes.axhline(100, color=BLACK, linewidth=1)
        axes.set(title=what.replace("attend", "attention,"), xlabel="shape")
    left.set_ylabel("% of the peak of multiply-adds")
    return figure


def linformer(rows):
    """Memory by checkpoint level, at the longest length."""
    chosen = [row for row in of(rows, suite="linformer") if row["length"] == max(
        each["length"] for each in of(rows, suite="linformer"))]
    figure, axes = plt.subplots()
    series = [("perceive", ORANGE, "", [row["bytes"] and row["bytes"] / MEBI for row in chosen]),
              ("linformer-pytorch 0.19.3", PURPLE, "//", [row["peer_bytes"] and row["peer_bytes"] / MEBI for row in chosen])]
    bars(axes, [row["label"] for row in chosen], series, lambda value: f"{value:.0f}")
    axes.set(title=f"Linformer, {short(chosen[0]['length'])} tokens, forward + backward", xlabel="checkpoint level",
             ylabel="MiB above weights,\ngradients and input")
    return figure


def buckets(rows):
    figure, axes = plt.subplots()
    for kind, dash in (("forward_backward", "-"), ("forward", ":")):
        chosen = of(rows, suite="buckets", **{"pass": kind})
        for who, colour, mark, column in (("perceive", ORANGE, "D", "seconds"), ("zeta", PURPLE, "v", "peer_seconds")):
            points = [(row["label"].replace("x", " x "), 1e3 * row[column]) for row in chosen if row[column]]
            axes.plot(*zip(*points), dash, color=colour, marker=mark,
                      label=f"{who}, {'forward + backward' if dash == '-' else 'forward'}")
    length = of(rows, suite="buckets")[0]["length"]
    log_axis(axes)
    axes.set(title=f"FlashAttentionTwo, {short(length)} tokens, 8 heads of 64", xlabel="bucket sizes, queries x keys",
             ylabel="ms a pass")
    legend_below(axes)
    return figure


# By the suite that each needs.
PICTURES = {"speed": ("perceiver", speed), "memory": ("perceiver", memory), "growth": ("growth", growth),
            "peak": ("attention", peak), "linformer": ("linformer", linformer), "buckets": ("buckets", buckets)}


def main():
    path = pathlib.Path(sys.argv[1])
    rows = read(path)
    for name, (suite, draw) in PICTURES.items():
        if of(rows, suite=suite):
            figure = draw(rows)
            figure.savefig(path.with_name(f"{path.stem}-{name}.png"), bbox_inches="tight")
            plt.close(figure)


if __name__ == "__main__":
    main()
