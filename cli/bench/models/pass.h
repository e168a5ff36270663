// One pass of a model over given inputs, again and again.
#pragma once

#include <memory>

#include "cli/bench/models/options.h"
#include "perceive/io/tensors.h"
#include "perceive/models/catalog.h"
#include "perceive/train/optimizer.h"

namespace perceive::cli::bench {

class ModelPass {
 public:
  // Makes the model, its inputs and room for its gradients; writes what `save` asks for. Throws core::ConfigError,
  // core::FileError and core::DataError for files that do not fit.
  explicit ModelPass(const ModelOptions& options);

  // Outputs by name, without their graph.
  io::Tensors run();

  std::string class_name() const { return loaded_.model_class->name; }
  std::string version() const { return loaded_.version; }
  int64_t parameters() const;
  int64_t items() const;  // of a batch

 private:
  Pass pass_;
  models::LoadedModel loaded_;
  io::Tensors inputs_;
  std::unique_ptr<models::TensorArguments> arguments_;
  std::unique_ptr<train::Optimizer> optimizer_;
};

}  // namespace perceive::cli::bench
