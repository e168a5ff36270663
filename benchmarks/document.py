"""The pictures and tables of docs/benchmarks.md, between its markers, from the rows of a CSV."""
import os

from results_file import MEBI, of, read

BEGIN, END = "<!-- tables: written by benchmarks/run -->\n", "<!-- end of tables -->"
NAMES = {"forward": "forward", "forward_backward": "forward, backward", "training_step": "training step"}
# What the project set out for, against the peer of the same row: pass, length, the column, the least value.
TARGETS = (("perceiver", "forward_backward", 1024, "ratio", 1.25), ("perceiver", "forward_backward", 16384, "ratio", 1.6),
           ("perceiver", "forward_backward", 65536, "ratio", 2.5),
           ("perceiver", "forward_backward", 16384, "bytes_ratio", 3), ("perceiver", "forward_backward", 65536, "bytes_ratio", 6),
           ("mnist", "training_step", None, "ratio", 2.5))
PICTURES = {"speed": "Speed beside other Perceivers, over the input's length",
            "memory": "Memory beside other Perceivers, over the input's length", "growth": "Time over length, with slopes",
            "peak": "Share of the peak of multiply-adds, by shape", "linformer": "A Linformer's memory by checkpoint level",
            "buckets": "FlashAttentionTwo over bucket sizes"}
LONGEST = 50  # times the peer's
TARGET_PEERS = {"perceiver": "perceiver-pytorch", "mnist": "perceiver-io"}


def duration(seconds):
    if seconds is None:
        return ""
    if seconds >= 100:
        return f"{seconds:,.0f} s"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} µs"


def mebibytes(number):
    return "" if number is None else f"{number / MEBI:,.0f}" if number >= 10 * MEBI else f"{number / MEBI:.1f}"


def ratio(number):
    return "" if number is None else f"{number:.2f}"


def table(head, lines):
    """Empty where there is no line."""
    def row(cells):
        return "| " + " | ".join(cells) + " |\n"
    return row(head) + row(["---"] * len(head)) + "".join(map(row, lines)) + "\n" if lines else ""


def length_of(row):
    return f"{row['length']:,.0f}" if row["length"] else f"batch {row['batch']:.0f}"


def beside(rows, first=length_of, title="length"):
    """Ours and a peer's, a row a case."""
    lines = []
    for row in rows:
        if row["ratio"] is None:
            lines.append([first(row), NAMES.get(row["pass"], row["pass"]), duration(row["seconds"]), row["note"] or "", "",
                          mebibytes(row["bytes"]), "", ""])
            continue
        lines.append([first(row), NAMES.get(row["pass"], row["pass"]), duration(row["seconds"]),
                      duration(row["peer_seconds"]), f"**{ratio(row['ratio'])}**", mebibytes(row["bytes"]),
                      mebibytes(row["peer_bytes"]), f"**{ratio(row['bytes_ratio'])}**"])
    return table([title, "pass", "perceive", "peer", "times as fast", "perceive, MiB", "peer, MiB", "times less"], lines)


def targets(rows):
    lines = []
    for suite, kind, length, column, least in TARGETS:
        found = of(rows, suite=suite, length=length, peer=TARGET_PEERS[suite], **{"pass": kind})
        measured = found[0][column] if found else None
        what = f"{TARGET_PEERS[suite]}, {NAMES[kind]}" + (f", N = {length:,}" if length else ", batch 64")
        unit = "times as fast" if column == "ratio" else "times less memory"
        lines.append([what, f"{least} {unit}", "not measured" if measured is None else ratio(measured),
                      "" if measured is None else "met" if measured >= least else "missed"])
    for row in of(rows, suite="longest"):
        of_peer = int(row["label"].split(": ")[-1])
        reached = not row["note"] and row["length"] >= LONGEST * of_peer
        lines.append([f"longest input under {row['label'].split(';')[0]}, {NAMES[row['pass']]}",
                      f"{LONGEST} times the peer's ({of_peer:,} tokens)",
                      row["note"] or f"{row['length']:,.0f} tokens in {duration(row['seconds'])}, "
                      f"{mebibytes(row['bytes'])} MiB", "met" if reached else "missed" if row["note"] else ""])
    return table(["against", "target", "measured", ""], lines)


def attention(rows):
    lines = [[row["preset"], row["pass"] + (f" ({row['label']})" if row["label"] else ""), duration(row["seconds"]),
              "" if row["share_of_peak"] is None else f"{row['share_of_peak']:.0%}", row["peer"],
              "" if row["peer_share_of_peak"] is None else f"{row['peer_share_of_peak']:.0%}", ratio(row["ratio"])]
             for row in of(rows, suite="attention", peer={"sdpa", "composed"})]
    return table(["shape", "what", "perceive", "of peak", "libtorch's", "of peak", "times as fast"], lines)


def growth(rows):
    lines = [[length_of(row), NAMES[row["pass"]], duration(row["seconds"]), mebibytes(row["bytes"])]
             for row in of(rows, suite="growth")]
    return table(["length", "pass", "time", "MiB"], lines)


def slower(rows):
    """Every row in which the peer is ahead, in time or in memory."""
    lines = []
    for row in rows:
        # A row of two small figures of memory says nothing: libraries take some MiB at their first use.
        more = row["bytes_ratio"] is not None and row["bytes_ratio"] < 0.98
        if (row["ratio"] is not None and row["ratio"] < 0.98) or more:
            what = [row["suite"], row["preset"] if row["suite"] == "attention" else "", row["label"] or "",
                    f"N = {row['length']:,.0f}" if row["length"] else "", NAMES.get(row["pass"], row["pass"])]
            lines.append([row["peer"], ", ".join(word for word in what if word), ratio(row["ratio"]),
                          ratio(row["bytes_ratio"])])
    return table(["peer", "where", "times as fast", "times less memory"], lines) or "Nowhere in this run.\n\n"


def missing(rows):
    lines = sorted({(row["peer"], row["suite"], row["note"]) for row in rows if row["note"] and row["peer"]})
    return table(["peer", "where", "why"], lines) or "Every peer ran, and gave the same numbers.\n\n"


def machine(row):
    return (f"Machine: {row['instructions'].upper()}, {row['threads']:.0f} threads, {row['peak_gflops']:.0f} GFLOP/s of float32 "
            f"multiply-adds, {row['read_gigabytes']:.0f} GB/s read from memory. Measured {row['date']}"
            f"{', a quick run' if row['quick'] else ''}.\n\n")


def pictures(csv, page):
    """Those that were drawn of this run, as a page sees them."""
    return "".join(f"![{what}]({os.path.relpath(file, page.parent)})\n\n" for name, what in PICTURES.items()
                   if (file := csv.with_name(f"{csv.stem}-{name}.png")).is_file())


def sections(rows):
    for peer in dict.fromkeys(row["peer"] for row in of(rows, suite="perceiver")):
        yield f"The Perceiver beside {peer}", beside(of(rows, suite="perceiver", peer=peer))
    yield "perceiver-io's MNIST classifier", beside(of(rows, suite="mnist"))
    yield "linformer-pytorch", beside(of(rows, suite="linformer"), first=lambda row: f"{length_of(row)}, {row['label']}")
    yield "linformer, one attention", beside(of(rows, suite="linformer attention"))
    yield ("zeta's FlashAttentionTwo",
           beside(of(rows, suite="buckets"), first=lambda row: row["label"], title="buckets of queries x keys"))
    yield "perceive alone: growth with length", growth(rows)
    yield "Attention", attention(rows)


def generated(csv, page):
    rows = read(csv)
    text = f"From `benchmarks/results/{csv.name}`. {machine(rows[0])}{pictures(csv, page)}### Targets\n\n{targets(rows)}"
    text += "".join(f"### {title}\n\n{body}" for title, body in sections(rows) if body)
    return text + f"### Every row in which the peer is ahead\n\n{slower(rows)}### What is missing\n\n{missing(rows)}"


def write(page, csv):
    """Replaces what is between the page's markers."""
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(before + BEGIN + "\n" + generated(csv, page) + END + after)
    print(f"tables: {page}")
