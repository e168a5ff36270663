"""lucidrains' linformer."""
import linformer

from draw import Case, ModelClass


def attention_args(draw):
    """What all classes have, such that they can run."""
    heads = draw.integer(1, 4)
    return {"dim": heads * draw.integer(1, 6), "seq_len": draw.length(), "heads": heads, "k": draw.size(31),
            **draw.some(dim_head=draw.head_width(), one_kv_head=draw.chance(), share_kv=draw.chance(),
                        dropout=draw.dropout())}


def length(draw, args):
    """Often shorter than the model's."""
    return args["seq_len"] if draw.chance(0.4) else draw.integer(1, args["seq_len"])


def self_attention(draw):
    args, batch = attention_args(draw), draw.batch()
    if draw.chance():
        inputs = {"x": draw.tensor(batch, draw.length(), args["dim"]),
                  "context": draw.tensor(batch, length(draw, args), args["dim"])}
    else:
        inputs = {"x": draw.tensor(batch, length(draw, args), args["dim"])}
    return Case(linformer.LinformerSelfAttention(**args), args, inputs)


def layer_args(draw):
    return {**attention_args(draw), "depth": draw.integer(1, 3), **draw.some(reversible=draw.chance(0.7))}


def layers(draw):
    args = layer_args(draw)
    return Case(linformer.Linformer(**args), args, {"x": draw.tensor(draw.batch(), length(draw, args), args["dim"])})


def language_model(draw):
    args = {**layer_args(draw), "num_tokens": draw.integer(2, 23)}
    ids = draw.tensor(draw.batch(), length(draw, args)).mul(1e4).long() % args["num_tokens"]
    return Case(linformer.LinformerLM(**args), args, {"x": ids})


CLASSES = {
    "linformer.Linformer": ModelClass(layers),
    "linformer.LinformerLM": ModelClass(language_model),
    "linformer.LinformerSelfAttention": ModelClass(self_attention),
}
