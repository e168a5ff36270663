// What the runnable classes of all dialects share.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "perceive/models/model_class.h"

namespace perceive::models {

struct NoFlags {};
template <class Visitor>
void visit(NoFlags&, Visitor&&) {}

// Model: a module holder, or a shared_ptr to a module.
template <class Model, class Flags = NoFlags>
class Runnable : public RunnableModel {
 public:
  explicit Runnable(Model model) : model_(std::move(model)) {}
  torch::nn::Module& module() override { return *model_; }
  core::OptionRef flags() override { return core::reflect(flags_); }

 protected:
  Model model_;
  Flags flags_;
};

// forward() of one tensor, called x unless the original has another name for it.
template <class Model>
class RunnableX : public Runnable<Model> {
 public:
  RunnableX(Model model, const char* help, const char* name = "x")
      : Runnable<Model>(std::move(model)), help_(help), name_(name) {}
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{name_, help_, TensorArgument::Form::one, true}};
  }
  Outputs forward(const TensorArguments& arguments) override {
    return {{"output", this->model_->forward(arguments.one(name_))}};
  }

 private:
  const char *help_, *name_;
};

}  // namespace perceive::models
