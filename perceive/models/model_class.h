// A model class by its name and arguments, as configurations and the program see it.
#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perceive/core/options.h"
#include "perceive/io/tensors.h"

namespace perceive::models {

// An argument of a class's forward() that holds tensors.
struct TensorArgument {
  enum class Form { one, list, either };
  std::string name, help;
  Form form = Form::one;
  bool required = false;
};

// The tensors given to forward(), by argument; `data.0`, `data.1` are a list.
class TensorArguments {
 public:
  // Throws core::DataError for a name that no argument has, a gap in a list, and what is missing. `x` means the first
  // argument. `origin` is what the tensors are said to come from.
  TensorArguments(const io::Tensors& tensors, const std::vector<TensorArgument>& arguments, const std::string& origin);
  bool is_list(const std::string& argument) const;
  at::Tensor one(const std::string& argument) const;                // undefined where it was not given
  std::vector<at::Tensor> list(const std::string& argument) const;  // of one element where one tensor was given
  // A mask: bool, or whole numbers of which 0 means false.
  at::Tensor mask(const std::string& argument) const;
  std::vector<at::Tensor> masks(
      const std::string& argument) const;  // with undefined tensors where a number is left out

 private:
  std::map<std::string, std::map<int64_t, at::Tensor>> given_;
  std::map<std::string, bool> is_list_;
};

// Named in the order of the original's results: "output", "hiddens.0", ….
using Outputs = std::vector<std::pair<std::string, at::Tensor>>;
void append(Outputs& outputs, const std::string& name, const std::vector<at::Tensor>& list);

class RunnableModel {
 public:
  virtual ~RunnableModel() = default;
  // With the original's parameter names.
  virtual torch::nn::Module& module() = 0;
  // Strict; see io::load_into.
  virtual std::vector<std::string> load(io::Tensors tensors, const std::string& origin);
  // What the original's state_dict holds.
  virtual io::Tensors state_dict();
  virtual std::vector<TensorArgument> tensor_arguments() const = 0;
  // The scalars and flags of forward(): a group of options.
  virtual core::OptionRef flags() = 0;
  virtual Outputs forward(const TensorArguments& arguments) = 0;
  // The same model as a native class, where the numbers are the same.
  struct Native {
    nlohmann::json description;  // see load_model() in catalog.h
    io::Tensors tensors;
  };
  virtual std::optional<Native> native() { return std::nullopt; }
};

// The arguments of a class, to be filled in.
class ModelArguments {
 public:
  virtual ~ModelArguments() = default;
  virtual core::OptionRef options() = 0;
  // `weights`: what will be loaded, where a size follows from it only; may be null. Throws core::ConfigError.
  virtual std::unique_ptr<RunnableModel> make(const std::string& version, const io::Tensors* weights) = 0;
};

struct ModelClass {
  std::string name;                   // "flash_perceiver.Perceiver"
  std::string help;                   // one line
  std::vector<std::string> versions;  // of the original that it can stand for; the first unless another is asked for
  std::function<std::unique_ptr<ModelArguments>()> arguments;
};

// make(options, version, weights) gives a std::unique_ptr<RunnableModel>.
template <class Options, class Make>
ModelClass model_class(std::string name, std::string help, std::vector<std::string> versions, Make make) {
  class Arguments : public ModelArguments {
   public:
    explicit Arguments(Make make) : make_(std::move(make)) {}
    core::OptionRef options() override { return core::reflect(options_); }
    std::unique_ptr<RunnableModel> make(const std::string& version, const io::Tensors* weights) override {
      return make_(options_, version, weights);
    }

   private:
    Options options_;
    Make make_;
  };
  return {std::move(name), std::move(help), std::move(versions), [make] { return std::make_unique<Arguments>(make); }};
}

}  // namespace perceive::models
