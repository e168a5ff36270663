"""flash-perceiver 0.2.0, on its path without FlashAttention."""
import torch
from flash_perceiver import Perceiver, PerceiverIO
from flash_perceiver.adapters import ImageAdapter
from flash_perceiver.utils import encodings

from draw import Case, ModelClass


def heads_of(draw, name, width):
    """Arguments for the number and the width of heads, and the width that follows."""
    kind = draw.one_of("both", "both", "heads", "width")
    if kind == "width":
        head_dim = draw.one_of(*(n for n in range(1, width + 1) if width % (width // n) == 0 and width // n <= 8))
        return {f"{name}_heads": None, f"{name}_head_dim": head_dim}, head_dim
    heads = draw.divisor(width)
    head_dim = draw.head_width() if kind == "both" else None
    return {f"{name}_heads": heads, f"{name}_head_dim": head_dim}, head_dim or width // heads


def rotary(draw, width):
    """Channels that are turned: none, all, some, an odd number (the original turns one more)."""
    return draw.one_of(0, 0, *(n for n in range(1, width + 1) if n + n % 2 <= width))


def common(draw):
    """The arguments that Perceiver and PerceiverIO share, but for input_dim and depth."""
    width = draw.one_of(6, 8, 12, 15, 16, 17)
    cross, _ = heads_of(draw, "cross", width)
    latent, head_dim = heads_of(draw, "latent", width)
    args = {"num_latents": draw.one_of(1, 2, 3, 5, 7, 8, 13, None), "latent_dim": width, **cross, **latent}
    args.update(draw.some(latent_rotary_emb_dim=rotary(draw, head_dim), gated_mlp=draw.chance(),
                          num_zero_tokens=draw.one_of(None, 0, 1, 2, 3), cross_rotary_emb_dim=0,
                          cross_attn_dropout=draw.dropout(), latent_attn_dropout=draw.dropout(),
                          latent_drop=draw.one_of(0.0, 0.25)))
    return args


def read(draw, args, readings, batch):
    """The tensors that are read, and use_flash_attn, which decides what a fully masked sample gives."""
    flash = draw.chance(0.3)
    args["use_flash_attn"] = flash
    single = draw.chance() if readings > 1 else draw.chance(0.8)
    many = not single and not args.get("weight_tie_layers") and draw.chance()
    widths = [draw.size(13) for _ in range(readings)] if many else [draw.size(13)] * readings
    args["input_dim"] = widths if many else widths[0]
    lengths = [draw.length() for _ in range(readings)]
    masked = draw.chance(0.6)

    def mask(length):
        # FlashAttention leaves the result of a sample without any key to chance.
        return draw.mask(batch, length, empty=not flash or bool(args.get("num_zero_tokens"))) if masked else None

    if single and not many:
        inputs = {"data": draw.tensor(batch, lengths[0], widths[0]), "mask": mask(lengths[0])}
    else:
        inputs = {"data": [draw.tensor(batch, n, width) for n, width in zip(lengths, widths)],
                  "mask": [mask(n) if draw.chance(0.7) else None for n in lengths] if masked else None}
    given = args["num_latents"] is None or draw.chance(0.2)
    if given:
        # Another number than the learned ones, but where the head counts them.
        count = draw.size(13) if args.get("output_mode") != "concat" else args["num_latents"]
        shape = (count, args["latent_dim"])
        inputs["latents"] = draw.tensor(*(shape if draw.chance() else (batch, *shape)))
    return inputs


def finish(draw, model, args, inputs, forward_args):
    if not args["use_flash_attn"] and draw.chance(0.25):
        forward_args["return_attn_weights"] = True
    return Case(model(**{**args, "use_flash_attn": False}), args, inputs, forward_args, call)


def call(module, inputs, forward_args):
    """forward(), with attention weights taken where they are dropped out: only a fork of flash-attn returns them."""
    flags = dict(forward_args)
    if not flags.pop("return_attn_weights", False):
        return module(**inputs, **flags)
    weights = []
    blocks = {block for cross, selves in module.layers for block in (cross, *selves)}  # a tied one once
    attentions = [block.mixer.inner_cross_attn if block.mixer.cross_attn else block.mixer.inner_attn for block in blocks]
    hooks = [attention.drop.register_forward_hook(lambda _, given, __: weights.append(given[0]))
             for attention in attentions]
    output = module(**inputs, **flags)
    for hook in hooks:
        hook.remove()
    return {"output": output, "attn_weights": weights}


def perceiver(draw):
    args = common(draw)
    args["depth"] = draw.integer(1, 4)
    args.update(draw.some(self_per_cross_attn=draw.integer(0, 3), weight_tie_layers=draw.chance()))
    args["output_mode"] = draw.one_of("average", "concat", "first")
    if draw.chance(0.7):
        args["output_dim"] = draw.size(11)
    if args["output_mode"] == "concat":
        args.pop("latent_drop", None)
        args["num_latents"] = args["num_latents"] or 3
    inputs = read(draw, args, args["depth"], draw.batch())
    return finish(draw, Perceiver, args, inputs, draw.some(return_embeddings=draw.chance(0.2)))


def perceiver_io(draw):
    args = common(draw)
    args["depth"] = draw.integer(1, 3)
    args["query_dim"] = draw.one_of(3, 6, 10, 12, 17)
    heads, _ = heads_of(draw, "query", args["query_dim"])
    args.update(heads)
    args.update(draw.some(proj_dim=draw.one_of(None, 1, 5, 7), query_rotary_emb_dim=0, weight_tie_layers=draw.chance(),
                          query_attn_dropout=draw.dropout()))
    batch = draw.batch()
    inputs = read(draw, args, 1, batch)
    if draw.chance(0.8):
        shape = (draw.size(13), args["query_dim"])
        inputs["queries"] = draw.tensor(*(shape if draw.chance() else (batch, *shape)))
    return finish(draw, PerceiverIO, args, inputs, {})


def positions(draw, in_dim):
    """An encoding: the module, and how perceive is told of it."""
    kind = draw.one_of(*ENCODINGS)
    module, args = ENCODINGS[kind](draw, in_dim)
    return module, {"class": kind, "args": args}


def identity(draw, in_dim):
    return encodings.IdentityPositionalEncoding(in_dim), {"in_dim": in_dim}


def fourier(draw, in_dim):
    # Eighths, which every precision holds exactly.
    matrix = torch.randint(-16, 17, (in_dim, draw.size(11))) / 8
    flags = draw.some(is_trainable=draw.chance())
    return encodings.FourierPositionalEncoding(matrix, **flags), {"proj_matrix": matrix.tolist(), **flags}


def gaussian(draw, in_dim):
    args = {"in_dim": in_dim, **draw.some(mapping_size=draw.size(17), sigma=draw.one_of(0.5, 1.0, 2.0),
                                          is_trainable=draw.chance(), seed=draw.one_of(None, 0, 7))}
    return encodings.GaussianFourierFeatureTransform(**args), args


def nerf(draw, in_dim):
    args = {"in_dim": in_dim, **draw.some(num_frequency_bands=draw.integer(1, 6))}
    return encodings.NeRFPositionalEncoding(**args), args


ENCODINGS = {"IdentityPositionalEncoding": identity, "FourierPositionalEncoding": fourier,
             "GaussianFourierFeatureTransform": gaussian, "NeRFPositionalEncoding": nerf}


def encoding(kind):
    def draw_case(draw):
        in_dim = draw.integer(1, 4)
        module, args = ENCODINGS[kind](draw, in_dim)
        shape = [draw.size(7) for _ in range(draw.integer(1, 3))]
        return Case(module, args, {"x": 2 * torch.rand(*shape, in_dim) - 1})

    return draw_case


def image_adapter(draw):
    args = {"embed_dim": draw.integer(2, 17)}
    args.update(draw.some(num_channels=draw.integer(1, 4), channel_first=draw.chance()))
    patch = [draw.integer(1, 3), draw.integer(1, 3)] if draw.chance() else None
    if patch or draw.chance():
        args["patch_size"] = patch
    module = None
    if draw.chance(0.7):
        module, args["pos_encoding"] = positions(draw, 2)
    sizes = [draw.integer(1, 7) * side for side in patch or (1, 1)]
    channels = args.get("num_channels", 3)
    shape = (channels, *sizes) if args.get("channel_first", True) else (*sizes, channels)
    return Case(ImageAdapter(**{**args, "pos_encoding": module}), args, {"x": draw.tensor(draw.batch(), *shape)})


CLASSES = {
    "flash_perceiver.Perceiver": ModelClass(perceiver),
    "flash_perceiver.PerceiverIO": ModelClass(perceiver_io),
    # Its grid of positions has torch's default precision, which a float64 matrix refuses.
    "flash_perceiver.ImageAdapter": ModelClass(image_adapter, float64=("made",)),
    "flash_perceiver.IdentityPositionalEncoding": ModelClass(encoding("IdentityPositionalEncoding")),
    "flash_perceiver.FourierPositionalEncoding": ModelClass(encoding("FourierPositionalEncoding")),
    "flash_perceiver.GaussianFourierFeatureTransform": ModelClass(encoding("GaussianFourierFeatureTransform")),
    "flash_perceiver.NeRFPositionalEncoding": ModelClass(encoding("NeRFPositionalEncoding")),
}
