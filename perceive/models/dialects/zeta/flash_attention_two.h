// zeta's FlashAttentionTwo (zetascale 0.3.1 to 0.8.3): native attention with the original's rules for masks, for causal
// attention of unequal lengths, and for queries without keys.
#pragma once

#include "perceive/nn/flash_attention.h"

namespace perceive::models::zeta {

// The constructor arguments by their own names and with their own defaults.
struct FlashAttentionTwoConfig {
  int64_t dim = 0;
  int64_t heads = 8;
  int64_t dim_head = 64;
  bool causal = false;
  int64_t q_bucket_size = 512;
  int64_t k_bucket_size = 1024;
  bool parallel = false;
  bool mixed_precision = false;
};
template <class Visitor>
void visit(FlashAttentionTwoConfig& o, Visitor&& field) {
  field("dim", o.dim, "channels of the input, the context and the output (required)");
  field("heads", o.heads, "attention heads");
  field("dim_head", o.dim_head, "channels of a head");
  field("causal", o.causal,
        "query i sees the keys up to i - max(keys - queries, 0): not what was meant with a context");
  field("q_bucket_size", o.q_bucket_size, "queries worked on at once");
  field("k_bucket_size", o.k_bucket_size, "keys worked on at once");
  field("parallel", o.parallel, "split the batch over the GPUs there are (the original cannot run so)");
  field("mixed_precision", o.mixed_precision,
        "no effect, as in the original on a CPU; perceive.FlashAttention computes in half precision");
}

// The native class without what sets this one apart.
nn::FlashAttentionOptions native_options(const FlashAttentionTwoConfig& config);

// forward() takes a mask [B, M], or four-dimensional and broadcastable to [B, H, N, M], bool or whole numbers of which
// 0 means false; the first axis of a three-dimensional one is the heads'. A mask that ends with a bucket before the
// keys (queries) do leaves out the rest of the keys (gives zeros for the rest of the queries). With keys that only
// `causal` takes from a query, it gets their mean, and gradients as many times too large as there are keys. float32 and
// float64.
class FlashAttentionTwoImpl : public nn::FlashAttentionImpl {
 public:
  explicit FlashAttentionTwoImpl(const FlashAttentionTwoConfig& config);

 protected:
  void check_call(const Sizes& sizes, const ops::AttendOptions& options) const override;
  // Sizes of less than N and M (and more than 1) are those of a mask that ended early.
  at::Tensor mask_of(const at::Tensor& given, const Sizes& sizes, const ops::AttendOptions& options) const override;
  at::Tensor attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                      const ops::AttendOptions& options) const override;
};
TORCH_MODULE(FlashAttentionTwo);

}  // namespace perceive::models::zeta
