// A data set with its splits, as the trainer asks for it.
#pragma once

#include <memory>
#include <string>

#include "perceive/data/loader.h"

namespace perceive::data {

// Null where there is no such split. Each call gives a loader of its own.
class DataModule {
 public:
  virtual ~DataModule() = default;
  virtual std::unique_ptr<Loader> train() const { return nullptr; }
  virtual std::unique_ptr<Loader> validation() const { return nullptr; }
  virtual std::unique_ptr<Loader> test() const { return nullptr; }
  virtual std::unique_ptr<Loader> predict() const { return nullptr; }
  // Identifies the data; a checkpoint remembers it, and a resumed run warns where it differs.
  virtual std::string fingerprint() const = 0;
};

}  // namespace perceive::data
