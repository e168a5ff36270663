// Weights of the image classifier, with and without position features.
#include "perceive/models/dialects/perceiver_io/image_classifier.h"

#include <ATen/ops/allclose.h>
#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/io/names.h"
#include "perceive/models/dialects/perceiver_io/names.h"

namespace perceive::models::perceiver_io {
namespace {

constexpr const char* kPositions = "0.input_adapter.position_encoding";

models::PerceiverIO make(const ImageClassifierConfig& config) {
  check(config);
  return models::PerceiverIO(native_options(config));
}

}  // namespace

ImageClassifierImpl::ImageClassifierImpl(const ImageClassifierConfig& config)
    : ImageClassifierImpl(config, make(config)) {}

ImageClassifierImpl::ImageClassifierImpl(const ImageClassifierConfig& config, models::PerceiverIO model)
    : Renamed(model.ptr(), names_of(*model, "0.", "1.")), model_(std::move(model)) {}

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
