// From the words of `perceive bench attention` to sizes.
#include "cli/bench/options.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>

#include "perceive/core/config.h"
#include "perceive/core/error.h"
#include "perceive/core/memory.h"
#include "perceive/core/number.h"
#include "perceive/core/text.h"

namespace perceive::cli::bench {
namespace {

constexpr int64_t kMostThreads = 4096;

void set_sizes(AttentionOptions& options, Shape shape) {
  const AttentionOptions defaults;
  options.shape = shape;
  options.batch = defaults.batch;
  options.heads = defaults.heads;
  options.latents = defaults.latents;
  options.keys = defaults.keys;
  options.channels = defaults.channels;
  options.head_dim = defaults.head_dim;
  options.grid.reset();
  options.bands = defaults.bands;
  switch (shape) {
    case Shape::A:
      break;
    case Shape::B:
      options.latents = 32;
      break;
    case Shape::C:
      options.channels = 3;
      options.grid = "224x224";
      break;
    case Shape::D:
      options.latents = 256;
      options.keys = 1 << 20;
      options.heads = 8;
      options.channels = 64;
      options.head_dim = 32;
      break;
    case Shape::E:
      options.latents = 2048;
      options.keys = 16384;
      options.heads = 8;
      options.channels = 512;
      break;
    case Shape::latent:
      options.batch = 8;
      options.heads = 8;
      options.keys = 512;
      options.channels = 0;
      break;
    case Shape::small:
      options.batch = 64;
      options.heads = 4;
      options.latents = 32;
      options.keys = 32;
      options.channels = 0;
      options.head_dim = 16;
      break;
  }
}

bool names(const core::Value& value, const std::string& option) {
  return std::any_of(value.entries.begin(), value.entries.end(),
                     [&](const auto& entry) { return entry.key == option; });
}

std::vector<int64_t> steps_of(const std::string& grid) {
  std::vector<int64_t> steps;
  for (size_t begin = 0; begin <= grid.size();) {
    const size_t end = std::min(grid.find('x', begin), grid.size());
    int64_t count = 0;
    if (!core::read_number(grid.substr(begin, end - begin), &count).ok || count < 1) {
      throw core::ConfigError("--grid expects steps such as 224x224, got " + core::in_quotes(grid));
    }
    steps.push_back(count);
    begin = end + 1;
  }
  return steps;
}

void require(int64_t value, int64_t least, const char* option) {
  if (value < least) throw core::ConfigError(fmt::format("--{} expects at least {}, got {}", option, least, value));
}

// Inputs, parameters, results and their gradients, for the larger of the two kinds of rows. In doubles, which absurd
// sizes do not overflow.
double needed_bytes(const AttentionOptions& options, const std::vector<int64_t>& grid) {
  const auto batch = static_cast<double>(options.batch), bands = static_cast<double>(options.bands);
  const double heads = static_cast<double>(options.heads) * static_cast<double>(options.head_dim);
  double keys = grid.empty() ? static_cast<double>(options.keys) : 1, width = static_cast<double>(options.channels);
  double tables = 0;
  for (const int64_t steps : grid) {
    keys *= static_cast<double>(steps);
    width += 2 * bands + 1;
    tables += static_cast<double>(steps) * (2 * bands + 1);
  }
  const double given = 2 * batch * keys * heads;
  const double source = batch * keys * static_cast<double>(options.channels) + 2 * heads * width + tables;
  const double latents = 2 * batch * heads * static_cast<double>(options.latents);
  const double element = options.dtype == Dtype::float64 ? 8 : options.dtype == Dtype::float32 ? 4 : 2;
  return 2 * element * (latents + std::max(given, options.channels > 0 ? source : 0));
}

}  // namespace

AttentionOptions read_attention_options(const std::vector<std::string>& words) {
  AttentionOptions options;
  for (const auto& value : core::read_arguments(words)) {
    AttentionOptions said = options;
    core::assign(said, {value});
    if (names(value, "shape") && said.shape) {
      set_sizes(options, *said.shape);
      core::assign(options, {value});
    } else {
      options = said;
    }
    if (names(value, "keys") && !names(value, "grid")) options.grid.reset();
  }
  return options;
}

Sizes sizes_of(const AttentionOptions& options) {
  require(options.batch, 1, "batch");
  require(options.heads, 1, "heads");
  require(options.latents, 1, "latents");
  require(options.keys, 1, "keys");
  require(options.channels, 0, "channels");
  require(options.head_dim, 1, "head_dim");
  require(options.bands, 1, "bands");
  if (options.threads) require(*options.threads, 1, "threads");
  if (options.threads && *options.threads > kMostThreads) {
    throw core::ConfigError(fmt::format("--threads expects at most {}, got {}", kMostThreads, *options.threads));
  }
  const auto grid = options.grid ? steps_of(*options.grid) : std::vector<int64_t>{};
  core::require_memory(needed_bytes(options, grid), "attention of these sizes, with its gradients,");
  Sizes sizes{.batch = options.batch,
              .heads = options.heads,
              .latents = options.latents,
              .keys = options.keys,
              .channels = options.channels,
              .head_dim = options.head_dim,
              .grid = grid,
              .bands = options.bands};
  if (!grid.empty()) sizes.keys = 1;
  for (const int64_t steps : grid) sizes.keys *= steps;
  return sizes;
}

ops::SourcePlan plan_of(const AttentionOptions& options, const Sizes& sizes) {
  auto plan = ops::SourcePlan::automatic;
  try {
    plan = ops::plan_of(options.plan);
  } catch (const c10::Error& error) {
    throw core::ConfigError(std::string("--plan: ") + error.what_without_backtrace());
  }
  const auto objection = ops::objection(plan, work_of(sizes));
  if (objection.empty()) return plan;
  throw core::ConfigError(fmt::format("--plan: {} cannot serve these sizes: {}", options.plan, objection));
}

ops::SourceWork work_of(const Sizes& sizes) {
  ops::SourceWork work{.queries = sizes.latents,
                       .heads = sizes.heads,
                       .key_heads = sizes.heads,
                       .keys = sizes.keys,
                       .channels = sizes.channels,
                       .key_width = sizes.head_dim,
                       .value_width = sizes.head_dim};
  for (const int64_t steps : sizes.grid) work.axes.push_back({steps, 2 * sizes.bands + 1});
  return work;
}

}  // namespace perceive::cli::bench
