"""perceiver-pytorch: its last version, and those before which names or arithmetic changed."""
import perceiver_pytorch
from perceiver_pytorch import experimental, gated, mixed_latents

from draw import Case, ModelClass

RESIDUAL = (0, 10, 0)  # the first version with an attention residual over the depth, and hidden states


def heads(draw):
    return {"cross_heads": draw.integer(1, 3), "latent_heads": draw.integer(1, 3), "cross_dim_head": draw.head_width(),
            "latent_dim_head": draw.head_width()}


def residual(draw):
    if draw.version < RESIDUAL or draw.chance(0.5):
        return {}
    return {"attn_residual": True, **draw.some(attn_residual_rank=draw.size(19))}


def history(draw, args, batch, inputs, forward_args):
    """Hidden states asked for, or given: what forward() returns then."""
    if draw.version < RESIDUAL:
        return None
    shape = (batch, args["num_latents"], args["latent_dim"])
    if draw.chance(0.2):
        inputs["block_outputs"] = draw.tensor(*shape)
    elif draw.chance(0.2):
        inputs["block_outputs"] = [draw.tensor(*shape) for _ in range(draw.integer(1, 3))]
    if draw.chance(0.3):
        forward_args["return_hiddens"] = True
        return ("output", "hiddens")
    return None


def picture_args(draw):
    """What the four models of grids of data share, and the shape of their data."""
    axes = draw.one_of(1, 1, 2, 2, 3)
    args = {"num_freq_bands": draw.integer(1, 5), "max_freq": draw.one_of(1, 2.5, 5, 10), "depth": draw.integer(1, 3),
            "input_channels": draw.integer(1, 5), "input_axis": axes, "num_latents": draw.size(13),
            "latent_dim": draw.one_of(5, 8, 12, 16, 17), "num_classes": draw.size(11), **heads(draw),
            **draw.some(attn_dropout=draw.dropout(), ff_dropout=draw.dropout(), weight_tie_layers=draw.chance())}
    return args, (draw.batch(), *(draw.size(7) if axes > 1 else draw.length() for _ in range(axes)))


def picture_inputs(draw, args, shape, masks=True):
    inputs = {"data": draw.tensor(*shape, args["input_channels"])}
    if masks and draw.chance(0.6):
        mask = draw.mask(*shape)
        inputs["mask"] = mask if draw.chance() else mask.flatten(1)
    return inputs


def perceiver(draw):
    args, shape = picture_args(draw)
    depth = args["depth"]
    inverted = draw.one_of(True, False, [draw.chance() for _ in range(depth)])
    args.update(draw.some(fourier_encode_data=draw.chance(0.8), self_per_cross_attn=draw.integer(0, 3),
                          final_classifier_head=draw.chance(0.8), inverted_cross_attn=inverted))
    if args.get("fourier_encode_data") is False and draw.chance():
        args["num_freq_bands"] = args["max_freq"] = None
    args.update(residual(draw))
    inputs = picture_inputs(draw, args, shape)
    forward_args = draw.some(return_embeddings=draw.chance(0.2))
    names = history(draw, args, shape[0], inputs, forward_args)
    return Case(perceiver_pytorch.Perceiver(**tupled(args)), args, inputs, forward_args, names=names)


def tupled(args):
    return {name: tuple(value) if isinstance(value, list) else value for name, value in args.items()}


def variant(module, masks=lambda args: True, prepare=lambda draw, args: None):
    def draw_case(draw):
        args, shape = picture_args(draw)
        prepare(draw, args)
        return Case(module(**args), args, picture_inputs(draw, args, shape, masks(args)))

    return draw_case


def without_fourier(draw, args):
    args["fourier_encode_data"] = False  # with it, every call raises


def perceiver_io_args(draw):
    return {"depth": draw.integer(1, 3), "num_latents": draw.size(13), "latent_dim": draw.one_of(5, 8, 12, 16, 17),
            **heads(draw), **residual(draw),
            **draw.some(weight_tie_layers=draw.chance(), decoder_ff=draw.chance(), seq_dropout_prob=draw.dropout()),
            **({"inverted_cross_attn": draw.chance()} if draw.version >= RESIDUAL and draw.chance() else {})}


def perceiver_io(draw):
    args = {**perceiver_io_args(draw), "dim": draw.size(17), "queries_dim": draw.size(17),
            **draw.some(logits_dim=draw.one_of(None, 1, 7))}
    batch, length = draw.batch(), draw.length()
    inputs = {"data": draw.tensor(batch, length, args["dim"])}
    if draw.chance(0.6):
        inputs["mask"] = draw.mask(batch, length)
    if draw.chance(0.8):
        shape = (draw.size(13), args["queries_dim"])
        inputs["queries"] = draw.tensor(*(shape if draw.chance() else (batch, *shape)))
    forward_args = {}
    names = history(draw, args, batch, inputs, forward_args)
    return Case(perceiver_pytorch.PerceiverIO(**args), args, inputs, forward_args, names=names)


def perceiver_lm(draw):
    args = {**perceiver_io_args(draw), "dim": draw.size(17), "num_tokens": draw.integer(2, 23), "max_seq_len": draw.size(31)}
    batch, length = draw.batch(), draw.integer(1, args["max_seq_len"])
    inputs = {"x": draw.tensor(batch, length).mul(1e4).long() % args["num_tokens"]}
    if draw.chance(0.6):
        inputs["mask"] = draw.mask(batch, length)
    return Case(perceiver_pytorch.PerceiverLM(**args), args, inputs)


def perceiver_block(draw):
    args = {"dim": draw.one_of(5, 8, 12, 16, 17), **heads(draw),
            **draw.some(self_per_cross_attn=draw.integer(0, 3), attn_dropout=draw.dropout(), ff_dropout=draw.dropout(),
                        has_cross_attn=draw.chance(0.8), queries_contribute_kv=draw.chance())}
    if draw.chance() and not args.get("queries_contribute_kv"):
        args["context_dim"] = draw.size(17)
    batch, length = draw.batch(), draw.length()
    inputs = {"x": draw.tensor(batch, draw.size(13), args["dim"])}
    if args.get("has_cross_attn", True) or draw.chance():
        inputs["context"] = draw.tensor(batch, length, args.get("context_dim", args["dim"]))
        if draw.chance(0.6):
            inputs["mask"] = draw.mask(batch, length)
    return Case(perceiver_pytorch.PerceiverBlock(**args), args, inputs, draw.some(inverted_attention=draw.chance()))


CLASSES = {
    "perceiver_pytorch.Perceiver": ModelClass(perceiver),
    "perceiver_pytorch.PerceiverBlock": ModelClass(perceiver_block),
    "perceiver_pytorch.PerceiverIO": ModelClass(perceiver_io),
    "perceiver_pytorch.PerceiverLM": ModelClass(perceiver_lm),
    # Their positions have torch's default precision, and perceive takes that to be float32.
    "perceiver_pytorch.gated.Perceiver": ModelClass(variant(gated.Perceiver), float64=("made",)),
    "perceiver_pytorch.mixed_latents.Perceiver": ModelClass(variant(mixed_latents.Perceiver), float64=("made",)),
    # Its masks fit only where the data is not attended to by itself, in models of one layer.
    "perceiver_pytorch.experimental.Perceiver": ModelClass(
        variant(experimental.Perceiver, lambda args: args["depth"] == 1, without_fourier)),
}
