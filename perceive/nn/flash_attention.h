// Multi-head attention in tiles of a given size, over all devices there are: what zeta's FlashAttentionTwo was meant to
// be.
//
// Shapes: B batch, N queries, M keys, C `dim`, H heads, D `dim_head`.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perceive/nn/linear.h"
#include "perceive/ops/attend.h"

namespace perceive::nn {

enum class HalfPrecision { bfloat16, float16 };
constexpr auto enum_names(HalfPrecision) {
  return std::array{std::pair{HalfPrecision::bfloat16, "bfloat16"}, std::pair{HalfPrecision::float16, "float16"}};
}

struct FlashAttentionOptions {
  int64_t dim = 0;
  int64_t heads = 8;
  int64_t dim_head = 64;
  bool causal = false;
  int64_t q_bucket_size = 512;
  int64_t k_bucket_size = 1024;
  bool parallel = false;
  bool mixed_precision = false;
  HalfPrecision mixed_precision_type = HalfPrecision::bfloat16;
};
template <class Visitor>
void visit(FlashAttentionOptions& o, Visitor&& field) {
  field("dim", o.dim, "channels of the input, the context and the output (required)");
  field("heads", o.heads, "attention heads");
  field("dim_head", o.dim_head, "channels of a head");
  field("causal", o.causal, "query i sees the keys up to i + (keys - queries): the last query sees all of them");
  field("q_bucket_size", o.q_bucket_size, "queries worked on at once; 0: chosen for the machine");
  field("k_bucket_size", o.k_bucket_size, "keys worked on at once; 0: chosen for the machine");
  field("parallel", o.parallel, "split the batch over the GPUs there are; without one nothing changes");
  field("mixed_precision", o.mixed_precision,
        "queries, keys and values in half precision where they are float32; softmax and sums stay in float32");
  field("mixed_precision_type", o.mixed_precision_type, "which half precision that is");
}
// Throws core::ConfigError.
void check(const FlashAttentionOptions& options);

// What forward() takes besides x. Bucket sizes stand in for those of the options.
struct FlashAttentionInputs {
  at::Tensor context;  // [B, M, C]; undefined: x
  at::Tensor mask;     // see FlashAttention
  std::optional<int64_t> q_bucket_size, k_bucket_size;
};

// softmax(Q K^T / sqrt(D)) V per head, then an output projection; no biases. Registers to_q [H·D, C], to_kv [2·H·D, C]
// (keys, then values) and to_out [C, H·D], in whose order their weights are drawn.
class FlashAttentionImpl : public torch::nn::Module {
 public:
  explicit FlashAttentionImpl(const FlashAttentionOptions& options);
  // x [B, N, C] to [B, N, C]. mask: [B, M], [B, N, M] or [B, H, N, M], 1 in place of a size stands for all; of any
  // dtype, a key counts where it is not 0. A query without keys gives zeros, and no gradient. Memory does not grow with
  // N·M. Throws c10::ValueError that names the argument.
  at::Tensor forward(const at::Tensor& x, const FlashAttentionInputs& inputs = {});
  // Those that `parallel` splits the batch over, in place of the GPUs there are. Parameters stay where they are; each
  // call copies them.
  void set_devices(std::vector<at::Device> devices) { devices_ = std::move(devices); }
  const FlashAttentionOptions& options() const { return options_; }

 protected:
  struct Sizes {
    int64_t batch, queries, keys;
  };
  // Before anything is computed. Throws c10::ValueError.
  virtual void check_call(const Sizes& sizes, const ops::AttendOptions& options) const;
  // The mask as bool [B | 1, H | 1, N | 1, M | 1].
  virtual at::Tensor mask_of(const at::Tensor& given, const Sizes& sizes, const ops::AttendOptions& options) const;
  // q [B, H, N, D], k and v [B, H, M, D], and what mask_of() gave, undefined without a mask.
  virtual at::Tensor attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                              const ops::AttendOptions& options) const;

 private:
  // What one device works on.
  struct Part {
    at::Tensor x, context, mask, to_q, to_kv, to_out;
    void move_to(const at::Device& device);
  };
  at::Tensor on_device(const Part& part, const ops::AttendOptions& options) const;

  FlashAttentionOptions options_;
  std::vector<at::Device> devices_;
  Linear to_q_{nullptr}, to_kv_{nullptr}, to_out_{nullptr};
};
TORCH_MODULE(FlashAttention);

}  // namespace perceive::nn
