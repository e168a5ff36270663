// `perceive run`: any model class forward, and its vector-Jacobian product.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "perceive/core/error.h"

namespace perceive::cli {

struct ModelRunOptions {
  std::string model;
  std::optional<std::string> weights, inputs, outputs, cotangents, grads, check, attention;
  std::optional<double> rtol, atol;
};
template <class Visitor>
void visit(ModelRunOptions& o, Visitor&& field) {
  field("model", o.model, "JSON file with the model's class and arguments, or a run's folder or checkpoint made here");
  field("weights", o.weights, "its weights (.safetensors, .pt, .pth, .bin, .ckpt), by the original's names");
  field("inputs", o.inputs, "safetensors file of forward()'s arguments: data, mask, …; lists as data.0, data.1");
  field("outputs", o.outputs, "safetensors file to write: output, or several by name");
  field("cotangents", o.cotangents, "safetensors file with a tensor for each output, for the gradients");
  field("grads", o.grads, "safetensors file to write: inputs.NAME and weights.NAME, where there is a gradient");
  field("check", o.check,
        "safetensors file of expected outputs (and gradients): compare, and exit with 1 if one differs");
  field("attention", o.attention,
        "PNG file to write: the attention weights among the outputs, of the first sample, a row an attention and a "
        "column a head");
  field("rtol", o.rtol, "relative tolerance of the check; default: 1e-5, in float64 1e-10 (gradients: ten times that)");
  field("atol", o.atol, "absolute tolerance of the check; default: the same");
}

core::ExitCode run_model(const std::vector<std::string>& arguments);

}  // namespace perceive::cli
