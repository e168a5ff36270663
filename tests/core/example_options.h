// Options of every supported type, in the shape of a training task's.
#pragma once

#include <array>

#include "perceive/core/options.h"

namespace perceive::example {

enum class Activation { relu, gelu };
constexpr auto enum_names(Activation) {
  return std::array<std::pair<Activation, const char*>, 2>{{{Activation::relu, "relu"}, {Activation::gelu, "gelu"}}};
}

struct AdamWOptions {
  static constexpr const char* kName = "AdamW";
  double lr = 1e-3;
  std::vector<double> betas{0.9, 0.999};
  bool amsgrad = false;
};
template <class Visitor>
void visit(AdamWOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("betas", o.betas, "decay of the two moments");
  field("amsgrad", o.amsgrad, "keep the largest second moment");
}

struct SgdOptions {
  static constexpr const char* kName = "SGD";
  static constexpr std::array kAliases{"StochasticGradientDescent"};
  double lr = 0.1;
  int64_t warmup = 0;
};
template <class Visitor>
void visit(SgdOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("warmup", o.warmup, "steps of linear warm-up");
}

struct NoOptimizer {
  static constexpr const char* kName = "NoOptimizer";
};
template <class Visitor>
void visit(NoOptimizer&, Visitor&&) {}

using Optimizer = std::variant<AdamWOptions, SgdOptions, NoOptimizer>;

struct TrainerOptions {
  int64_t max_steps = -1;
  std::optional<int64_t> max_epochs;
  std::optional<std::string> logger = "csv";
  bool deterministic = false;
};
template <class Visitor>
void visit(TrainerOptions& o, Visitor&& field) {
  field("max_steps", o.max_steps, "optimizer steps; -1: no limit");
  field("max_epochs", o.max_epochs, "passes over the data");
  field("logger", o.logger, "where scalars go");
  field("deterministic", o.deterministic, "same bits every time");
}

struct TaskOptions {
  std::string name = "run";
  TrainerOptions trainer;
  Activation activation = Activation::gelu;
  Optimizer optimizer;
  std::optional<Optimizer> second;
  std::vector<Optimizer> ensemble;
  std::vector<int64_t> sizes{3, 5};
  std::vector<std::string> words;
  std::optional<TrainerOptions> probe;
};
template <class Visitor>
void visit(TaskOptions& o, Visitor&& field) {
  field("name", o.name, "of the run");
  field("trainer", o.trainer, "how to train");
  field("activation", o.activation, "between the layers");
  field("optimizer", o.optimizer, "what steps");
  field("second", o.second, "what else steps");
  field("ensemble", o.ensemble, "more of them");
  field("sizes", o.sizes, "of the layers");
  field("words", o.words, "of the prompt");
  field("probe", o.probe, "a shorter training before");
}

}  // namespace perceive::example
