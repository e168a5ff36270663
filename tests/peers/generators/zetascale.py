"""zetascale's FlashAttentionTwo, without its DataParallel and mixed precision, which need GPUs."""
import torch
from zeta.nn.attention.flash_attention2 import FlashAttentionTwo

from draw import Case, ModelClass


def buckets(draw, keys):
    # One of all keys in float64, where it shows that the original adds up to 1e-10 to a row's sum for each other one.
    fewest = keys if torch.get_default_dtype() == torch.float64 else 1
    return draw.some(q_bucket_size=draw.size(31), k_bucket_size=max(fewest, draw.size(31)))


def flash_attention_two(draw):
    batch, queries = draw.batch(), draw.length()
    other = draw.chance()
    keys = draw.length() if other else queries
    args = {"dim": draw.size(17), **draw.some(heads=draw.integer(1, 5), dim_head=draw.head_width(),
                                              causal=draw.chance()), **buckets(draw, keys)}
    inputs = {"x": draw.tensor(batch, queries, args["dim"])}
    if other:
        inputs["context"] = draw.tensor(batch, keys, args["dim"])
    kind = draw.one_of("none", "keys", "keys", "all")
    if kind == "keys":
        inputs["mask"] = draw.mask(batch, keys)
    elif kind == "all":
        heads = draw.one_of(1, args.get("heads", 8))
        inputs["mask"] = draw.mask(draw.one_of(1, batch), heads, draw.one_of(1, queries), keys)
    return Case(FlashAttentionTwo(**args), args, inputs, buckets(draw, keys) if draw.chance(0.3) else {})


# Its sums of rows have torch's default precision.
CLASSES = {"zeta.FlashAttentionTwo": ModelClass(flash_attention_two, float64=("made",))}
