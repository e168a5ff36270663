// How forward() of each class is called by names.
#include "perceive/models/dialects/linformer/classes.h"

#include "perceive/models/dialects/linformer/linformer.h"
#include "perceive/models/dialects/runnable.h"

namespace perceive::models::linformer {
namespace {

class RunnableSelfAttention : public Runnable<LinformerSelfAttention> {
 public:
  using Runnable::Runnable;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"x", "[B, n, dim]", TensorArgument::Form::one, true},
            {"context", "[B, up to seq_len, dim]: what keys and values are made of; without, x"}};
  }
  Outputs forward(const TensorArguments& arguments) override {
    return {{"output", model_->forward(arguments.one("x"), arguments.one("context"))}};
  }
};

template <class Config, class Model>
ModelClass of_x(const char* name, const char* help, const char* input) {
  return model_class<Config>(name, help, {"0.2.3"},
                             [input](const Config& config, const std::string&, const io::Tensors*) {
                               return std::make_unique<RunnableX<Model>>(Model(config), input);
                             });
}

}  // namespace

std::vector<ModelClass> classes() {
  return {
      of_x<LinformerConfig, Linformer>("linformer.Linformer",
                                       "layers of attention to projected keys and values, reversible if asked",
                                       "[B, up to seq_len, dim]"),
      of_x<LinformerLMConfig, LinformerLM>("linformer.LinformerLM", "tokens to their logits",
                                           "tokens, int64 [B, up to seq_len]"),
      model_class<LinformerSelfAttentionConfig>(
          "linformer.LinformerSelfAttention", "attention to keys and values that are projected along the length",
          {"0.2.3"},
          [](const LinformerSelfAttentionConfig& config, const std::string&, const io::Tensors*) {
            return std::make_unique<RunnableSelfAttention>(LinformerSelfAttention(config));
          }),
  };
}

}  // namespace perceive::models::linformer
