// Parameter names of perceiver-io 0.2.1 for the native model.
#include "perceive/models/dialects/perceiver_io/names.h"

namespace perceive::models::perceiver_io {
namespace {

// Within a layer: Residual(attention) is `module.0.module`, Residual(MLP) `module.1.module`.
const Prefixes kLayer{{"attention.query_norm.", "module.0.module.q_norm."},
                      {"attention.context_norm.", "module.0.module.kv_norm."},
                      {"attention.norm.", "module.0.module.norm."},
                      {"attention.query.", "module.0.module.attention.q_proj."},
                      {"attention.key.", "module.0.module.attention.k_proj."},
                      {"attention.value.", "module.0.module.attention.v_proj."},
                      {"attention.output.", "module.0.module.attention.o_proj."},
                      {"mlp.norm.", "module.1.module.0."},
                      {"mlp.hidden.", "module.1.module.1."},
                      {"mlp.output.", "module.1.module.3."}};

}  // namespace

std::vector<Name> names_of(const torch::nn::Module& model, const std::string& encoder, const std::string& decoder) {
  NameList names(model);
  const auto add_block = [&](const std::string& ours, const std::string& theirs) {
    for (int64_t i = 0; names.has(ours + std::to_string(i)); ++i) {
      names.add(ours + std::to_string(i) + ".", theirs + std::to_string(i) + ".", kLayer);
    }
  };
  names.add("encoder.latents", encoder + "latent");
  names.add("input.positions", encoder + "input_adapter.pos_encoding");
  names.add("input.embedding.", encoder + "input_adapter.text_embedding.");
  names.add("encoder.cross.", encoder + "cross_attn_n.", kLayer);
  add_block("encoder.block.", encoder + "self_attn_n.");
  names.add(names.has("encoder.first_cross.") ? "encoder.first_cross." : "encoder.cross.", encoder + "cross_attn_1.",
            kLayer);
  add_block(names.has("encoder.first_block.") ? "encoder.first_block." : "encoder.block.", encoder + "self_attn_1.");
  names.add("decoder.output.query", decoder + "output_adapter._output_query");
  names.add("decoder.output.embedding", decoder + "output_adapter.embedding_weights");
  names.add("decoder.output.bias", decoder + "output_adapter.bias");
  names.add("decoder.output.linear.", decoder + "output_adapter.linear.");
  names.add("decoder.cross.", decoder + "cross_attention.", kLayer);
  return names.names();
}

}  // namespace perceive::models::perceiver_io
