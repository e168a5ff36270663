// Blocks one after the other: the trunk of a Perceiver.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perceive/nn/block.h"
#include "perceive/nn/depth_attention.h"

namespace perceive::nn {

enum class WeightTying {
  none,
  after_first,  // the first block has weights of its own, all others share theirs (Perceiver, arXiv 2103.03206)
  all,
};
constexpr auto enum_names(WeightTying) {
  return std::array{std::pair{WeightTying::none, "none"}, std::pair{WeightTying::after_first, "after_first"},
                    std::pair{WeightTying::all, "all"}};
}

struct StackOptions {
  int64_t depth = 6;
  WeightTying tying = WeightTying::none;
  std::optional<DepthAttentionOptions> depth_attention;
};
template <class Visitor>
void visit(StackOptions& o, Visitor&& field) {
  field("depth", o.depth, "blocks");
  field("tying", o.tying, "which blocks share their weights");
  field("depth_attention", o.depth_attention, "after every block, mix the latents of all blocks so far; null: do not");
}

// What a run through the blocks leaves besides its result; null: not wanted.
struct Trace {
  std::vector<at::Tensor>* weights = nullptr;  // of every attention, in order
  // What every block gave, in front of it what the blocks were given, or the history as it was handed in.
  std::vector<at::Tensor>* hiddens = nullptr;
  const std::vector<at::Tensor>* history = nullptr;  // [B, N, C] each: takes the place of what the blocks were given
};

// Registers 0, 1, … (blocks; shared ones under every name) and mix.0, mix.1, … (depth attention).
class StackImpl : public torch::nn::Module {
 public:
  StackImpl(const StackOptions& options, const std::function<Block(int64_t)>& make_block, int64_t channels);
  // x [B | 1, N, C]; `contexts` one for all blocks, one each, or none where no block reads any. [B, N, C].
  at::Tensor forward(at::Tensor x, const std::vector<Context>& contexts, const Trace& trace = {});

 private:
  std::vector<Block> blocks_;
  std::vector<DepthAttention> mix_;
};
TORCH_MODULE(Stack);

}  // namespace perceive::nn
