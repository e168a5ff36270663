"""benchmarks/run without a model: who takes turns with whom, what is refused, and the tables. Nothing is timed."""
import csv
import os
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "benchmarks"))
import cases  # noqa: E402
import document  # noqa: E402
import results_file  # noqa: E402
import turns  # noqa: E402

OURS = """#!/bin/sh
echo '{"parameters": 7, "items": 2, "extra_bytes": 100, "peak_bytes": 200}'
while read line; do echo '{"seconds": 0.5}'; done
"""
PEER = """#!/bin/sh
echo '{"torch": "1", "difference": %s, "extra_bytes": 300, "peak_bytes": 400}'
while read line; do echo '{"seconds": 2.0}'; done
"""
BROKEN = "#!/bin/sh\necho 'ImportError: no such thing' >&2\nexit 1\n"


class Turns(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.peers = pathlib.Path(self.folder.name)
        (self.peers / "venv" / "bin").mkdir(parents=True)

    def tearDown(self):
        self.folder.cleanup()

    def program(self, name, text):
        path = self.peers / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def row(self, ours, peer):
        self.program("venv/bin/python", peer)
        case = dict(cases.case("perceiver", "native", "forward", 8, "peer", "1.0"), repeats=2)
        return turns.take_turns(case, self.program("perceive", ours), self.peers, dict(os.environ), 1)

    def test_the_ratios_are_the_peers_over_ours(self):
        row = self.row(OURS, PEER % "1e-6")
        self.assertEqual((row["ratio"], row["bytes_ratio"], row["batch"], row["note"]), (4.0, 3.0, 2, ""))

    def test_other_numbers_are_refused(self):
        for difference in ("0.1", "Infinity", "NaN"):
            row = self.row(OURS, PEER % difference)
            self.assertNotIn("ratio", row)
            self.assertIn("refused: outputs differ by", row["note"])
            self.assertEqual(row["seconds"], 0.5)

    def test_a_peer_that_cannot_run_is_missing_with_its_reason(self):
        row = self.row(OURS, BROKEN)
        self.assertEqual(row["note"], "missing: ImportError: no such thing")
        self.assertNotIn("ratio", row)

    def test_ours_is_not_excused_either(self):
        self.assertEqual(self.row(BROKEN, PEER % "0")["note"], "perceive: ImportError: no such thing")


def written(rows, folder):
    path = pathlib.Path(folder) / "avx2-2core-2026-01-02.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, ["suite", "preset", "label", "pass", "peer", "difference", "note", "instructions",
                                       "date", *results_file.NUMBERS])
        writer.writeheader()
        constant = {"instructions": "avx2", "threads": 2, "peak_gflops": 205, "read_gigabytes": 40, "date": "2026-01-02"}
        writer.writerows({**constant, **row} for row in rows)
    return path


class Tables(unittest.TestCase):
    ROW = {"suite": "perceiver", "pass": "forward_backward", "length": 1024, "batch": 1, "peer": "perceiver-pytorch",
           "ratio": 1.3, "bytes_ratio": 0.5, "seconds": 0.01, "peer_seconds": 0.013, "bytes": 2**24, "peer_bytes": 2**23}
    GONE = {"suite": "mnist", "pass": "training_step", "batch": 64, "peer": "perceiver-io", "seconds": 0.1,
            "note": "missing: ImportError"}

    def test_stand_between_the_markers_and_name_what_is_behind_and_missing(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "benchmarks.md"
            page.write_text(f"before\n{document.BEGIN}old{document.END}\nafter\n")
            path = written([self.ROW, self.GONE], folder)
            path.with_name(f"{path.stem}-speed.png").touch()
            document.write(page, path)
            text = page.read_text()
            document.write(page, path)
            self.assertEqual(page.read_text(), text)
        self.assertTrue(text.startswith("before\n" + document.BEGIN))
        self.assertIn("](avx2-2core-2026-01-02-speed.png)", text)
        self.assertNotIn("-growth.png", text)
        self.assertNotIn("FlashAttentionTwo", text)
        self.assertTrue(text.endswith(document.END + "\nafter\n"))
        self.assertNotIn("old", text)
        self.assertIn("| 1,024 | forward, backward | 10 ms | 13 ms | **1.30** | 16 | 8.0 | **0.50** |", text)
        self.assertIn("| perceiver-pytorch, forward, backward, N = 1,024 | 1.25 times as fast | 1.30 | met |", text)
        self.assertIn("| perceiver-io, training step, batch 64 | 2.5 times as fast | not measured |  |", text)
        self.assertIn("| perceiver-pytorch | perceiver, N = 1,024, forward, backward | 1.30 | 0.50 |", text)
        self.assertIn("| perceiver-io | mnist | missing: ImportError |", text)

    def test_a_slope_of_a_power_is_its_exponent(self):
        self.assertAlmostEqual(results_file.slope([(10, 5), (20, 10), (40, 20), (1, 100)], 10), 1)
        self.assertIsNone(results_file.slope([(10, 5)], 1))


if __name__ == "__main__":
    unittest.main()
