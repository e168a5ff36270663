// The constructor arguments of linformer (lucidrains) 0.2.3, by their own names and with their own defaults.
#pragma once

#include <cstdint>
#include <optional>

namespace perceive::models::linformer {

struct LinformerSelfAttentionConfig {
  int64_t dim = 0, seq_len = 0;
  int64_t k = 256, heads = 8;
  std::optional<int64_t> dim_head;
  bool one_kv_head = false, share_kv = false;
  double dropout = 0.0;

  int64_t head_channels() const { return dim_head.value_or(dim / heads); }
};

// Those that all classes have in the same order and words.
template <class Visitor>
void visit_heads(LinformerSelfAttentionConfig& o, Visitor&& field) {
  field("k", o.k, "length of the projected keys and values");
  field("heads", o.heads, "attention heads; must divide dim, also where dim_head is given");
  field("dim_head", o.dim_head, "channels of a head; null: dim / heads");
  field("one_kv_head", o.one_kv_head, "keys and values of one head, which all heads of the queries read");
  field("share_kv", o.share_kv, "the projected keys are the values, too: neither to_v nor proj_v");
}
template <class Visitor>
void visit(LinformerSelfAttentionConfig& o, Visitor&& field) {
  field("dim", o.dim, "channels of the input, the context and the output (required)");
  field("seq_len", o.seq_len, "most rows of keys and values (required); fewer take the projection's first rows");
  visit_heads(o, field);
  field("dropout", o.dropout, "dropout of attention weights");
}

struct LinformerConfig : LinformerSelfAttentionConfig {
  int64_t depth = 0;
  bool reversible = false;
};
template <class Visitor>
void visit(LinformerConfig& o, Visitor&& field) {
  field("dim", o.dim, "channels (required)");
  field("seq_len", o.seq_len, "the longest input (required)");
  field("depth", o.depth, "layers, each of attention and a feed-forward part (required)");
  visit_heads(o, field);
  field("reversible", o.reversible,
        "two residual streams, whose activations the backward pass computes from the output: other numbers than "
        "without");
  field("dropout", o.dropout, "dropout of attention weights, and of the feed-forward parts' hidden channels");
}

struct LinformerLMConfig : LinformerConfig {
  int64_t num_tokens = 0;
};
template <class Visitor>
void visit(LinformerLMConfig& o, Visitor&& field) {
  field("num_tokens", o.num_tokens, "tokens of the vocabulary (required)");
  visit(static_cast<LinformerConfig&>(o), field);
}

// Each throws core::ConfigError.
void check(const LinformerSelfAttentionConfig& config);
void check(const LinformerConfig& config);
void check(const LinformerLMConfig& config);

}  // namespace perceive::models::linformer
