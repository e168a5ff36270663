// What a masked language model fills in.
#include "cli/tasks/mlm_predictions.h"

#include <fmt/format.h>

#include "cli/tasks/predictions.h"
#include "perceive/core/text.h"
#include "perceive/io/files.h"

namespace perceive::cli {

std::string filled_text(const std::vector<data::FilledText>& filled, const data::Texts& texts) {
  std::string words;
  for (size_t i = 0; i < filled.size(); ++i) {
    words += texts.text(static_cast<int64_t>(i)) + "\n";
    if (filled[i].masks.empty()) words += "  (no [MASK] among the tokens that the model reads)\n";
    for (size_t k = 0; !filled[i].masks.empty() && k < filled[i].texts.size(); ++k) {
      std::string tokens;
      for (const auto& answers : filled[i].masks) {
        tokens += fmt::format("{}{} {:.3f}", tokens.empty() ? "" : ", ", answers[k].first, answers[k].second);
      }
      words += fmt::format("  {}  ({})\n", filled[i].texts[k], tokens);
    }
  }
  return words;
}

void write_filled(const std::vector<data::FilledText>& filled, const data::Texts& texts,
                  const std::filesystem::path& file) {
  std::string csv = "text,mask,token,probability";
  const size_t answers = filled.empty() ? 0 : filled.front().texts.size();
  for (size_t k = 2; k <= answers; ++k) csv += fmt::format(",token_{},probability_{}", k, k);
  csv += "\n";
  for (size_t i = 0; i < filled.size(); ++i) {
    for (size_t m = 0; m < filled[i].masks.size(); ++m) {
      csv += fmt::format("{},{}", csv_cell(texts.text(static_cast<int64_t>(i))), m + 1);
      for (const auto& [token, probability] : filled[i].masks[m]) {
        csv += fmt::format(",{},{}", csv_cell(token), core::shortest(probability));
      }
      csv += "\n";
    }
  }
  io::write_file(file, csv);
}

}  // namespace perceive::cli
