#!/usr/bin/env python3
"""Holds our tokenizers against the `tokenizers` package: characters, words, ids, files both ways, training.

    tokenizers_check.py TOKENIZE [MEGABYTES]

TOKENIZE is the program of text/tokenize.cpp. The texts are those that a Debian machine has (man pages, licences, Python
sources), MEGABYTES (10) of them at most. Exits with 77 (skipped) where this Python has no `tokenizers`.
"""
import glob
import gzip
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata

SKIPPED = 77
SPECIAL = ["[PAD]", "[UNK]", "[MASK]"]
# What the decoder did to a whole text up to `tokenizers` 0.12; it does it to each token by itself now.
CLEANUP = [(" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
           (" 's", "'s"), (" 've", "'ve"), (" 're", "'re")]
PLACES = ["/usr/share/common-licenses/*", "/usr/share/man/man*/*.gz", "/usr/share/man/*/man*/*.gz", "/usr/lib/python3*/*.py"]
try:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
except ImportError as error:
    print(f"skipped: {sys.executable} cannot import tokenizers ({error}); name another Python by -DPERCEIVE_PYTHON=")
    sys.exit(SKIPPED)


def real_texts(megabytes):
    """Contents of files as bytes, whatever is in them."""
    texts, size = [], 0
    for path in (path for place in PLACES for path in sorted(glob.glob(place))):
        if size > megabytes * 1e6:
            break
        opened = gzip.open if path.endswith(".gz") else open
        try:
            with opened(path, "rb") as file:
                texts.append(file.read())
        except OSError:
            continue
        size += len(texts[-1])
    return texts


def strange_texts(without):
    """Texts with the surprises no file has, none with a character of `without`."""
    randomly = random.Random(7)
    starts = [0, 0x80, 0x300, 0x400, 0x900, 0x1100, 0x1E00, 0x2000, 0xAC00, 0xFE00, 0x10400, 0x1D100, 0x1F100]
    texts = ["", " ", "\0", "a\0b", "\ufeffBOM", "a\r\nb\rc\n", "x" * 100, "x" * 101, "é" * 100, "e\u0301" * 51, "[MASK]",
             "a[MASK]b[PAD][UNK]", "[[MASK]]", "[mask]", "##a", "a##b", "## ##! #", "İSTANBUL ΣΑΣ ẞ", "don't do not", "<br />"]
    texts = [text.encode() for text in texts]
    for _ in range(2000):
        points = [randomly.choice(starts) + randomly.randrange(0x180) for _ in range(randomly.randrange(40))]
        texts.append("".join(map(chr, points)).encode())
        texts.append(bytes(randomly.choice([0x20, 0x41, 0x80, 0xBF, 0xC3, 0xE0, 0xED, 0xA0, 0xF0, 0xF4, 0x90, randomly.randrange(256)])
                           for _ in range(randomly.randrange(20))))
    return [text for text in texts if without.isdisjoint(text.decode(errors="replace"))]


class Ours:
    def __init__(self, program, folder):
        self.program, self.folder, self.seconds = program, folder, 0.0

    def run(self, *arguments):
        answer = subprocess.run([self.program, *map(str, arguments)], check=True, capture_output=True, text=True)
        self.seconds = float(answer.stdout or 0)

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, name, rows):
        with open(self.path(name), "wb") as file:
            for row in rows:
                file.write(struct.pack("<q", len(row)))
                file.write(row if isinstance(row, bytes) else struct.pack(f"<{len(row)}q", *row))
        return self.path(name)

    def get(self, name, kind):
        rows = []
        with open(self.path(name), "rb") as file:
            while head := file.read(8):
                count = struct.unpack("<q", head)[0]
                rows.append(file.read(count) if kind is bytes else list(struct.unpack(f"<{count}q", file.read(8 * count))))
        return rows

    def texts(self, command, texts):
        self.run(command, self.put("in", texts), self.path("out"))
        return self.get("out", bytes)

    def encode(self, tokenizer, texts):
        self.run("encode", tokenizer, self.put("in", texts), self.path("out"))
        return self.get("out", int)

    def decode(self, tokenizer, ids):
        self.run("decode", tokenizer, self.put("in", ids), self.path("out"))
        return self.get("out", bytes)

    def train(self, texts, special, vocab_size, name, threads=2):
        self.run("train", self.put("in", texts), self.put("special", [token.encode() for token in special]), vocab_size, threads,
                 self.path(name))
        return self.path(name)


def theirs(replacements=()):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    steps = [normalizers.Replace(*pair) for pair in replacements]
    steps += [normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return tokenizer


def train_theirs(tokenizer, texts, special, vocab_size):
    trainer = trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False)
    start = time.monotonic()
    tokenizer.train_from_iterator(texts, trainer)
    return time.monotonic() - start


def require_equal(what, ours, expected, inputs):
    assert len(ours) == len(expected), what
    for mine, other, given in zip(ours, expected, inputs):
        assert mine == other, f"{what} of {given[:200]!r}: {mine[:40]!r}, and tokenizers: {other[:40]!r}"
    print(f"equal: {what}, {len(ours)} texts")


def check_characters(ours):
    """Every code point between letters. Returns those that differ, each for a reason: the tables have their dates.

    Marks are those of Unicode 9 in `tokenizers`, and later ones are kept there; U+1CF2 and U+1CF3 were marks then. Other
    characters may differ where they are younger than this Python's Unicode.
    """
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    given = ["a" + point + "b" for point in points]
    tokenizer = theirs()
    normalized = [text.decode() for text in ours.texts("normalize", [text.encode() for text in given])]
    # A line feed ends a word in the answer, so that it cannot be asked for.
    words = [text.decode().split("\n")[:-1] for text in ours.texts("words", [text.replace("\n", " ").encode() for text in given])]
    young = {"normalized": set(), "split": set()}
    for point, text, mine, split in zip(points, given, normalized, words):
        other = tokenizer.normalizer.normalize_str(text)
        if mine != other:
            category = unicodedata.category(point)
            late_mark = category[0] == "M" and (mine, other) == ("ab", text)
            assert late_mark or category == "Cn" or point in "\u1cf2\u1cf3", f"{text!r} gives {mine!r}, and tokenizers: {other!r}"
            young["normalized"].add(point)
        other = [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        if split != other:
            assert unicodedata.category(point) == "Cn", f"{text!r} gives {split!r}, and tokenizers: {other!r}"
            young["split"].add(point)
    for what, which in young.items():
        print(f"equal: {len(points) - len(which)} characters {what}; {len(which)} younger than one of the tables")
    return young["normalized"] | young["split"]


def clean(text, replacements):
    for pattern, content in replacements:
        text = text.replace(pattern, content)
    return text


def check_file(ours, path, texts, what):
    """One tokenizer.json read by both sides: equal ids, and equal text out of them."""
    tokenizer = Tokenizer.from_file(path)
    with open(path) as file:
        cleanup = CLEANUP if json.load(file)["decoder"]["cleanup"] else []
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    decoded = [text.decode(errors="replace") for text in texts]
    start = time.monotonic()
    expected = [encoding.ids for encoding in tokenizer.encode_batch(decoded, add_special_tokens=False)]
    seconds = time.monotonic() - start
    ids = ours.encode(path, texts)
    size = sum(map(len, texts)) / 1e6
    require_equal(f"ids, {what}", ids, expected, texts)
    print(f"  {sum(map(len, ids))} tokens; ours {size / ours.seconds:.1f} MB/s, tokenizers {size / seconds:.1f} MB/s")
    expected = [clean(tokenizer.decode(row), cleanup).encode() for row in expected]
    require_equal(f"decoded, {what}", ours.decode(path, ids), expected, texts)


def check_training(ours, texts, vocab_size):
    """With the prefixed characters as special tokens, nothing in `tokenizers` depends on its hash seeds: equal vocabularies."""
    decoded = [text.decode(errors="replace") for text in texts]
    path = ours.train(texts, SPECIAL, vocab_size, "trained.json")
    vocabulary = Tokenizer.from_file(path).get_vocab()
    fixed = SPECIAL + sorted(token for token in vocabulary if token.startswith("##") and len(token) == 3)
    tokenizer = theirs()
    seconds = train_theirs(tokenizer, decoded, fixed, vocab_size)
    path = ours.train(texts, fixed, vocab_size, "fixed.json")
    assert Tokenizer.from_file(path).get_vocab() == tokenizer.get_vocab(), "vocabularies differ"
    size = sum(map(len, texts)) / 1e6
    print(f"equal: {len(vocabulary)} tokens trained on {size:.1f} MB; ours {ours.seconds:.1f} s, tokenizers {seconds:.1f} s")
    ours.train(texts, fixed, vocab_size, "one.json", threads=1)
    with open(path) as two, open(ours.path("one.json")) as one:
        assert two.read() == one.read(), "the vocabulary depends on the number of threads"


def main(program, megabytes=10.0):
    texts = real_texts(float(megabytes))
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(program, folder)
        strange = strange_texts(check_characters(ours))
        tokenizer = theirs([("<br />", " ")])
        train_theirs(tokenizer, [text.decode(errors="replace") for text in texts + strange], SPECIAL, 10003)
        tokenizer.save(ours.path("theirs.json"))
        check_file(ours, ours.path("theirs.json"), texts + strange, "their file")
        ours.run("rewrite", ours.path("theirs.json"), ours.path("again.json"))
        check_file(ours, ours.path("again.json"), texts + strange, "their file written by us")
        ours.train(texts + strange, SPECIAL, 10003, "trained.json")
        check_file(ours, ours.path("trained.json"), texts + strange, "our file")
        # A prefixed character is a special token there, and of those we take a thousand: no texts of thousands of characters.
        check_training(ours, [text for text in texts if max(text.decode(errors="replace"), default="") < "\u3000"], 10003)


if __name__ == "__main__":
    main(*sys.argv[1:])
