// Classification of texts as perceiver-io 0.2.1's seq_clf script does it, on any of our data sets and models.
#include "cli/tasks/seq_clf.h"

#include <fmt/format.h>

#include "cli/tasks/predictions.h"
#include "cli/tasks/text_task.h"
#include "perceive/core/terminal.h"
#include "perceive/train/classifier.h"

namespace perceive::cli {
namespace {

constexpr size_t kRowsShown = 20;  // of the predictions of a whole test set
constexpr size_t kWidest = 60;     // characters of a text in a table

class SeqClf : public TextTask<TaskOptions<LabelledTextOptions, TextClassifierModelOptions>> {
 public:
  std::string name() const override { return "seq_clf"; }

  train::Classifier& learner() override {
    if (!learner_) {
      data();
      const auto model = in_group("model", [&] { return make_model(options_.model); });
      // A run that goes on, and what follows it, has all weights from its own checkpoint.
      if (!options_.ckpt_path) transfer(options_.model, *model.module);
      learner_ = std::make_unique<train::Classifier>(model.module, [forward = model.forward](const data::Batch& batch) {
        return forward(batch.at("ids"), batch.at("mask"));
      });
    }
    return *learner_;
  }

  void predict(train::Trainer& trainer, const PredictRequest& request, const std::filesystem::path& checkpoint,
               const std::filesystem::path& output) override {
    PredictionOptions wanted{data().class_names(), request.top_k.value_or(1), {}, checkpoint.string()};
    std::vector<Prediction> predictions;
    if (request.inputs.empty()) {
      wanted.input = [](int64_t index) { return fmt::format("test {}", index); };
      predictions = predict_classes(trainer, learner(), data(), wanted);
    } else {
      const TextInputs inputs(data(), texts_of(request.inputs));
      wanted.input = [&](int64_t index) { return inputs.texts().name(index); };
      predictions = predict_classes(trainer, learner(), inputs, wanted);
    }
    write_csv(predictions, "text", output);
    const size_t rows = request.inputs.empty() ? kRowsShown : predictions.size();
    core::write_all(1, table(predictions, rows, kWidest));
    core::write_all(1, fmt::format("{} texts, in {}\n", predictions.size(), output.string()));
  }

 private:
  std::unique_ptr<train::Classifier> learner_;
};

}  // namespace

std::unique_ptr<Task> seq_clf() {
  return std::make_unique<SeqClf>();
}

}  // namespace perceive::cli
