// The projection of keys and values along the length as a layer: learned or fixed, with masks that exclude.
//
// Shapes: B batch, n rows of C channels, k rows after the projection, H heads of D channels.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perceive/nn/length_projection.h"

namespace perceive::nn {

enum class ProjectionMethod {
  learned,      // a matrix [k, n]
  random,       // one that stays as it was drawn from N(0, 1/k)
  convolution,  // of a head's channels over windows
  mean,         // of each window
  max,          // of each channel over each window
};
constexpr auto enum_names(ProjectionMethod) {
  using Method = ProjectionMethod;
  return std::array{std::pair{Method::learned, "learned"}, std::pair{Method::random, "random"},
                    std::pair{Method::convolution, "convolution"}, std::pair{Method::mean, "mean"},
                    std::pair{Method::max, "max"}};
}

// Which projections are one.
enum class ProjectionSharing {
  none,       // keys and values of every head have their own
  heads,      // a layer has one for keys and one for values
  key_value,  // a layer has one
  layer,      // all layers have one
};
constexpr auto enum_names(ProjectionSharing) {
  using Sharing = ProjectionSharing;
  return std::array{std::pair{Sharing::none, "none"}, std::pair{Sharing::heads, "heads"},
                    std::pair{Sharing::key_value, "key_value"}, std::pair{Sharing::layer, "layer"}};
}

struct LengthProjectorOptions {
  int64_t length = 512;
  int64_t projected = 64;
  ProjectionMethod method = ProjectionMethod::learned;
  std::optional<int64_t> kernel, stride;
  ProjectionSharing sharing = ProjectionSharing::key_value;
};
template <class Visitor>
void visit(LengthProjectorOptions& o, Visitor&& field) {
  field("length", o.length, "rows of the longest input");
  field("projected", o.projected,
        "rows that keys and values of that length are projected to; of windows about as many");
  field("method", o.method, "how: by a learned or a fixed random matrix, or by windows of rows");
  field("kernel", o.kernel, "rows of a window; default: length / projected, rounded up");
  field("stride", o.stride, "rows from one window's begin to the next one's; default: the kernel");
  field("sharing", o.sharing,
        "which projections are one: those of heads, of keys and values too (key_value), of all layers too (layer)");
}
// Throws core::ConfigError; `key` is put in front of each option's name.
void check(const LengthProjectorOptions& options, const std::string& key = "");
// With the defaults filled in.
Windows windows_of(const LengthProjectorOptions& options);
double parameter_count(const LengthProjectorOptions& options, int64_t heads, int64_t head_channels);

// Registers key and value, or key_value where they are one: [H | 1, k, n], or kernels [H | 1, D, D, kernel]; random
// matrices as buffers. Nothing has a bias, so that a masked row adds nothing.
class LengthProjectorImpl : public torch::nn::Module {
 public:
  LengthProjectorImpl(const LengthProjectorOptions& options, int64_t heads, int64_t head_channels);
  struct Projected {
    at::Tensor keys, values;  // [B, H, k, D]
    at::Tensor mask;          // bool [B, k], true where a row of them counts; undefined: all do
  };
  // The heads x W^T of x [B, n, C] with `weight` [2·H·D, C], keys before values. n up to `length`: a matrix gives its
  // first n columns, the last window may reach over the end. mask bool [B, n], true where a row counts: the others add
  // nothing to a projection, a mean or a maximum, and a window without rows that count is masked.
  Projected forward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& mask = {});

 private:
  std::vector<LengthProjection> projections(const at::Tensor& of_heads, int64_t rows) const;
  std::vector<at::Tensor> project(const at::Tensor& x, const at::Tensor& weight) const;

  LengthProjectorOptions options_;
  int64_t heads_;
  at::Tensor key_, value_;
};
TORCH_MODULE(LengthProjector);

}  // namespace perceive::nn
