// How forward() of nn::FlashAttention and of what derives from it is called by names.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "perceive/models/dialects/runnable.h"
#include "perceive/nn/flash_attention.h"

namespace perceive::models {

struct FlashAttentionFlags {
  std::optional<int64_t> q_bucket_size, k_bucket_size;
};
template <class Visitor>
void visit(FlashAttentionFlags& o, Visitor&& field) {
  field("q_bucket_size", o.q_bucket_size, "queries worked on at once; null: as the class has it");
  field("k_bucket_size", o.k_bucket_size, "keys worked on at once; null: as the class has it");
}

class RunnableFlashAttention : public Runnable<std::shared_ptr<nn::FlashAttentionImpl>, FlashAttentionFlags> {
 public:
  using Runnable::Runnable;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"x", "[B, N, dim]", TensorArgument::Form::one, true},
            {"context", "[B, M, dim], what x attends to; default: x itself"},
            {"mask", "[B, M] or [B, heads, N, M], not 0 where a key counts"}};
  }
  Outputs forward(const TensorArguments& arguments) override {
    return {{"output", model_->forward(arguments.one("x"), {.context = arguments.one("context"),
                                                            .mask = arguments.one("mask"),
                                                            .q_bucket_size = flags_.q_bucket_size,
                                                            .k_bucket_size = flags_.k_bucket_size})}};
  }
};

}  // namespace perceive::models
