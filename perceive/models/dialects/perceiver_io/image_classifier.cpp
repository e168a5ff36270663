// Names of perceiver-io 0.2.1 for the native model.
#include "perceive/models/dialects/perceiver_io/image_classifier.h"

#include <ATen/ops/allclose.h>
#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/io/names.h"

namespace perceive::models::perceiver_io {
namespace {

constexpr const char* kPositions = "0.input_adapter.position_encoding";

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

// In the order of the original's state_dict.
std::vector<Name> names_of(const torch::nn::Module& model) {
  NameList names(model);
  const auto add_block = [&](const std::string& ours, const std::string& theirs) {
    for (int64_t i = 0; names.has(ours + std::to_string(i)); ++i) {
      names.add(ours + std::to_string(i) + ".", theirs + std::to_string(i) + ".", kLayer);
    }
  };
  names.add("encoder.latents", "0.latent");
  names.add("encoder.cross.", "0.cross_attn_n.", kLayer);
  add_block("encoder.block.", "0.self_attn_n.");
  names.add(names.has("encoder.first_cross.") ? "encoder.first_cross." : "encoder.cross.", "0.cross_attn_1.", kLayer);
  add_block(names.has("encoder.first_block.") ? "encoder.first_block." : "encoder.block.", "0.self_attn_1.");
  names.add("decoder.output.query", "1.output_adapter._output_query");
  names.add("decoder.output.linear.", "1.output_adapter.linear.");
  names.add("decoder.cross.", "1.cross_attention.", kLayer);
  return names.names();
}

models::PerceiverIO make(const ImageClassifierConfig& config) {
  check(config);
  return models::PerceiverIO(native_options(config));
}

}  // namespace

ImageClassifierImpl::ImageClassifierImpl(const ImageClassifierConfig& config)
    : ImageClassifierImpl(config, make(config)) {}

ImageClassifierImpl::ImageClassifierImpl(const ImageClassifierConfig& config, models::PerceiverIO model)
    : Renamed(model.ptr(), names_of(*model)), model_(std::move(model)) {}

ops::Positions ImageClassifierImpl::positions() const {
  return dynamic_cast<nn::ImageInputImpl&>(model_.ptr()->input()).positions();
}

io::Tensors ImageClassifierImpl::state_dict() const {
  auto tensors = io::named_tensors(*this);
  const auto grid = positions();
  tensors[kPositions] = grid.expand(0, grid.length()).to(tensors.at("0.latent").options());
  return tensors;
}

std::vector<std::string> ImageClassifierImpl::load_state_dict(io::Tensors tensors, const std::string& origin) {
  if (const auto given = tensors.find(kPositions); given != tensors.end()) {
    const auto grid = positions();
    const std::vector<int64_t> expected{grid.length(), grid.width()};
    if (given->second.sizes() != at::IntArrayRef(expected)) {
      throw core::FileError(c10::str(origin, ": ", kPositions, " has the shape ", given->second.sizes(), " where ",
                                     at::IntArrayRef(expected),
                                     " was expected: the weights are for another image shape or number of "
                                     "frequency bands"));
    }
    // Half precision keeps three digits; the original's float32 differs between versions of torch in the last ones.
    if (!at::allclose(given->second.to(at::kFloat), grid.expand(0, grid.length()), 1e-2, 1e-2)) {
      throw core::FileError(c10::str(origin, ": ", kPositions,
                                     " holds other values than the Fourier features of the "
                                     "image's grid, which this model computes with"));
    }
    tensors.erase(given);
  }
  return io::load_into(*this, tensors, origin);
}

}  // namespace perceive::models::perceiver_io
