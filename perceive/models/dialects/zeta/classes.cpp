// How forward() of each class is called by names.
#include "perceive/models/dialects/zeta/classes.h"

#include "perceive/models/dialects/zeta/flash_attention_two.h"
#include "perceive/models/flash_attention.h"

namespace perceive::models::zeta {
namespace {

class RunnableFlashAttentionTwo : public RunnableFlashAttention {
 public:
  explicit RunnableFlashAttentionTwo(const FlashAttentionTwoConfig& config)
      : RunnableFlashAttention(std::make_shared<FlashAttentionTwoImpl>(config)) {}

  std::optional<Native> native() override {
    if (model_->options().causal) return std::nullopt;
    return Native{{{"class", "perceive.FlashAttention"}, {"args", core::to_json(model_->options())}}, state_dict()};
  }
};

}  // namespace

std::vector<ModelClass> classes() {
  return {model_class<FlashAttentionTwoConfig>(
      "zeta.FlashAttentionTwo", "multi-head attention in tiles, without biases, dropout or norm",
      {"0.8.3", "0.7.0", "0.3.1"}, [](const FlashAttentionTwoConfig& config, const std::string&, const io::Tensors*) {
        return std::make_unique<RunnableFlashAttentionTwo>(config);
      })};
}

}  // namespace perceive::models::zeta
