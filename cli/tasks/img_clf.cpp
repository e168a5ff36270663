// Image classification as perceiver-io 0.2.1's img_clf script does it, on any of our data sets and models.
#include "cli/tasks/img_clf.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "cli/tasks/img_clf_pictures.h"
#include "cli/tasks/img_clf_predictions.h"
#include "perceive/core/error.h"
#include "perceive/core/terminal.h"
#include "perceive/data/mnist.h"
#include "perceive/models/dialects/perceiver_io/image_classifier.h"
#include "perceive/train/classifier.h"

namespace perceive::cli {
namespace {

// With the defaults of the script, not of the configuration classes.
struct ImageClassifierOptions : models::perceiver_io::ImageClassifierConfig {
  static constexpr const char* kName = "ImageClassifier";
  static constexpr std::array kAliases{"LitImageClassifier"};
  ImageClassifierOptions() {
    num_latents = 32;
    num_latent_channels = 128;
    encoder.num_frequency_bands = 32;
    encoder.num_cross_attention_heads = 1;
    encoder.num_self_attention_heads = 4;
    encoder.num_self_attention_layers_per_block = 3;
    encoder.num_self_attention_blocks = 3;
    encoder.first_self_attention_block_shared = false;
    decoder.num_output_query_channels = 128;
    decoder.num_cross_attention_heads = 1;
  }
};

struct NativeOptions : models::PerceiverIOOptions {
  static constexpr const char* kName = "PerceiverIO";
};

using Options = TaskOptions<std::variant<data::FashionMnistOptions, data::MnistDataModuleOptions>,
                            std::variant<ImageClassifierOptions, NativeOptions>>;

// What make() gives; what it refuses is said to be in `group` of the options.
template <class Make>
auto in_group(const char* group, Make&& make) {
  try {
    return make();
  } catch (const core::ConfigError& error) {
    throw core::ConfigError(fmt::format("{}: {}", group, error.what()));
  }
}

// Puts what the data says into an option of the model, which nobody may have set to something else.
template <class T>
void link_option(const char* key, T& option, const T& standard, const T& linked) {
  if (option != standard && option != linked) {
    throw core::ConfigError(
        fmt::format("{}: this follows from the data, which says {}; got {}. Leave it out", key, linked, option));
  }
  option = linked;
}

using Shape = std::vector<int64_t>;

void link_model(ImageClassifierOptions& model, const Shape& shape, int64_t classes) {
  const ImageClassifierOptions standard;
  link_option("model.encoder.image_shape", model.encoder.image_shape, standard.encoder.image_shape, shape);
  link_option("model.decoder.num_classes", model.decoder.num_classes, standard.decoder.num_classes, classes);
}

void link_model(NativeOptions& model, const Shape& shape, int64_t classes) {
  link_option("model.input.shape", std::get<nn::ImageInputOptions>(model.input).shape, nn::ImageInputOptions{}.shape,
              shape);
  link_option("model.output.num_classes", std::get<nn::ClassificationOutputOptions>(model.output).num_classes,
              nn::ClassificationOutputOptions{}.num_classes, classes);
}

std::unique_ptr<data::MnistDataModule> make_data(const data::FashionMnistOptions& options) {
  return std::make_unique<data::FashionMnist>(options);
}
std::unique_ptr<data::MnistDataModule> make_data(const data::MnistDataModuleOptions& options) {
  return std::make_unique<data::MnistDataModule>(options);
}

constexpr size_t kRowsShown = 20;  // of the predictions of a whole test set

struct Model {
  std::shared_ptr<torch::nn::Module> module;  // with the parameter names that checkpoints hold
  models::PerceiverIO native;                 // with the same parameters
};
void require_one_query(const char* key, int64_t queries) {
  if (queries != 1) {
    throw core::ConfigError(fmt::format("{}: expected 1, since an image has one label; got {}", key, queries));
  }
}
Model make_model(const ImageClassifierOptions& options) {
  require_one_query("decoder.num_output_queries", options.decoder.num_output_queries);
  models::perceiver_io::ImageClassifier model(options);
  return {model.ptr(), model->native()};
}
Model make_model(const NativeOptions& options) {
  require_one_query("output.num_queries", std::get<nn::ClassificationOutputOptions>(options.output).num_queries);
  models::PerceiverIO model(options);
  return {model.ptr(), model};
}

class ImgClf : public Task {
 public:
  std::string name() const override { return "img_clf"; }
  core::OptionRef options() override { return core::reflect(options_); }
  RunOptions& run() override { return options_; }

  void link() override {
    if (!options_.data) return;
    data_ =
        in_group("data", [&] { return std::visit([](const auto& data) { return make_data(data); }, *options_.data); });
    std::visit([this](auto& model) { link_model(model, data_->image_shape(), data_->num_classes()); }, options_.model);
  }

  data::MnistDataModule& data() override {
    if (!data_) throw core::ConfigError("data: none was chosen; give one, for instance --data=FashionMnist");
    return *data_;
  }

  train::Classifier& learner() override {
    if (!learner_) {
      data();
      auto model = in_group(
          "model", [&] { return std::visit([](const auto& model) { return make_model(model); }, options_.model); });
      native_ = model.native;
      learner_ = std::make_unique<train::Classifier>(
          model.module,
          [native = native_](const data::Batch& batch) mutable { return native->forward(batch.at("image")); });
    }
    return *learner_;
  }

  std::vector<std::filesystem::path> draw(const std::filesystem::path& folder) override {
    const auto test = data().test();
    ImageClassifierPictures pictures(learner(), native_, names());
    pictures.draw_samples(test->dataset(), folder / "samples.png");
    pictures.draw_attention(test->dataset(), folder / "attention.png");
    return {folder / "samples.png", folder / "attention.png"};
  }

  void predict(train::Trainer& trainer, const PredictRequest& request, const std::filesystem::path& checkpoint,
               const std::filesystem::path& output) override {
    PredictionOptions wanted{names().classes, request.top_k, {}, checkpoint.string()};
    std::vector<ImagePrediction> predictions;
    if (request.inputs.empty()) {
      wanted.image = [](int64_t index) { return fmt::format("test {}", index); };
      predictions = predict_images(trainer, learner(), data(), wanted);
    } else {
      const auto inputs = image_inputs(request.inputs);
      wanted.image = [&](int64_t index) { return inputs.files().file(index); };
      predictions = predict_images(trainer, learner(), inputs, wanted);
    }
    write_csv(predictions, output);
    const size_t rows = request.inputs.empty() ? kRowsShown : predictions.size();
    core::write_all(1, table(predictions, rows));
    core::write_all(1, fmt::format("{} images, in {}\n", predictions.size(), output.string()));
  }

 private:
  ImageNames names() {
    return std::visit(
        [this](const auto& options) {
          return ImageNames{data().class_names(), options.channels_last, options.normalize};
        },
        *options_.data);
  }

  ImageInputs image_inputs(const std::vector<std::string>& files) {
    return std::visit(
        [&](const auto& options) {
          return ImageInputs(files, {data().image_shape(), options.channels_last, options.normalize},
                             {.batch_size = options.batch_size, .num_workers = options.num_workers});
        },
        *options_.data);
  }

  Options options_;
  std::unique_ptr<data::MnistDataModule> data_;
  models::PerceiverIO native_{nullptr};
  std::unique_ptr<train::Classifier> learner_;
};

}  // namespace

std::unique_ptr<Task> img_clf() {
  return std::make_unique<ImgClf>();
}

}  // namespace perceive::cli
