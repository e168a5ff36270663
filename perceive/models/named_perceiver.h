// A Perceiver whose inputs have names, each with its own adapter and its own positions.
//
// Shapes: B batch, N latents of C channels.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "perceive/models/perceiver.h"
#include "perceive/nn/input_adapter.h"
#include "perceive/nn/sequence_input.h"

namespace perceive::models {

struct NamedInput {
  std::string name = "data";
  std::variant<nn::SequenceInputOptions, nn::ImageInputOptions, nn::TokenInputOptions> adapter;
};
template <class Visitor>
void visit(NamedInput& o, Visitor&& field) {
  field("name", o.name, "by which the input is given to forward()");
  field("adapter", o.adapter, "what the input is");
}

struct NamedPerceiverOptions : PerceiverOptions {
  std::vector<NamedInput> inputs;
  std::vector<std::string> reads;
};
template <class Visitor>
void visit(NamedPerceiverOptions& o, Visitor&& field) {
  visit(static_cast<PerceiverOptions&>(o), field);
  field("inputs", o.inputs, "inputs by name; none: one, `data`, of input_channels, without positions");
  field("reads", o.reads, "name of the input that each block reads; default: they take turns");
}

struct NamedInputTensors {
  at::Tensor values, mask;  // as the adapter takes them
};

// Registers model, and inputs.NAME where inputs were named.
class NamedPerceiverImpl : public torch::nn::Module {
 public:
  // Layers that `makers` makes stand in the place of ours.
  explicit NamedPerceiverImpl(const NamedPerceiverOptions& options, const nn::LayerMakers& makers = {});
  // The latents [B, N, C]; pooled where there is a pool.
  at::Tensor forward(const std::map<std::string, NamedInputTensors>& inputs);
  at::Tensor encode(const std::map<std::string, NamedInputTensors>& inputs, const at::Tensor& latents = {},
                    const nn::Trace& trace = {});
  std::vector<std::string> input_names() const { return names_; }
  Perceiver perceiver() const { return model_; }

 private:
  std::vector<std::string> names_;
  std::vector<std::shared_ptr<nn::InputAdapter>> adapters_;  // one a name; none where inputs have no adapters
  std::vector<size_t> reads_;                                // of each reading
  Perceiver model_{nullptr};
};
TORCH_MODULE(NamedPerceiver);

}  // namespace perceive::models
