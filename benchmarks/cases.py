"""What is measured. A case is a preset of `perceive bench models`, a pass, a length, and the peer that takes turns."""
PERCEIVERS = (("perceiver-pytorch", "0.11.0", "perceiver_pytorch"), ("flash-perceiver", "0.2.0", "flash_perceiver"),
              ("transformers", "5.23.0", "read_once"))
LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
ALONE = (128, 1024, 8192, 65536, 262144, 1048576)
BUCKETS = ((64, 64), (128, 256), (256, 512), (512, 1024), (1024, 2048), (4096, 4096))
SHAPES = {False: ("A", "B", "C", "D", "E", "latent", "small"), True: ("A", "C", "latent")}  # of a quick run: True


def case(suite, preset, kind, length, peer=None, version=None, label="", **args):
    return {"suite": suite, "preset": preset, "pass": kind, "length": length, "peer": peer, "version": version,
            "label": label, "args": args, "repeats": 0,
            # linformer-pytorch's checkpoints train only behind something that is trained.
            "input_gradients": suite == "linformer"}


def perceivers(quick):
    lengths = LENGTHS[3::2] if quick else LENGTHS
    for peer, version, preset in PERCEIVERS:
        # The one that the targets name at every length, the others at every second one.
        for length in lengths if peer == PERCEIVERS[0][0] or not quick else lengths[::2]:
            for kind in ("forward", "forward_backward"):
                yield case("perceiver", preset, kind, length, peer, version)


def mnist(quick):
    for kind in ("forward", "training_step"):
        yield case("mnist", "mnist", kind, None, "perceiver-io", "0.2.1")


def linformers(quick):
    for length in (16384,) if quick else (1024, 4096, 16384):
        for level in ("C0", "C1", "C2"):
            yield case("linformer", "linformer", "forward_backward", length, "linformer-pytorch", "0.19.3", level,
                       checkpoint_level=level)
        for kind in ("forward", "forward_backward"):
            yield case("linformer attention", "linformer_attention", kind, length, "linformer", "0.2.3")


def buckets(quick):
    for q, k in BUCKETS[1::2] if quick else BUCKETS:
        for kind in ("forward", "forward_backward"):
            yield case("buckets", "flash_attention_two", kind, 2048 if quick else 4096, "zetascale", "0.8.3", f"{q}x{k}",
                       q_bucket_size=q, k_bucket_size=k)


def alone(quick):
    for length in ALONE[:-1] if quick else ALONE:
        for kind in ("forward", "forward_backward"):
            yield case("growth", "native", kind, length)


def all_cases(quick):
    cases = [each for group in (perceivers, mnist, linformers, buckets, alone) for each in group(quick)]
    for each in cases:
        long = (each["length"] or 0) > 16384
        each["repeats"] = (3 if long else 5) if quick else (5 if long else 15)
    return cases
