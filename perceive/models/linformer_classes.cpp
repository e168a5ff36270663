// How forward() of each native Linformer is called by names.
#include "perceive/models/linformer_classes.h"

#include "perceive/models/dialects/runnable.h"
#include "perceive/models/linformer_enc_dec.h"

namespace perceive::models {
namespace {

class RunnableLinformer : public Runnable<Linformer> {
 public:
  using Runnable::Runnable;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"x", "[B, up to length, channels]", TensorArgument::Form::one, true},
            {"mask", "[B, n], true where a row counts"}};
  }
  Outputs forward(const TensorArguments& arguments) override {
    return {{"output", model_->forward(arguments.one("x"), arguments.mask("mask"))}};
  }
};

struct TokenFlags {
  std::optional<GenerateOptions> generate;
};
template <class Visitor>
void visit(TokenFlags& o, Visitor&& field) {
  field("generate", o.generate, "give the tokens that follow as `output`, in place of the logits; null: do not");
}

class RunnableLinformerLM : public Runnable<LinformerLM, TokenFlags> {
 public:
  using Runnable::Runnable;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"ids", "tokens [B, up to length]", TensorArgument::Form::one, true},
            {"mask", "[B, n], true where a token counts; not to generate"}};
  }
  Outputs forward(const TensorArguments& arguments) override {
    const auto ids = arguments.one("ids"), mask = arguments.mask("mask");
    if (!flags_.generate) return {{"output", model_->forward(ids, mask)}};
    TORCH_CHECK_VALUE(!mask.defined(), "mask: every token of a prompt counts when others are generated; leave it out");
    return {{"output", model_->generate(ids, *flags_.generate)}};
  }
};

class RunnableLinformerEncDec : public Runnable<LinformerEncDec, TokenFlags> {
 public:
  using Runnable::Runnable;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"source", "tokens [B, up to the encoder's length]", TensorArgument::Form::one, true},
            {"target", "tokens [B, up to the decoder's length]", TensorArgument::Form::one, true},
            {"source_mask", "[B, m], true where a token counts"},
            {"target_mask", "[B, n], true where a token counts; not to generate"}};
  }
  Outputs forward(const TensorArguments& arguments) override {
    const auto source = arguments.one("source"), target = arguments.one("target");
    const auto source_mask = arguments.mask("source_mask"), target_mask = arguments.mask("target_mask");
    if (!flags_.generate) return {{"output", model_->forward(source, target, source_mask, target_mask)}};
    TORCH_CHECK_VALUE(!target_mask.defined(),
                      "target_mask: every token of a prompt counts when others are generated; leave it out");
    return {{"output", model_->generate(source, target, *flags_.generate, source_mask)}};
  }
};

template <class Options, class Model, class Runnable>
ModelClass native(const char* name, const char* help) {
  return model_class<Options>(name, help, {"1"}, [](const Options& options, const std::string&, const io::Tensors*) {
    return std::make_unique<Runnable>(Model(options));
  });
}

}  // namespace

std::vector<ModelClass> linformer_classes() {
  return {
      native<LinformerOptions, Linformer, RunnableLinformer>(
          "perceive.Linformer", "attention to keys and values projected along the length, with masks and causally"),
      native<LinformerLMOptions, LinformerLM, RunnableLinformerLM>(
          "perceive.LinformerLM", "tokens to their logits, or to the tokens that follow, by a Linformer"),
      native<LinformerEncDecOptions, LinformerEncDec, RunnableLinformerEncDec>(
          "perceive.LinformerEncDec", "a source and a target of tokens to the target's logits, or to what follows")};
}

}  // namespace perceive::models
