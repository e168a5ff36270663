#!/usr/bin/env python3
"""Sentiment of movie reviews: a tokenizer, a masked language model, a classifier on its frozen encoder, fine-tuning.

    examples/text/sentiment.py [FOLDER] [--perceive build/perceive]

Everything that is made lies in FOLDER (default: sentiment). 1,200 of the 1,500 reviews that Debian's python3-pattern
carries are trained on, 300 are held out; the masked language model also reads shorter reviews and the sayings of
fortunes. Beside each stage stand the same classifier from scratch, with as many epochs, and a bag of words.
Installed packages are read in place; missing ones are unpacked into FOLDER/packages, not installed.
"""
import argparse
import csv
import glob
import math
import os
import pathlib
import random
import re
import subprocess
import sys
import time

CORPORA = "usr/share/doc/python3-pattern/test/corpora"
FORTUNES = "usr/share/games/fortunes"
CLASSES = {"-1": "negative", "1": "positive"}
HELD_OUT = 150  # reviews of each class


def find(package, place, folder):
    """The folder `place` of a Debian package: installed, or unpacked once."""
    for root in ("/", folder / "packages"):
        if (pathlib.Path(root) / place).is_dir():
            return pathlib.Path(root) / place
    packages = folder / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    print(f"fetching {package}", flush=True)
    try:
        subprocess.run(["apt-get", "download", package], cwd=packages, check=True, stdout=subprocess.DEVNULL)
        [file] = packages.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", file, packages], check=True)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"{package} is not installed and cannot be fetched ({error}); install it, for instance "
                 f"apt-get install --no-install-recommends {package}")
    return packages / place


def reviews_in(file):
    """(text, class) of a file of two columns, whichever comes first."""
    with open(file, encoding="utf-8-sig", newline="") as lines:
        for row in csv.reader(lines):
            label, text = row if row[0] in CLASSES else reversed(row)
            yield text, CLASSES[label]


def prepare(folder):
    """FOLDER/reviews/{train,test}/{negative,positive} and FOLDER/pretrain; the reviews as lists."""
    corpora = find("python3-pattern", CORPORA, folder)
    parts = {"train": [], "test": []}
    by_class = {name: [] for name in CLASSES.values()}
    for text, label in reviews_in(corpora / "polarity-en-pang&lee1.csv"):
        by_class[label].append(text)
    for label, texts in by_class.items():
        random.Random(0).shuffle(texts)
        parts["test"] += [(text, label) for text in texts[:HELD_OUT]]
        parts["train"] += [(text, label) for text in texts[HELD_OUT:]]
    for part, examples in parts.items():
        for i, (text, label) in enumerate(examples):
            write(folder / "reviews" / part / label / f"{i:04}.txt", text)
    pretrain = folder / "pretrain"
    for i, (text, _) in enumerate(parts["train"]):
        write(pretrain / f"review-{i:04}.txt", text)
    short = [text for text, _ in reviews_in(corpora / "polarity-en-pang&lee2.csv")]
    for i in range(0, len(short), 40):
        write(pretrain / f"short-{i:04}.txt", "\n".join(short[i:i + 40]))
    for file in sorted(glob.glob(str(find("fortunes", FORTUNES, folder) / "*"))):
        if re.search(r"\.(dat|u8)$", file):
            continue
        with open(file, encoding="utf-8", errors="replace") as text:
            write(pretrain / f"fortunes-{os.path.basename(file)}.txt", re.sub(r"\n%\n", "\n", text.read()))
    return parts


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def bag_of_words(parts):
    """Held-out accuracy of logistic regression on which words a review has, by stochastic gradient descent."""
    def words(text):
        return set(re.findall(r"[a-z']+", text.lower()))
    known = {}
    for text, _ in parts["train"]:
        for word in words(text):
            known[word] = known.get(word, 0) + 1
    index = {word: i for i, word in enumerate(sorted(w for w, n in known.items() if n > 1))}
    data = {part: [([index[w] for w in words(text) if w in index], label == "positive") for text, label in examples]
            for part, examples in parts.items()}
    weights, bias, generator = [0.0] * len(index), 0.0, random.Random(1)

    def score(features):
        return bias + sum(weights[i] for i in features) / math.sqrt(max(1, len(features)))
    for epoch in range(20):
        generator.shuffle(data["train"])
        for features, positive in data["train"]:
            error = positive - 1 / (1 + math.exp(-max(-30.0, min(30.0, score(features)))))
            rate = 0.5 / (1 + epoch) * error
            bias += rate
            step = rate / math.sqrt(max(1, len(features)))
            for i in features:
                weights[i] += step
    right = sum((score(features) > 0) == positive for features, positive in data["test"])
    return right / len(data["test"])


class Runs:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.common = [f"--trainer.default_root_dir={folder / 'logs'}", f"--data.tokenizer={folder / 'tokenizer.json'}",
                       "--data.vocab_size=4000", "--data.max_seq_len=512", "--seed_everything=1",
                       "--model.num_latents=32", "--model.num_latent_channels=96",
                       "--model.encoder.num_input_channels=96", "--model.encoder.num_cross_attention_layers=1",
                       "--model.encoder.num_self_attention_layers_per_block=2",
                       "--model.encoder.num_self_attention_blocks=2"]

    def run(self, *words):
        began = time.time()
        done = subprocess.run([self.program, *words], check=False, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"perceive {words[0]} {words[1]} ended with {done.returncode}")
        print(done.stdout, end="", flush=True)
        return done.stdout, time.time() - began

    def pretrain(self, steps):
        _, seconds = self.run("mlm", "fit", "--data=TextFile", f"--data.files=[{self.folder / 'pretrain'}]",
                              "--data.batch_size=32", *self.common, "--optimizer.lr=3e-3",
                              "--optimizer.weight_decay=0.01", f"--trainer.max_steps={steps}",
                              "--trainer.check_val_every_n_epoch=2")
        return seconds

    def classifier(self, rate, epochs, *more):
        """Held-out accuracy of the best epoch, and the run's folder."""
        out, seconds = self.run("seq_clf", "fit", "--data=TextFolder", f"--data.data_dir={self.folder / 'reviews'}",
                                "--data.batch_size=32", *self.common, "--model.decoder.num_output_query_channels=96",
                                "--optimizer=AdamW", f"--optimizer.lr={rate}", f"--trainer.max_epochs={epochs}", *more)
        run = re.search(r" in (\S+)", out).group(1)
        best = max(pathlib.Path(run, "checkpoints").glob("epoch=*"))
        tested, _ = self.run("seq_clf", "test", f"--ckpt_path={best}", f"--trainer.default_root_dir={self.folder / 'logs'}")
        return float(re.search(r"test_acc=([\d.]+)", tested).group(1)), run, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=pathlib.Path("sentiment"))
    parser.add_argument("--perceive", default="build/perceive", help="the program")
    parser.add_argument("--steps", type=int, default=1500, help="of pretraining")
    parser.add_argument("--epochs", type=int, default=12, help="of each classifier")
    given = parser.parse_args()
    parts = prepare(given.folder)
    runs = Runs(given.perceive, given.folder)
    rows = [("bag of words", bag_of_words(parts), None)]
    pretraining = runs.pretrain(given.steps)
    mlm = given.folder / "logs/mlm/version_0"
    accuracy, run, seconds = runs.classifier(1e-3, given.epochs, f"--model.mlm_ckpt={mlm}", "--model.encoder.freeze=true")
    rows.append(("frozen encoder", accuracy, seconds))
    accuracy, _, seconds = runs.classifier(2e-4, given.epochs, f"--model.clf_ckpt={run}", "--model.encoder.dropout=0.1")
    rows.append(("… then all of it", accuracy, seconds))
    accuracy, _, seconds = runs.classifier(1e-3, 2 * given.epochs, "--model.encoder.dropout=0.1")
    rows.append(("from scratch", accuracy, seconds))
    runs.run("mlm", "predict", f"--ckpt_path={mlm}")
    print(f"\npretraining: {pretraining:.0f} s; accuracy on {len(parts['test'])} held-out reviews:")
    for name, accuracy, seconds in rows:
        print(f"  {name:<18} {accuracy:.3f}" + (f"   {seconds:.0f} s" if seconds else ""))


if __name__ == "__main__":
    main()
