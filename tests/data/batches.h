// The batches of a loader, for tests.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "perceive/data/loader.h"

namespace perceive::data {

// All batches of an epoch as one.
inline Batch all_of(Loader& loader, int64_t epoch = 0) {
  loader.start(epoch);
  std::map<std::string, std::vector<at::Tensor>> parts;
  while (auto batch = loader.next()) {
    for (auto& [name, tensor] : *batch) parts[name].push_back(tensor);
  }
  Batch all;
  for (auto& [name, tensors] : parts) all[name] = at::cat(tensors);
  return all;
}

}  // namespace perceive::data
