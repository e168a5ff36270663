// Sizes of a described input, and its position features written out.
#include "perceive/ops/source.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

namespace perceive::ops {

int64_t Positions::length() const {
  int64_t length = axes.empty() ? 0 : 1;
  for (const auto& axis : axes) length *= axis.size(0);
  return length;
}

int64_t Positions::width() const {
  int64_t width = 0;
  for (const auto& axis : axes) width += axis.size(1);
  return width;
}

at::Tensor Positions::expand(int64_t first, int64_t count) const {
  TORCH_CHECK(!axes.empty(), "Positions::expand: there are no axes");
  TORCH_CHECK(first >= 0 && count >= 0 && first + count <= length(), "Positions::expand: keys ", first, " to ",
              first + count, " of ", length());
  auto rest = at::arange(first, first + count, at::kLong);
  std::vector<at::Tensor> features(axes.size());
  for (size_t a = axes.size(); a-- > 0;) {
    features[a] = axes[a].index_select(0, rest.remainder(axes[a].size(0)));
    rest = rest.div(axes[a].size(0), "floor");
  }
  auto expanded = at::cat(features, 1);
  return order.empty() ? expanded : expanded.index_select(1, at::tensor(order));
}

Source Source::of(at::Tensor values, Positions positions, at::Tensor mask) {
  TORCH_CHECK(values.dim() == 3, "Source: values must be [B, M, C]; got ", values.sizes());
  Source source;
  source.values = std::move(values);
  source.positions = std::move(positions);
  source.mask = std::move(mask);
  return source;
}

Source Source::in_chunks(ChunkReader read, int64_t batch, int64_t length, int64_t channels, Positions positions,
                         at::Tensor mask) {
  TORCH_CHECK(read != nullptr, "Source: a source in chunks needs a function that reads them");
  TORCH_CHECK(batch >= 0 && length >= 0 && channels >= 0, "Source: sizes must not be negative; got batch ", batch,
              ", length ", length, ", channels ", channels);
  Source source;
  source.read = std::move(read);
  source.batch = batch;
  source.length = length;
  source.channels = channels;
  source.positions = std::move(positions);
  source.mask = std::move(mask);
  return source;
}

int64_t Source::batch_size() const {
  return values.defined() ? values.size(0) : batch;
}
int64_t Source::keys() const {
  return values.defined() ? values.size(1) : length;
}
int64_t Source::width() const {
  return (values.defined() ? values.size(2) : channels) + positions.width();
}

}  // namespace perceive::ops
