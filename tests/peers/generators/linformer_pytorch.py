"""linformer-pytorch: its last version, and 0.1.0, the one of the package's first page."""
import torch
import linformer_pytorch as peer

from draw import Case, ModelClass

FIRST = (0, 1, 0)


def steps(draw, length):
    """dim_k for a convolution that gives as many rows, which a causal mask needs."""
    return draw.one_of(*(k for k in range(1, length + 1) if length // (length // k) == k))


def sizes(draw):
    """The arguments of a Linformer but for those of a decoder, such that it can run."""
    length, nhead = draw.one_of(64, 67, 131) if draw.chance(0.1) else draw.size(31), draw.integer(1, 4)
    args = {"input_size": length, "channels": nhead * draw.integer(1, 5) * draw.one_of(1, 2), "dim_k": draw.size(31)}
    args.update(draw.some(dim_ff=draw.size(23), dim_d=draw.head_width(), dropout_ff=draw.dropout(),
                          dropout=draw.dropout(), activation=draw.one_of("gelu", "relu"),
                          w_o_intermediate_dim=draw.one_of(None, 1, 3, 8), include_ff=draw.chance(0.8),
                          full_attention=draw.chance(0.3), causal=draw.chance(), depth=draw.integer(1, 3),
                          parameter_sharing=draw.one_of("none", "headwise", "kv", "layerwise"),
                          method=draw.one_of("learnable", "convolution", "no_params")))
    args.update(nhead=nhead, dropout_ff=args.get("dropout_ff", 0.0), dropout=args.get("dropout", 0.0))
    masked = args.get("causal") and not args.get("full_attention")
    own = args.get("parameter_sharing", "layerwise") != "layerwise"
    if args.get("method") == "convolution":
        args["dim_k"] = steps(draw, length) if masked else draw.integer(1, length)
    if draw.chance(0.3) and not (masked and own):
        args["k_reduce_by_layer"] = draw.integer(0, 2)
    return args


def widen(draw, args):
    """Other channels between the layers, of an encoder with projections of its layers' own."""
    if args.get("parameter_sharing", "layerwise") != "layerwise" and args.get("include_ff", True) and draw.chance(0.4):
        args["ff_intermediate"] = draw.integer(1, 12)


def matrices(module):
    """What no_params draws: no parameter and no buffer, so that the state_dict has not got it."""
    return {f"{path}.{name}".lstrip("."): getattr(head, name) for path, head in module.named_modules() for name in "EF"
            if isinstance(getattr(head, name, None), torch.Tensor)}


def call(module, inputs, forward_args):
    """forward(), with the weights that the heads of each attention keep where they are asked for."""
    names = [name for name in ("tensor", "x", "y") if name in inputs]
    if "Q" in inputs:  # masked in place, which leaves that need gradients are not
        inputs = {name: value.clone() for name, value in inputs.items()}
        names = ["Q", "K", "V"]
    rest = {name: value for name, value in inputs.items() if name not in names}
    output = module(*(inputs[name] for name in names), **rest, **forward_args)
    if not forward_args.get("visualize"):
        return output
    inner = module.encoder if isinstance(module, peer.LinformerEncDec) else module  # the flag does not reach a decoder
    attentions = [list(part.heads) for part in inner.modules() if isinstance(part, peer.MHAttention)]
    attentions = attentions or [[inner]]  # a head by itself
    weights = [torch.stack([head.P_bar for head in heads], 1) for heads in attentions]
    for head in sum(attentions, []):
        head.P_bar = None  # a module that holds what has a history cannot be copied
    return {"output": output, "P_bar": weights}


def case(draw, module, args, inputs, forward_args=None):
    return Case(module, args, inputs, forward_args or {}, call, extra_weights=matrices(module))


def masks(draw, batch, length):
    return {name: draw.mask(draw.one_of(1, batch, batch), length) for name in ("input_mask", "embeddings_mask") if draw.chance(0.4)}


def extras(draw, args, batch, length):
    """Tensors and flags beside the input; any of them needs the checkpoint level C0."""
    inputs, flags = {}, {}
    if args.get("decoder_mode"):
        inputs["embeddings"] = draw.tensor(batch, length, args["channels"])
    if draw.chance(0.7) or inputs:
        inputs.update(masks(draw, batch, length))
        flags = {"visualize": True} if draw.chance(0.3) else {}
    if not inputs and not flags:
        args["checkpoint_level"] = draw.one_of("C0", "C1", "C2")
    return inputs, flags


def first_linformer_args(draw):
    return {"input_size": draw.length(), "channels": draw.size(17), "dim_k": draw.size(31), "dim_d": draw.head_width(),
            "nhead": draw.integer(1, 4), "depth": draw.integer(1, 3), "dropout": draw.dropout(),
            "dropout_ff": draw.dropout(), **draw.some(dim_ff=draw.size(23), activation=draw.one_of("gelu", "relu"))}


def linformer_args(draw):
    args = sizes(draw)
    if draw.chance(0.3):
        args["decoder_mode"] = True
    else:
        widen(draw, args)
    return args


def linformer(draw):
    batch = draw.batch()
    if draw.version == FIRST:
        args = first_linformer_args(draw)
        return Case(peer.Linformer(**args), args, {"tensor": draw.tensor(batch, args["input_size"], args["channels"])})
    args = linformer_args(draw)
    more, flags = extras(draw, args, batch, args["input_size"])
    return case(draw, peer.Linformer(**args), args,
                {"tensor": draw.tensor(batch, args["input_size"], args["channels"]), **more}, flags)


def lm_args(draw):
    args = linformer_args(draw)
    args["num_tokens"] = draw.integer(2, 23)
    args.update(draw.some(return_emb=draw.chance(0.3), dropout_tokens=draw.dropout()))
    args["dropout_tokens"] = args.get("dropout_tokens", 0.0)
    if args["channels"] % 2 or draw.chance(0.4):
        args["emb_dim"] = 2 * draw.integer(1, 6)
    return args


def ids(draw, batch, length, tokens):
    return draw.tensor(batch, length).mul(1e4).long() % tokens


def linformer_lm(draw):
    args, batch = lm_args(draw), draw.batch()
    more, flags = extras(draw, args, batch, args["input_size"])
    return case(draw, peer.LinformerLM(**args), args,
                {"tensor": ids(draw, batch, args["input_size"], args["num_tokens"]), **more}, flags)


def linformer_enc_dec(draw):
    enc, dec = sizes(draw), sizes(draw)
    enc.pop("causal", None)
    dec["input_size"] = enc["input_size"]
    widen(draw, enc)
    if not dec.get("full_attention"):  # its cross-attention has a causal mask
        dec["dim_k"] = steps(draw, dec["input_size"])
        if dec.get("parameter_sharing", "layerwise") != "layerwise":
            dec.pop("k_reduce_by_layer", None)
    elif dec.get("method") == "convolution":
        dec["dim_k"] = draw.integer(1, dec["input_size"])
    dec.pop("causal", None)
    for side in (enc, dec):
        side["num_tokens"] = draw.integer(2, 23)
        side.pop("activation", None)
    if dec["channels"] % 2:
        dec["channels"] *= 2
    if enc["channels"] % 2 or enc["channels"] != dec["channels"]:
        enc["emb_dim"] = dec["channels"]
    if draw.chance(0.3):
        dec["emb_dim"] = 2 * draw.integer(1, 6)
    args = {**{f"enc_{name}": value for name, value in enc.items()},
            **{f"dec_{name}": value for name, value in dec.items()}, **draw.some(activation=draw.one_of("gelu", "relu"))}
    batch, length = draw.batch(), enc["input_size"]
    inputs = {"x": ids(draw, batch, length, min(enc["num_tokens"], dec["num_tokens"])), **masks(draw, batch, length)}
    if draw.chance(0.7):
        inputs["y"] = ids(draw, batch, length, dec["num_tokens"])
    flags = {"visualize": True} if draw.chance(0.3) else {}
    args["enc_dropout"] = 0.1  # never in training: the dropout of tokens is always on then, without an argument
    return case(draw, peer.LinformerEncDec(**args), args, inputs, flags)


def projection(draw, length, rows, width, causal):
    """The arguments of get_EF(), such that it can run; under a causal mask with as many rows as that has."""
    method = draw.one_of("learnable", "convolution", "no_params")
    if method == "convolution" and (rows > length or causal and length // (length // rows) != rows):
        method = "learnable"
    return {"input_size": length, "dim": rows, "method": method, "head_dim": width, **draw.some(bias=draw.chance(0.7))}


def projections(draw, args, keys):
    """E_proj and F_proj for the peer; in `args`, how perceive is told of them."""
    args["E_proj"] = keys
    made = {"E_proj": peer.get_EF(**keys)}
    if draw.chance():
        args["F_proj"] = {**keys, "bias": draw.chance(0.7)}
    return {**made, "F_proj": peer.get_EF(**args["F_proj"]) if "F_proj" in args else made["E_proj"]}


def linear_attention_head(draw):
    from linformer_pytorch.linformer_pytorch import gen_causal_mask
    length, rows, width, causal = draw.size(31), draw.size(31), draw.head_width(), draw.chance()
    args = {"dim": width, "dropout": draw.dropout(), "full_attention": draw.chance(0.3), "causal_mask": causal}
    causal_rows = causal and not args["full_attention"]
    given = {"E_proj": None, "F_proj": None}
    if not args["full_attention"] or causal or draw.chance():
        given = projections(draw, args, projection(draw, length, rows, width, causal_rows))
    given["causal_mask"] = gen_causal_mask(length, rows, args["full_attention"]) if causal else None
    # A head without a state_dict is checked in float32, also one that was made in float64.
    given = {name: value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
             for name, value in given.items()}
    batch = draw.batch()
    queries = length if causal else draw.size(31)
    inputs = {"Q": draw.tensor(batch, queries, width), "K": draw.tensor(batch, length, width),
              "V": draw.tensor(batch, length, width)}
    for name, long in (("input_mask", length), ("embeddings_mask", queries)):
        if draw.chance(0.4):
            inputs[name] = draw.mask(draw.one_of(1, batch), long)
    flags = {"visualize": True} if draw.chance(0.3) else {}
    return case(draw, peer.LinearAttentionHead(**{**args, **given}), args, inputs, flags)


def feed_forward(draw):
    args = {"input_channels": draw.size(), "output_channels": draw.size(), "ff_dim": draw.size(23),
            "dropout": draw.dropout(), **draw.some(activation=draw.one_of("gelu", "relu", "tanh", None))}
    return Case(peer.FeedForward(**args), args,
                {"tensor": draw.tensor(draw.batch(), draw.length(), args["input_channels"])})


def positional_embedding(draw):
    args = {"channels": draw.size(31)}
    return Case(peer.PositionalEmbedding(**args), args, {"tensor": draw.tensor(draw.batch(), draw.length(), 3)})


class Matrix(torch.nn.Module):
    """What no_params gives, as heads use it."""

    def __init__(self, E):
        super().__init__()
        self.E = E

    def forward(self, input):
        return torch.matmul(input, self.E)


def get_ef(draw):
    width = draw.integer(1, 5)
    args = projection(draw, draw.size(31), draw.size(31), width, False)
    made = peer.get_EF(**args)
    module = Matrix(made.float()) if isinstance(made, torch.Tensor) else made
    inputs = {"input": draw.tensor(draw.batch(), width, args["input_size"])}
    return Case(module, args, inputs, extra_weights=matrices(module))


def mh_attention(draw):
    args = sizes(draw)
    length = args["input_size"]
    args = {name: args[name] for name in ("input_size", "channels", "dim_k", "nhead", "dropout", "w_o_intermediate_dim",
                                          "method", "full_attention", "parameter_sharing") if name in args}
    args.setdefault("full_attention", False)
    args.setdefault("parameter_sharing", "layerwise")
    args.update(dim=draw.head_width(), checkpoint_level=draw.one_of("C0", "C0", "C1", "C2"), causal_mask=draw.chance(),
                decoder_mode=draw.chance(0.3))
    causal = args["causal_mask"] and not args["full_attention"]
    if args.get("method") == "convolution" and causal:
        args["dim_k"] = steps(draw, length)

    given = {}
    if args["parameter_sharing"] == "layerwise":
        given = projections(draw, args, projection(draw, length, args["dim_k"], args["dim"], causal))
    else:
        given = {"E_proj": None, "F_proj": None}
    given["causal_mask"] = None
    if args["causal_mask"]:
        from linformer_pytorch.linformer_pytorch import gen_causal_mask
        given["causal_mask"] = gen_causal_mask(length, args["dim_k"], args["full_attention"])
    module = peer.MHAttention(**{**args, **given})
    batch = draw.batch()
    inputs = {"x": draw.tensor(batch, length, args["channels"]), **masks(draw, batch, length)}
    if args["decoder_mode"]:
        inputs["embeddings"] = draw.tensor(batch, length, args["channels"])
    flags = {"visualize": True} if args["checkpoint_level"] != "C2" and draw.chance(0.3) else {}
    return case(draw, module, args, inputs, flags)


def padder(draw):
    batch = draw.batch()
    if draw.version == FIRST:
        from linformer_pytorch.padder import Padder
        args = first_linformer_args(draw)
        inputs = {"tensor": draw.tensor(batch, draw.integer(1, args["input_size"]), args["channels"])}
        net = {"class": "linformer_pytorch.Linformer", "args": args}
        return Case(Padder(peer.Linformer(**args)), {"net": net}, inputs)
    tokens = draw.chance()
    args = lm_args(draw) if tokens else linformer_args(draw)
    args.pop("decoder_mode", None)
    more, flags = extras(draw, args, batch, args["input_size"])
    length = draw.integer(1, args["input_size"])
    x = ids(draw, batch, length, args["num_tokens"]) if tokens else draw.tensor(batch, length, args["channels"])
    name = "LinformerLM" if tokens else "Linformer"
    module = peer.Padder(getattr(peer, name)(**args))
    return case(draw, module, {"net": {"class": "linformer_pytorch." + name, "args": args}}, {"tensor": x, **more}, flags)


# In float64 as made with it as torch's default only: what no_params draws, and 0.1.0's identity, is not turned into it.
CLASSES = {
    "linformer_pytorch.FeedForward": ModelClass(feed_forward),
    "linformer_pytorch.LinearAttentionHead": ModelClass(linear_attention_head, float64=("made",)),
    "linformer_pytorch.Linformer": ModelClass(linformer, float64=("made",)),
    "linformer_pytorch.LinformerEncDec": ModelClass(linformer_enc_dec, float64=("made",)),
    "linformer_pytorch.LinformerLM": ModelClass(linformer_lm, float64=("made",)),
    "linformer_pytorch.MHAttention": ModelClass(mh_attention, float64=("made",)),
    "linformer_pytorch.Padder": ModelClass(padder, float64=("made",)),
    "linformer_pytorch.PositionalEmbedding": ModelClass(positional_embedding, float64=("turned",)),
    "linformer_pytorch.get_EF": ModelClass(get_ef, float64=("made",)),
}
