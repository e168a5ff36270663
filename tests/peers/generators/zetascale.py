"""zetascale's FlashAttentionTwo, without its DataParallel and mixed precision, which need GPUs."""
from zeta.nn.attention.flash_attention2 import FlashAttentionTwo

from draw import Case, ModelClass


def buckets(draw):
    return draw.some(q_bucket_size=draw.size(31), k_bucket_size=draw.size(31))


def flash_attention_two(draw):
    args = {"dim": draw.size(17), **draw.some(heads=draw.integer(1, 5), dim_head=draw.head_width(),
                                              causal=draw.chance(), **buckets(draw))}
    batch, queries = draw.batch(), draw.length()
    keys = queries
    inputs = {"x": draw.tensor(batch, queries, args["dim"])}
    if draw.chance():
        keys = draw.length()
        inputs["context"] = draw.tensor(batch, keys, args["dim"])
    kind = draw.one_of("none", "keys", "keys", "all")
    if kind == "keys":
        inputs["mask"] = draw.mask(batch, keys)
    elif kind == "all":
        heads = draw.one_of(1, args.get("heads", 8))
        inputs["mask"] = draw.mask(draw.one_of(1, batch), heads, draw.one_of(1, queries), keys)
    return Case(FlashAttentionTwo(**args), args, inputs, buckets(draw) if draw.chance(0.3) else {})


# Its sums of rows have torch's default precision.
CLASSES = {"zeta.FlashAttentionTwo": ModelClass(flash_attention_two, float64=("made",))}
