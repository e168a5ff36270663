// Multi-head attention of an array over itself, or over a described input.
//
// Shapes: B batch, N queries, C their channels, M keys, K their width, H heads.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perceive/nn/keys.h"
#include "perceive/nn/linear.h"

namespace perceive::nn {

// Which projections are rows of one matrix.
enum class Packing {
  separate,
  key_value,  // keys, then values
  all,        // queries, keys, values; of self-attention
};
constexpr auto enum_names(Packing) {
  return std::array{std::pair{Packing::separate, "separate"}, std::pair{Packing::key_value, "key_value"},
                    std::pair{Packing::all, "all"}};
}
constexpr auto enum_names(EmptyRows) {
  return std::array{std::pair{EmptyRows::zeros, "zeros"}, std::pair{EmptyRows::uniform, "uniform"},
                    std::pair{EmptyRows::penalty, "penalty"}};
}

struct AttentionOptions {
  int64_t heads = 1;
  std::optional<int64_t> qk_channels;
  std::optional<int64_t> v_channels;
  std::optional<int64_t> output_channels;
  bool normalize_query = true;
  bool normalize_context = true;
  bool qkv_bias = true;
  Packing packing = Packing::separate;
  int64_t rotary_channels = 0;
  bool queries_as_keys = false;
  EmptyRows empty_rows = EmptyRows::zeros;
  double dropout = 0.0;
};
template <class Visitor>
void visit(AttentionOptions& o, Visitor&& field) {
  field("heads", o.heads, "attention heads; must divide qk_channels and v_channels");
  field("qk_channels", o.qk_channels, "channels of queries and keys over all heads; default: those of the query input");
  field("v_channels", o.v_channels, "channels of values over all heads; default: qk_channels");
  field("output_channels", o.output_channels, "channels of the result; default: those of the query input");
  field("normalize_query", o.normalize_query,
        "LayerNorm before the query projection (self-attention: before all three)");
  field("normalize_context", o.normalize_context, "LayerNorm before the key and value projections of cross-attention");
  field("qkv_bias", o.qkv_bias, "biases on the query, key and value projections");
  field("packing", o.packing, "which projections are kept as one matrix");
  field("rotary_channels", o.rotary_channels, "channels of each head that rotary position embedding turns; 0: none");
  field("queries_as_keys", o.queries_as_keys, "cross-attention also reads its normalised query input, before the rest");
  field("empty_rows", o.empty_rows, "what a query gets for which every key is masked");
  field("dropout", o.dropout, "probability of dropping an attention weight");
}

// Widths of what attention reads; context: K, or nothing for self-attention.
struct AttentionWidths {
  int64_t query = 0;
  std::optional<int64_t> context;
};

// The options with every default filled in.
struct AttentionChannels {
  int64_t qk, v, output;
};
AttentionChannels resolve(const AttentionOptions& options, const AttentionWidths& widths);
// Throws core::ConfigError; `key` is put in front of each option's name ("encoder.cross.").
void check(const AttentionOptions& options, const AttentionWidths& widths, const std::string& key = "");
double parameter_count(const AttentionOptions& options, const AttentionWidths& widths);

// What a cross-attention reads: sources of one width, whose keys stand in one long row.
struct Context {
  std::vector<ops::Source> sources;
  bool inverted = false;  // see ReadOptions

  Context(ops::Source source) : sources{std::move(source)} {}
  Context(std::vector<ops::Source> all) : sources(std::move(all)) {}
};

// softmax(Q K^T / sqrt(D)) V per head, heads side by side (head-major), then the output projection. Registers
// query_norm and context_norm (self-attention: norm), then query, key, value (or query, key_value; or query_key_value),
// and output.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(const AttentionOptions& options, const AttentionWidths& widths);

  // Self-attention: x [B, N, C] to [B, N, output].
  at::Tensor forward(const at::Tensor& x);
  // Cross-attention: x [B | 1, N, C] over the keys of `context`, to [B, N, output]. A query left without keys gets the
  // output projection's bias, unless empty_rows says otherwise.
  at::Tensor forward(const at::Tensor& x, const Context& context);
  // The weights [B, H, N, M] of the same calls, before dropout; [B, H, N, N] of self-attention.
  at::Tensor weights(const at::Tensor& x);
  at::Tensor weights(const at::Tensor& x, const Context& context);
  void set_empty_rows(EmptyRows rows) { options_.empty_rows = rows; }

 private:
  struct Heads {
    at::Tensor q, k, v;  // [B, H, N, D], [B, H, N, D], [B, H, N, Dv]
  };
  Heads heads(const at::Tensor& x);
  struct Reading {
    at::Tensor q;
    std::vector<Keys> keys;
    ReadOptions options;
  };
  Reading reading(const at::Tensor& x, const Context& context);
  ops::Projection projection() const;
  ops::AttendOptions attend_options() const;

  AttentionOptions options_;
  AttentionWidths widths_;
  AttentionChannels channels_;
  torch::nn::LayerNorm query_norm_{nullptr}, context_norm_{nullptr};
  Linear query_{nullptr}, key_{nullptr}, value_{nullptr}, key_value_{nullptr}, query_key_value_{nullptr};
  Linear output_{nullptr};
};
TORCH_MODULE(Attention);

}  // namespace perceive::nn
