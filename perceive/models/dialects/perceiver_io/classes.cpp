// How forward() of each class is called by names.
#include "perceive/models/dialects/perceiver_io/classes.h"

#include "perceive/models/dialects/perceiver_io/image_classifier.h"
#include "perceive/models/dialects/perceiver_io/masked_lm.h"
#include "perceive/models/dialects/perceiver_io/text_classifier.h"
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

const std::vector<TensorArgument> kText{{"x", "token ids [B, l]", TensorArgument::Form::one, true},
                                        {"pad_mask", "[B, l], true where a token is padding, as in the original"}};

class RunnableTextClassifier : public Runnable<TextClassifier> {
 public:
  using Runnable::Runnable;
  std::vector<TensorArgument> tensor_arguments() const override { return kText; }
  Outputs forward(const TensorArguments& arguments) override {
    return {{"output", model_->forward(arguments.one("x"), arguments.mask("pad_mask"))}};
  }
};

struct MaskedLMFlags {
  bool masking = false;
};
template <class Visitor>
void visit(MaskedLMFlags& o, Visitor&& field) {
  field("masking", o.masking, "mask tokens at random first, and return what they were as labels");
}

class RunnableMaskedLM : public Runnable<MaskedLM, MaskedLMFlags> {
 public:
  using Runnable::Runnable;
  std::vector<TensorArgument> tensor_arguments() const override { return kText; }
  Outputs forward(const TensorArguments& arguments) override {
    const auto ids = arguments.one("x"), pad_mask = arguments.mask("pad_mask");
    if (!flags_.masking) return {{"output", model_->forward(ids, pad_mask)}};
    const auto [logits, labels] = model_->forward_masked(ids, pad_mask);
    return {{"output", logits}, {"labels", labels}};
  }
};

}  // namespace

std::vector<ModelClass> classes() {
  return {
      model_class<ImageClassifierConfig>(
          "perceiver_io.image_classifier", "images to class scores", {"0.2.1"},
          [](const ImageClassifierConfig& config, const std::string&, const io::Tensors*) {
            return std::make_unique<RunnableImageClassifier>(ImageClassifier(config));
          }),
      model_class<TextClassifierConfig>("perceiver_io.text_classifier", "texts to class scores", {"0.2.1"},
                                        [](TextClassifierConfig config, const std::string&, const io::Tensors*) {
                                          // The factory's model; freezing is the training script's.
                                          config.encoder.freeze = false;
                                          return std::make_unique<RunnableTextClassifier>(TextClassifier(config));
                                        }),
      model_class<MaskedLMConfig>("perceiver_io.masked_lm", "texts to scores of the tokens behind a mask", {"0.2.1"},
                                  [](const MaskedLMConfig& config, const std::string&, const io::Tensors*) {
                                    return std::make_unique<RunnableMaskedLM>(MaskedLM(config));
                                  })};
}

}  // namespace perceive::models::perceiver_io
