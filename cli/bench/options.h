// The options of `perceive bench attention`, and the sizes they come to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perceive/ops/plan.h"

namespace perceive::cli::bench {

// Named sizes; what each one is for stands in the help of --shape.
enum class Shape { A, B, C, D, E, latent, small };
constexpr auto enum_names(Shape) {
  return std::array<std::pair<Shape, const char*>, 7>{{{Shape::A, "A"},
                                                       {Shape::B, "B"},
                                                       {Shape::C, "C"},
                                                       {Shape::D, "D"},
                                                       {Shape::E, "E"},
                                                       {Shape::latent, "latent"},
                                                       {Shape::small, "small"}}};
}

enum class Dtype { float32, float64, bfloat16, float16 };
constexpr auto enum_names(Dtype) {
  return std::array<std::pair<Dtype, const char*>, 4>{{{Dtype::float32, "float32"},
                                                       {Dtype::float64, "float64"},
                                                       {Dtype::bfloat16, "bfloat16"},
                                                       {Dtype::float16, "float16"}}};
}

struct AttentionOptions {
  std::optional<Shape> shape;
  int64_t batch = 1, heads = 1;
  int64_t latents = 512, keys = 65536, channels = 256, head_dim = 64;
  std::optional<std::string> grid;
  int64_t bands = 64;
  Dtype dtype = Dtype::float32;
  std::string plan = "automatic";
  std::optional<int64_t> threads;
  std::optional<std::string> json, baseline;
};
template <class Visitor>
void visit(AttentionOptions& o, Visitor&& field) {
  field("shape", o.shape,
        "sizes by name, which later options override: A few latents over a long input, B very few, C an image with "
        "Fourier features, D a million keys, E many latents; latent and small: self-attention, no source");
  field("batch", o.batch, "items B");
  field("heads", o.heads, "of queries, keys and values");
  field("latents", o.latents, "queries N");
  field("keys", o.keys, "keys M; the later of keys and grid counts");
  field("channels", o.channels, "features of a key in the source, without those of its position; 0: no source");
  field("head_dim", o.head_dim, "width of a query, key and value");
  field("grid", o.grid, "HxW: the keys lie on a grid, with Fourier features of their positions");
  field("bands", o.bands, "frequencies of those features an axis");
  field("dtype", o.dtype, "of all inputs");
  field("plan", o.plan, "of attend_source: automatic, separate, absorb_keys, absorb_values, absorb or separable");
  field("threads", o.threads, "null: as many as libtorch takes");
  field("json", o.json, "a file for the results");
  field("baseline", o.baseline,
        "results of an earlier run: exit with 1 where a ratio to libtorch's ways has fallen by more than 15 %");
}

// One call's sizes; keys is the product of the grid where there is one.
struct Sizes {
  int64_t batch = 1, heads = 1, latents = 1, keys = 1, channels = 0, head_dim = 1;
  std::vector<int64_t> grid;
  int64_t bands = 1;

  // Features of a key: channels, and a coordinate, sines and cosines for every axis.
  int64_t width() const { return channels + static_cast<int64_t>(grid.size()) * (2 * bands + 1); }
};

// Defaults, then the words of the command line from left to right. Throws core::ConfigError.
AttentionOptions read_attention_options(const std::vector<std::string>& words);

// Throws core::ConfigError for what is out of range, and where the machine has not got the memory.
Sizes sizes_of(const AttentionOptions& options);
// Throws core::ConfigError for an unknown plan and for one that cannot serve the sizes.
ops::SourcePlan plan_of(const AttentionOptions& options, const Sizes& sizes);

ops::SourceWork work_of(const Sizes& sizes);

}  // namespace perceive::cli::bench
