// What a task's data decides of its model, and where a refusal belongs.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "perceive/core/error.h"

namespace perceive::cli {

// Puts what the data says into an option of the model, which nobody may have set to something else.
template <class T>
void link_option(const char* key, T& option, const T& standard, const T& linked) {
  if (option != standard && option != linked) {
    throw core::ConfigError(
        fmt::format("{}: this follows from the data, which says {}; got {}. Leave it out", key, linked, option));
  }
  option = linked;
}

// What make() gives; what it refuses is said to be in `group` of the options.
template <class Make>
auto in_group(const char* group, Make&& make) {
  try {
    return make();
  } catch (const core::ConfigError& error) {
    throw core::ConfigError(fmt::format("{}: {}", group, error.what()));
  }
}

}  // namespace perceive::cli
