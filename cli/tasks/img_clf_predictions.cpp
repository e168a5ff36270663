// Predictions of image classes, collected and written.
#include "cli/tasks/img_clf_predictions.h"

#include <fmt/format.h>

#include <algorithm>

#include "perceive/core/log.h"
#include "perceive/core/text.h"
#include "perceive/io/files.h"

namespace perceive::cli {
namespace {

// RFC 4180: in quotes where a reader would take it apart otherwise.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

ImageInputs::ImageInputs(const std::vector<std::string>& files_and_folders, const data::ImageFilesOptions& options,
                         const data::LoaderOptions& loader)
    : loader_(loader) {
  auto list = data::list_images(files_and_folders);
  if (list.skipped > 0) core::log_info(fmt::format("{} files that are no PNG or JPEG were left out", list.skipped));
  files_ = std::make_shared<data::ImageFiles>(std::move(list.files), options);
}

std::unique_ptr<data::Loader> ImageInputs::predict() const {
  return std::make_unique<data::Loader>(files_, loader_);
}

std::vector<ImagePrediction> predict_images(train::Trainer& trainer, train::Learner& learner,
                                            const data::DataModule& data, const PredictionOptions& options) {
  std::vector<ImagePrediction> predictions;
  const auto name = [&](int64_t label) { return options.classes.at(static_cast<size_t>(label)); };
  trainer.predict(
      learner, data,
      [&](const data::Batch& batch, const data::Batch& said) {
        const auto& all = said.at("probabilities");
        const auto [probabilities, labels] = all.topk(std::min(options.top_k, all.size(1)));
        const auto truths = batch.find("label");
        for (int64_t i = 0; i < labels.size(0); ++i) {
          ImagePrediction one{options.image(static_cast<int64_t>(predictions.size())), {}, {}};
          for (int64_t k = 0; k < labels.size(1); ++k) {
            one.answers.emplace_back(name(labels[i][k].item<int64_t>()), probabilities[i][k].item<double>());
          }
          if (truths != batch.end()) one.truth = name(truths->second[i].item<int64_t>());
          predictions.push_back(std::move(one));
        }
      },
      options.checkpoint);
  return predictions;
}

std::string table(const std::vector<ImagePrediction>& predictions, size_t rows) {
  rows = std::min(rows, predictions.size());
  size_t image_width = 0, class_width = 0;
  for (size_t i = 0; i < rows; ++i) {
    image_width = std::max(image_width, predictions[i].image.size());
    for (const auto& [name, probability] : predictions[i].answers) class_width = std::max(class_width, name.size());
  }
  std::string text;
  for (size_t i = 0; i < rows; ++i) {
    const auto& one = predictions[i];
    text += fmt::format("{:<{}}", one.image, image_width);
    for (const auto& [name, probability] : one.answers) {
      text += fmt::format("  {:<{}} {:.3f}", name, class_width, probability);
    }
    if (one.truth && *one.truth != one.answers.front().first) text += fmt::format("  (is {})", *one.truth);
    text += "\n";
  }
  return text;
}

void write_csv(const std::vector<ImagePrediction>& predictions, const std::filesystem::path& file) {
  std::string text = "image,class,probability";
  const size_t answers = predictions.empty() ? 1 : predictions.front().answers.size();
  for (size_t k = 2; k <= answers; ++k) text += fmt::format(",class_{},probability_{}", k, k);
  const bool with_truth = !predictions.empty() && predictions.front().truth;
  text += with_truth ? ",truth\n" : "\n";
  for (const auto& one : predictions) {
    text += cell(one.image);
    for (const auto& [name, probability] : one.answers) text += "," + cell(name) + "," + core::shortest(probability);
    if (with_truth) text += "," + cell(*one.truth);
    text += "\n";
  }
  io::write_file(file, text);
}

}  // namespace perceive::cli
