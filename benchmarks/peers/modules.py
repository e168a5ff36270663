"""The peers' modules, made of the arguments and the weights of perceive's model: one class of perceive, one function."""
import torch


def perceiver_pytorch(args, weights):
    import perceiver_pytorch
    return _loaded(perceiver_pytorch.Perceiver(**args), weights)


def flash_perceiver(args, weights):
    import flash_perceiver
    return _loaded(flash_perceiver.Perceiver(**args), weights)


def perceiver_io(args, weights):
    from perceiver.model import config
    encoder = {**args["encoder"], "image_shape": tuple(args["encoder"]["image_shape"])}
    given = {"activation_checkpointing": False, **args, "encoder": config.ImageEncoderConfig(**encoder),
             "decoder": config.ClassificationDecoderConfig(**args["decoder"])}
    return _loaded(config.create_image_classifier(config.PerceiverConfig(**given)), weights)


def linformer_pytorch(args, weights):
    import linformer_pytorch
    return _loaded(linformer_pytorch.Linformer(**args), weights)


def zetascale(args, weights):
    from zeta.nn.attention.flash_attention2 import FlashAttentionTwo
    return _loaded(FlashAttentionTwo(**args), weights)


def linformer(args, weights):
    """Its heads are parts of one matrix, and it multiplies by E and F from the other side."""
    from linformer import LinformerSelfAttention
    module = LinformerSelfAttention(args["channels"], args["input_size"], k=args["dim_k"], heads=args["nhead"],
                                    dim_head=args["dim"])
    heads = range(args["nhead"])
    mine = {f"{name}.weight": torch.cat([weights[f"{name}.{head}.weight"] for head in heads])
            for name in ("to_q", "to_k", "to_v")}
    return _loaded(module, {**mine, "proj_k": weights["heads.0.E.weight"].t(), "proj_v": weights["heads.0.F.weight"].t(),
                            "to_out.weight": weights["w_o.weight"], "to_out.bias": weights["w_o.bias"]})


def transformers(args, weights):
    """A PerceiverModel without pre- and postprocessors; args and names are those of perceive.Perceiver."""
    from transformers import PerceiverConfig, PerceiverModel
    cross, own = args["cross"], args["self"]
    module = PerceiverModel(PerceiverConfig(
        num_latents=args["num_latents"], d_latents=args["latent_channels"], d_model=args["input_channels"],
        num_blocks=args["stack"]["depth"], num_self_attends_per_block=args["self_per_cross"],
        num_cross_attention_heads=cross["heads"], num_self_attention_heads=own["heads"]))
    parts = {"attention.query_norm": "attention.self.layernorm1", "attention.norm": "attention.self.layernorm1",
             "attention.context_norm": "attention.self.layernorm2", "attention.query": "attention.self.query",
             "attention.key": "attention.self.key", "attention.value": "attention.self.value",
             "attention.output": "attention.output.dense", "mlp.norm": "layernorm", "mlp.hidden": "mlp.dense1",
             "mlp.output": "mlp.dense2"}
    mine = {"embeddings.latents": weights["model.latents"]}
    for name, tensor in weights.items():
        for place, to in [("model.encoder.cross.", "encoder.cross_attention.")] + [
                (f"model.blocks.0.self.{i}.", f"encoder.self_attends.{i}.") for i in range(args["self_per_cross"])]:
            if name.startswith(place):
                part, kind = name.removeprefix(place).rsplit(".", 1)
                mine[f"{to}{parts[part]}.{kind}"] = tensor
    return _loaded(_LastHidden(module), {f"model.{name}": tensor for name, tensor in mine.items()})


class _LastHidden(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, data):
        return self.model(data).last_hidden_state


def _loaded(module, weights):
    module.load_state_dict(weights, strict=True)
    return module.eval()
