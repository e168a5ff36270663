// Weights of the image classifier, with and without position features.
#include "perceive/models/dialects/perceiver_io/image_classifier.h"

#include <ATen/ATen.h>
#include <c10/util/StringUtil.h>

#include <optional>

#include "perceive/core/error.h"
#include "perceive/io/names.h"
#include "perceive/models/dialects/perceiver_io/names.h"

namespace perceive::models::perceiver_io {
namespace {

constexpr const char* kPositions = "0.input_adapter.position_encoding";

// The table [M, E] as one table an axis, laid out like `grid`: the same numbers to the last digit, in its dtype.
// Nothing where it is no sum over axes, as after half precision or an edit.
std::optional<ops::Positions> per_axis(const at::Tensor& table, const ops::Positions& grid) {
  std::vector<int64_t> sizes;
  for (const auto& axis : grid.axes) sizes.push_back(axis.size(0));
  sizes.push_back(table.size(1));
  const auto places = table.detach().reshape(sizes);
  std::vector<int64_t> feature_of(static_cast<size_t>(table.size(1)));  // by column of the axes side by side
  for (size_t c = 0; c < feature_of.size(); ++c) feature_of[grid.order.empty() ? c : grid.order[c]] = c;
  ops::Positions result{.order = grid.order};
  int64_t column = 0;
  for (size_t a = 0; a < grid.axes.size(); ++a) {
    auto line = places;  // along this axis, at the first step of the others
    for (size_t other = grid.axes.size(); other-- > 0;) {
      if (other != a) line = line.select(static_cast<int64_t>(other), 0);
    }
    const int64_t width = grid.axes[a].size(1);
    const std::vector<int64_t> features(feature_of.begin() + column, feature_of.begin() + column + width);
    result.axes.push_back(line.index_select(1, at::tensor(features, at::kLong)).contiguous());
    column += width;
  }
  if (!at::equal(result.expand(0, table.size(0)), table.detach())) return std::nullopt;
  return result;
}

models::PerceiverIO make(const ImageClassifierConfig& config) {
  check(config);
  return models::PerceiverIO(native_options(config));
}

}  // namespace

ImageClassifierImpl::ImageClassifierImpl(const ImageClassifierConfig& config)
    : ImageClassifierImpl(config, make(config)) {}

ImageClassifierImpl::ImageClassifierImpl(const ImageClassifierConfig& config, models::PerceiverIO model)
    : Renamed(model.ptr(), names_of(*model, "0.", "1.")), model_(std::move(model)) {}

nn::ImageInputImpl& ImageClassifierImpl::image_input() const {
  return dynamic_cast<nn::ImageInputImpl&>(model_.ptr()->input());
}

ops::Positions ImageClassifierImpl::positions() const {
  return image_input().positions();
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
    if (auto taken = per_axis(given->second, grid)) image_input().set_positions(*std::move(taken));
    tensors.erase(given);
  }
  return io::load_into(*this, tensors, origin);
}

}  // namespace perceive::models::perceiver_io
