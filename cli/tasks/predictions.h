// What a classifier says of its inputs: as a table to read, and as a file of comma-separated values.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perceive/data/module.h"
#include "perceive/train/trainer.h"

namespace perceive::cli {

struct Prediction {
  std::string input;                                    // a file, a text, or "test 17"
  std::vector<std::pair<std::string, double>> answers;  // class and probability, the most likely first
  std::optional<std::string> truth;
};

struct PredictionOptions {
  std::vector<std::string> classes;
  int64_t top_k = 1;                                // answers to each
  std::function<std::string(int64_t index)> input;  // what an input is called
  std::string checkpoint;
};
std::vector<Prediction> predict_classes(train::Trainer& trainer, train::Learner& learner, const data::DataModule& data,
                                        const PredictionOptions& options);

// One line an input, of at most `rows` of them, with at most `widest` characters of its name. Wrong ones name the
// truth.
std::string table(const std::vector<Prediction>& predictions, size_t rows, size_t widest = std::string::npos);
// `input_name`, class, probability, class_2, probability_2, …, and truth where it is known. Throws core::FileError.
void write_csv(const std::vector<Prediction>& predictions, const std::string& input_name,
               const std::filesystem::path& file);

// As RFC 4180 has it: in quotes where a reader would take it apart otherwise.
std::string csv_cell(const std::string& text);

}  // namespace perceive::cli
