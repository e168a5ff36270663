// Position encodings of flash-perceiver 0.2.0.
#include "perceive/models/dialects/flash_perceiver/encodings.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include <numbers>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"

namespace perceive::models::flash_perceiver {
namespace {

class Identity : public Encoding {
 public:
  explicit Identity(int64_t width) : width_(width) {}
  int64_t out_dim() const override { return width_; }
  at::Tensor forward(const at::Tensor& x) override { return x; }

 private:
  int64_t width_;
};

// sin(2 pi x P)
class Fourier : public Encoding {
 public:
  Fourier(const at::Tensor& matrix, bool is_trainable) {
    matrix_ = is_trainable ? register_parameter("proj_matrix", matrix) : register_buffer("proj_matrix", matrix);
  }
  int64_t out_dim() const override { return matrix_.size(1); }
  at::Tensor forward(const at::Tensor& x) override {
    TORCH_CHECK_VALUE(x.size(-1) == matrix_.size(0), "Expected input to have ", matrix_.size(0),
                      " channels, but found ", x.size(-1));
    return at::sin(2.0 * std::numbers::pi * at::matmul(x, matrix_));
  }

 private:
  at::Tensor matrix_;
};

// sin and cos of pi 2^k c for each coordinate c.
class NeRF : public Encoding {
 public:
  explicit NeRF(const NeRFConfig& config) : in_dim_(config.in_dim) {
    const auto frequencies = at::pow(2.0, at::arange(config.num_frequency_bands, at::kFloat)).unsqueeze(0);
    matrix_ = register_buffer("proj_matrix", frequencies);
  }
  int64_t out_dim() const override { return 2 * matrix_.size(1) * in_dim_; }
  at::Tensor forward(const at::Tensor& x) override {
    const auto angle = std::numbers::pi * x.unsqueeze(-1) * matrix_;  // [..., n, bands]
    return at::cat({angle.sin(), angle.cos()}, -1).flatten(-2);
  }

 private:
  int64_t in_dim_;
  at::Tensor matrix_;
};

}  // namespace

std::shared_ptr<Encoding> make_encoding(const IdentityConfig& config) {
  nn::require_at_least("in_dim", config.in_dim, 1);
  return std::make_shared<Identity>(config.in_dim);
}

std::shared_ptr<Encoding> make_encoding(const FourierConfig& config) {
  const auto& rows = config.proj_matrix;
  if (rows.empty() || rows.front().empty()) {
    throw core::ConfigError("proj_matrix: expected a list of rows, one for each coordinate; got an empty one");
  }
  std::vector<double> numbers;
  for (const auto& row : rows) {
    if (row.size() != rows.front().size()) {
      throw core::ConfigError(c10::str("proj_matrix: rows of ", rows.front().size(), " and ", row.size(), " numbers"));
    }
    numbers.insert(numbers.end(), row.begin(), row.end());
  }
  const auto matrix = at::tensor(numbers, at::kDouble).view({static_cast<int64_t>(rows.size()), -1});
  return std::make_shared<Fourier>(matrix.to(at::kFloat), config.is_trainable);
}

std::shared_ptr<Encoding> make_encoding(const GaussianConfig& config) {
  nn::require_at_least("in_dim", config.in_dim, 1);
  nn::require_at_least("mapping_size", config.mapping_size, 1);
  std::optional<at::Generator> generator;
  if (config.seed) generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(*config.seed));
  const auto matrix = at::normal(0.0, config.sigma, {config.in_dim, config.mapping_size}, generator);
  return std::make_shared<Fourier>(matrix, config.is_trainable);
}

std::shared_ptr<Encoding> make_encoding(const NeRFConfig& config) {
  nn::require_at_least("in_dim", config.in_dim, 1);
  nn::require_at_least("num_frequency_bands", config.num_frequency_bands, 1);
  return std::make_shared<NeRF>(config);
}

at::Tensor meshgrid(const std::vector<int64_t>& sizes, const at::TensorOptions& options) {
  std::vector<at::Tensor> axes;
  for (const int64_t size : sizes) axes.push_back(at::linspace(-1.0, 1.0, size, options));
  return at::stack(at::meshgrid(axes, "ij"), -1);
}

}  // namespace perceive::models::flash_perceiver
