// The models that `perceive bench models` knows by name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/bench/models/options.h"

namespace perceive::cli::bench {

struct Recipe {
  const char* model;  // JSON: class, version, args
  const char* input;  // the name of forward()'s argument
  int64_t length;     // by default
  int64_t batch;
  std::vector<int64_t> item;  // sizes of an item behind its length
  // Paths of the arguments that hold them ("stack/depth"); empty: there is none.
  std::vector<const char*> lengths;
  const char* depth;
  const char* latents;
  bool any_length = true;
};
const Recipe& recipe_of(Preset preset);

}  // namespace perceive::cli::bench
