// How forward() of each class is called by names.
#include "perceive/models/dialects/perceiver_io/classes.h"

#include "perceive/models/dialects/perceiver_io/image_classifier.h"
#include "perceive/models/dialects/runnable.h"

namespace perceive::models::perceiver_io {
namespace {

class RunnableImageClassifier : public Runnable<ImageClassifier> {
 public:
  using Runnable::Runnable;
  std::vector<std::string> load(io::Tensors tensors, const std::string& origin) override {
    return model_->load_state_dict(std::move(tensors), origin);
  }
  io::Tensors state_dict() override { return model_->state_dict(); }
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"x", "images [B, height, width, channels]", TensorArgument::Form::one, true},
            {"pad_mask", "[B, height · width], true where a pixel does not count, as in the original"}};
  }
  Outputs forward(const TensorArguments& arguments) override {
    const auto padding = arguments.mask("pad_mask");
    return {{"output", model_->forward(arguments.one("x"), padding.defined() ? padding.logical_not() : padding)}};
  }
};

}  // namespace

std::vector<ModelClass> classes() {
  return {model_class<ImageClassifierConfig>(
      "perceiver_io.image_classifier", "images to class scores", {"0.2.1"},
      [](const ImageClassifierConfig& config, const std::string&, const io::Tensors*) {
        return std::make_unique<RunnableImageClassifier>(ImageClassifier(config));
      })};
}

}  // namespace perceive::models::perceiver_io
