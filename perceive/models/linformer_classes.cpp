// How forward() of each native Linformer is called by names.
#include "perceive/models/linformer_classes.h"

#include "perceive/models/dialects/runnable.h"
#include "perceive/models/linformer.h"

namespace perceive::models {
namespace {

// forward(x, mask).
template <class Model>
class RunnableLinformer : public Runnable<Model> {
 public:
  RunnableLinformer(Model model, const char* help) : Runnable<Model>(std::move(model)), help_(help) {}
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"x", help_, TensorArgument::Form::one, true}, {"mask", "[B, n], true where a row counts"}};
  }
  Outputs forward(const TensorArguments& arguments) override {
    return {{"output", this->model_->forward(arguments.one("x"), arguments.mask("mask"))}};
  }

 private:
  const char* help_;
};

}  // namespace

std::vector<ModelClass> linformer_classes() {
  const std::vector<std::string> version{"1"};
  return {
      model_class<LinformerOptions>(
          "perceive.Linformer", "attention to keys and values projected along the length, with masks and causally",
          version,
          [](const LinformerOptions& options, const std::string&, const io::Tensors*) {
            return std::make_unique<RunnableLinformer<Linformer>>(Linformer(options), "[B, up to length, channels]");
          }),
      model_class<LinformerLMOptions>("perceive.LinformerLM", "tokens to their logits, by a Linformer", version,
                                      [](const LinformerLMOptions& options, const std::string&, const io::Tensors*) {
                                        return std::make_unique<RunnableLinformer<LinformerLM>>(
                                            LinformerLM(options), "token ids [B, up to length]");
                                      })};
}

}  // namespace perceive::models
