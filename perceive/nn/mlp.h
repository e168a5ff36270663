// The feed-forward part of a layer.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "perceive/nn/linear.h"

namespace perceive::nn {

enum class MlpActivation {
  gelu,   // exact, by erf
  geglu,  // the first half of twice as many hidden features, times GELU of the second (Shazeer 2020, arXiv 2002.05202)
  glu,    // … times the sigmoid of the second (Dauphin et al. 2016, arXiv 1612.08083)
};
constexpr auto enum_names(MlpActivation) {
  return std::array{std::pair{MlpActivation::gelu, "gelu"}, std::pair{MlpActivation::geglu, "geglu"},
                    std::pair{MlpActivation::glu, "glu"}};
}

struct MlpOptions {
  int64_t widening_factor = 1;
  std::optional<int64_t> hidden_channels;
  MlpActivation activation = MlpActivation::gelu;
};
template <class Visitor>
void visit(MlpOptions& o, Visitor&& field) {
  field("widening_factor", o.widening_factor, "width of the MLP's hidden layer, in widths of its input");
  field("hidden_channels", o.hidden_channels, "width of the MLP's hidden layer; default: by the widening factor");
  field("activation", o.activation, "of the MLP; gated ones compute the hidden layer twice");
}
// Throws core::ConfigError.
void check(const MlpOptions& options, int64_t channels, const std::string& key = "");
double parameter_count(const MlpOptions& options, int64_t channels);

// output(activation(hidden(norm(x)))), x [..., C].
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(const MlpOptions& options, int64_t channels);
  at::Tensor forward(const at::Tensor& x);

 private:
  MlpActivation activation_;
  torch::nn::LayerNorm norm_{nullptr};
  Linear hidden_{nullptr}, output_{nullptr};
};
TORCH_MODULE(Mlp);

}  // namespace perceive::nn
