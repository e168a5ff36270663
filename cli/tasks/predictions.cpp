// Predictions of classes, collected and written.
#include "cli/tasks/predictions.h"

#include <fmt/format.h>

#include <algorithm>

#include "perceive/core/text.h"
#include "perceive/io/files.h"

namespace perceive::cli {
std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::vector<Prediction> predict_classes(train::Trainer& trainer, train::Learner& learner, const data::DataModule& data,
                                        const PredictionOptions& options) {
  std::vector<Prediction> predictions;
  const auto name = [&](int64_t label) { return options.classes.at(static_cast<size_t>(label)); };
  trainer.predict(
      learner, data,
      [&](const data::Batch& batch, const data::Batch& said) {
        const auto& all = said.at("probabilities");
        const auto [probabilities, labels] = all.topk(std::min(options.top_k, all.size(1)));
        const auto truths = batch.find("label");
        for (int64_t i = 0; i < labels.size(0); ++i) {
          Prediction one{options.input(static_cast<int64_t>(predictions.size())), {}, {}};
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

std::string table(const std::vector<Prediction>& predictions, size_t rows, size_t widest) {
  rows = std::min(rows, predictions.size());
  std::vector<std::string> names;
  size_t name_width = 0, class_width = 0;
  for (size_t i = 0; i < rows; ++i) {
    names.push_back(core::shortened(predictions[i].input, widest));
    name_width = std::max(name_width, names.back().size());
    for (const auto& [name, probability] : predictions[i].answers) class_width = std::max(class_width, name.size());
  }
  std::string text;
  for (size_t i = 0; i < rows; ++i) {
    const auto& one = predictions[i];
    text += fmt::format("{:<{}}", names[i], name_width);
    for (const auto& [name, probability] : one.answers) {
      text += fmt::format("  {:<{}} {:.3f}", name, class_width, probability);
    }
    if (one.truth && *one.truth != one.answers.front().first) text += fmt::format("  (is {})", *one.truth);
    text += "\n";
  }
  return text;
}

void write_csv(const std::vector<Prediction>& predictions, const std::string& input_name,
               const std::filesystem::path& file) {
  std::string text = input_name + ",class,probability";
  const size_t answers = predictions.empty() ? 1 : predictions.front().answers.size();
  for (size_t k = 2; k <= answers; ++k) text += fmt::format(",class_{},probability_{}", k, k);
  const bool with_truth = !predictions.empty() && predictions.front().truth;
  text += with_truth ? ",truth\n" : "\n";
  for (const auto& one : predictions) {
    text += csv_cell(one.input);
    for (const auto& [name, probability] : one.answers)
      text += "," + csv_cell(name) + "," + core::shortest(probability);
    if (with_truth) text += "," + csv_cell(*one.truth);
    text += "\n";
  }
  io::write_file(file, text);
}

}  // namespace perceive::cli
