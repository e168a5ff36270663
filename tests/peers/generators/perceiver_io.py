"""perceiver-io 0.2.1: the factories of perceiver.model.config."""
import math

from perceiver.model import config

from draw import Case, ModelClass


def attention(draw, prefix, query_width):
    """Heads, and their channels where they are not the query's width."""
    args = {}
    channels = query_width
    if draw.chance(0.4):
        channels = args[f"num_{prefix}_qk_channels"] = draw.one_of(4, 6, 12, 15, 64)
    values = channels
    if draw.chance(0.4):
        values = args[f"num_{prefix}_v_channels"] = draw.one_of(4, 6, 12, 15, 66)
    args[f"num_{prefix}_heads"] = draw.divisor(math.gcd(channels, values))
    return args


def encoder_args(draw, cross_width, latent_width):
    """What the encoders of images and of text share."""
    blocks = draw.integer(1, 3)
    return {**attention(draw, "cross_attention", cross_width), **attention(draw, "self_attention", latent_width),
            "num_self_attention_layers_per_block": draw.integer(1, 3),
            **draw.some(num_cross_attention_layers=draw.integer(1, blocks),
                        first_cross_attention_layer_shared=draw.chance(), dropout=draw.dropout(), freeze=draw.chance(),
                        first_self_attention_block_shared=draw.chance(),
                        cross_attention_widening_factor=draw.integer(1, 3),
                        self_attention_widening_factor=draw.integer(1, 3)),
            "num_self_attention_blocks": blocks}


def decoder_args(draw, query_width):
    return {**attention(draw, "cross_attention", query_width),
            **draw.some(cross_attention_widening_factor=draw.integer(1, 3), dropout=draw.dropout(),
                        freeze=draw.chance())}


def make(draw, factory, encoder, decoder, encoder_config, decoder_config, latent_width):
    """The module and its arguments; the original's factory takes all of them, perceive knows its defaults."""
    args = {"encoder": encoder, "decoder": decoder, "num_latents": draw.size(13), "num_latent_channels": latent_width,
            **draw.some(activation_checkpointing=draw.chance(0.3))}
    given = {"activation_checkpointing": False, **args, "encoder": encoder_config(**encoder),
             "decoder": decoder_config(**decoder)}
    return factory(config.PerceiverConfig(**given)), args


def by_position(module, inputs, forward_args):
    return module(*inputs.values(), **forward_args)


def image_classifier(draw):
    sizes = (29, 23) if draw.chance(0.1) else [draw.size(7) for _ in range(draw.one_of(1, 2, 2, 2, 3))]
    shape = [*sizes, draw.integer(1, 4)]
    bands = draw.integer(1, 5)
    width = shape[-1] + (len(shape) - 1) * (2 * bands + 1)
    latent_width = draw.one_of(6, 8, 12, 15, 16, 17)
    encoder = {"image_shape": shape, "num_frequency_bands": bands, **encoder_args(draw, width, latent_width)}
    if "num_cross_attention_qk_channels" not in encoder:  # then they are the input's, not the latents'
        encoder["num_cross_attention_heads"] = draw.divisor(
            math.gcd(width, encoder.get("num_cross_attention_v_channels", width)))
    query_width = draw.one_of(5, 8, 12, 16)
    decoder = {"num_output_query_channels": query_width, "num_classes": draw.size(11),
               **draw.some(num_output_queries=draw.one_of(1, 2, 5)), **decoder_args(draw, query_width)}
    module, args = make(draw, config.create_image_classifier, {**encoder, "image_shape": tuple(shape)}, decoder,
                        config.ImageEncoderConfig, config.ClassificationDecoderConfig, latent_width)
    batch = draw.batch()
    inputs = {"x": draw.tensor(batch, *shape)}
    if draw.chance():
        inputs["pad_mask"] = ~draw.mask(batch, math.prod(shape[:-1]))
    return Case(module, args, inputs, call=by_position)


CLASSES = {
    # perceive computes the positions in float32, as the original does unless torch's default is another.
    "perceiver_io.image_classifier": ModelClass(image_classifier),
}
