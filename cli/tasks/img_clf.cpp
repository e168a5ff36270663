// Image classification as perceiver-io 0.2.1's img_clf script does it, on any of our data sets and models.
#include "cli/tasks/img_clf.h"

#include <fmt/format.h>

#include "cli/tasks/img_clf_inputs.h"
#include "cli/tasks/img_clf_models.h"
#include "cli/tasks/img_clf_pictures.h"
#include "cli/tasks/link.h"
#include "cli/tasks/predictions.h"
#include "perceive/core/error.h"
#include "perceive/core/terminal.h"
#include "perceive/data/cifar.h"
#include "perceive/data/mnist.h"
#include "perceive/train/classifier.h"

namespace perceive::cli {
namespace {

using Options = TaskOptions<std::variant<data::FashionMnistOptions, data::MnistDataModuleOptions, data::Cifar10Options>,
                            ImageModelOptions>;

std::unique_ptr<data::ImageDataModule> make_data(const data::FashionMnistOptions& options) {
  return std::make_unique<data::FashionMnist>(options);
}
std::unique_ptr<data::ImageDataModule> make_data(const data::MnistDataModuleOptions& options) {
  return std::make_unique<data::MnistDataModule>(options);
}
std::unique_ptr<data::ImageDataModule> make_data(const data::Cifar10Options& options) {
  return std::make_unique<data::Cifar10>(options);
}

constexpr size_t kRowsShown = 20;  // of the predictions of a whole test set

class ImgClf : public Task {
 public:
  std::string name() const override { return "img_clf"; }
  core::OptionRef options() override { return core::reflect(options_); }
  RunOptions& run() override { return options_; }

  void link() override {
    if (!options_.data) return;
    data_ =
        in_group("data", [&] { return std::visit([](const auto& data) { return make_data(data); }, *options_.data); });
    link_model(options_.model, *data_);
  }

  data::ImageDataModule& data() override {
    if (!data_) throw core::ConfigError("data: none was chosen; give one, for instance --data=FashionMnist");
    return *data_;
  }

  train::Classifier& learner() override {
    if (!learner_) {
      data();
      model_ = in_group("model", [&] { return make_model(options_.model); });
      learner_ = std::make_unique<train::Classifier>(
          model_.module, [forward = model_.forward](const data::Batch& batch) { return forward(batch.at("image")); });
    }
    return *learner_;
  }

  std::vector<std::filesystem::path> draw(const std::filesystem::path& folder) override {
    const auto test = data().test();
    ImageClassifierPictures pictures(learner(), names());
    std::vector<std::filesystem::path> files{folder / "samples.png"};
    pictures.draw_samples(test->dataset(), files.back());
    if (model_.attention_maps) {
      files.push_back(folder / "attention.png");
      pictures.draw_attention(model_.attention_maps, test->dataset(), files.back());
    }
    return files;
  }

  void predict(train::Trainer& trainer, const PredictRequest& request, const std::filesystem::path& checkpoint,
               const std::filesystem::path& output) override {
    PredictionOptions wanted{names().classes, request.top_k.value_or(1), {}, checkpoint.string()};
    std::vector<Prediction> predictions;
    if (request.inputs.empty()) {
      wanted.input = [](int64_t index) { return fmt::format("test {}", index); };
      predictions = predict_classes(trainer, learner(), data(), wanted);
    } else {
      const auto inputs = image_inputs(request.inputs);
      wanted.input = [&](int64_t index) { return inputs.files().file(index); };
      predictions = predict_classes(trainer, learner(), inputs, wanted);
    }
    write_csv(predictions, "image", output);
    const size_t rows = request.inputs.empty() ? kRowsShown : predictions.size();
    core::write_all(1, table(predictions, rows));
    core::write_all(1, fmt::format("{} images, in {}\n", predictions.size(), output.string()));
  }

 private:
  ImageNames names() { return {data().class_names(), data().channels_last(), data().normalization()}; }

  ImageInputs image_inputs(const std::vector<std::string>& files) {
    const auto loader = std::visit(
        [](const auto& options) {
          return data::LoaderOptions{.batch_size = options.batch_size, .num_workers = options.num_workers};
        },
        *options_.data);
    return {files, {data().image_shape(), data().channels_last(), data().normalization()}, loader};
  }

  Options options_;
  std::unique_ptr<data::ImageDataModule> data_;
  ImageModel model_;
  std::unique_ptr<train::Classifier> learner_;
};

}  // namespace

std::unique_ptr<Task> img_clf() {
  return std::make_unique<ImgClf>();
}

}  // namespace perceive::cli
