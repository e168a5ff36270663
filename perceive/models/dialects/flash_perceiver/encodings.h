// Position encodings of flash-perceiver 0.2.0 (flash_perceiver.utils.encodings), on coordinates x [..., n].
#pragma once

#include <torch/nn/module.h>

#include <array>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "perceive/core/options.h"

namespace perceive::models::flash_perceiver {

class Encoding : public torch::nn::Module {
 public:
  virtual int64_t out_dim() const = 0;
  // [..., n] to [..., out_dim].
  virtual at::Tensor forward(const at::Tensor& x) = 0;
};

struct IdentityConfig {
  static constexpr const char* kName = "IdentityPositionalEncoding";
  static constexpr std::array kAliases{"identity"};
  int64_t in_dim = 0;
};
template <class Visitor>
void visit(IdentityConfig& o, Visitor&& field) {
  field("in_dim", o.in_dim, "coordinates of a position (required)");
}

struct FourierConfig {
  static constexpr const char* kName = "FourierPositionalEncoding";
  std::vector<std::vector<double>> proj_matrix;
  bool is_trainable = false;
};
template <class Visitor>
void visit(FourierConfig& o, Visitor&& field) {
  field("proj_matrix", o.proj_matrix, "a row for each coordinate, a column for each feature (required)");
  field("is_trainable", o.is_trainable, "whether the matrix is a parameter");
}

struct GaussianConfig {
  static constexpr const char* kName = "GaussianFourierFeatureTransform";
  static constexpr std::array kAliases{"gaussian_fourier_features"};
  int64_t in_dim = 0, mapping_size = 32;
  double sigma = 1.0;
  bool is_trainable = false;
  std::optional<int64_t> seed;
};
template <class Visitor>
void visit(GaussianConfig& o, Visitor&& field) {
  field("in_dim", o.in_dim, "coordinates of a position (required)");
  field("mapping_size", o.mapping_size, "features; sines only, so as many, not twice as many as its text says");
  field("sigma", o.sigma, "standard deviation of the matrix");
  field("is_trainable", o.is_trainable, "whether the matrix is a parameter");
  field("seed", o.seed, "of the matrix; null: drawn with the other weights");
}

struct NeRFConfig {
  static constexpr const char* kName = "NeRFPositionalEncoding";
  static constexpr std::array kAliases{"nerf"};
  int64_t in_dim = 0, num_frequency_bands = 10;
};
template <class Visitor>
void visit(NeRFConfig& o, Visitor&& field) {
  field("in_dim", o.in_dim, "coordinates of a position (required)");
  field("num_frequency_bands", o.num_frequency_bands, "frequencies 1, 2, 4, … of each coordinate");
}

using EncodingConfig = std::variant<IdentityConfig, FourierConfig, GaussianConfig, NeRFConfig>;

std::shared_ptr<Encoding> make_encoding(const IdentityConfig& config);
std::shared_ptr<Encoding> make_encoding(const FourierConfig& config);
std::shared_ptr<Encoding> make_encoding(const GaussianConfig& config);
std::shared_ptr<Encoding> make_encoding(const NeRFConfig& config);

// The points of a grid over [-1, 1] on each axis, [sizes…, axes].
at::Tensor meshgrid(const std::vector<int64_t>& sizes, const at::TensorOptions& options);

}  // namespace perceive::models::flash_perceiver
