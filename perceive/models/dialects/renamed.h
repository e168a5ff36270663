// A native model under the parameter names of another code base.
#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace perceive::models {

struct Name {
  std::string theirs;  // "0.cross_attn_n.module.0.module.q_norm.weight"
  std::string ours;    // "encoder.cross.attention.query_norm.weight"
};

// What stands for what at the beginning of a name: ours, theirs.
using Prefixes = std::vector<std::pair<std::string, std::string>>;

// Collects the names of a model's parameters, part by part.
class NameList {
 public:
  explicit NameList(const torch::nn::Module& model);
  // The parameters whose names begin with `ours` get `theirs` in its place; the rest of the name is changed by the
  // first of `within` that fits. In the order of `within`, or of the model where it is empty.
  void add(const std::string& ours, const std::string& theirs, const Prefixes& within = {});
  bool has(const std::string& ours) const;  // a parameter whose name begins so
  const std::vector<Name>& names() const { return names_; }

 private:
  std::vector<std::string> all_;
  std::vector<Name> names_;
};

// Registers every parameter of `model` under its name(s) over there, in the order of `names`, and nothing else. The
// tensors are the model's own, so that loading, moving, training and saving this module does it to the model; a
// parameter with several names is one tensor under all of them.
class Renamed : public torch::nn::Module {
 public:
  void train(bool on = true) override;

 protected:
  // Throws c10::Error where a parameter of the model has no name, or a name no parameter.
  Renamed(std::shared_ptr<torch::nn::Module> model, const std::vector<Name>& names);

 private:
  std::shared_ptr<torch::nn::Module> model_;
};

}  // namespace perceive::models
