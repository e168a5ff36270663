// What a masked language model fills in: as lines to read, and as a file of comma-separated values.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "perceive/data/fill_masks.h"
#include "perceive/data/text/texts.h"

namespace perceive::cli {

// Each text, and below it what it becomes, the best first; `texts` are the same, with their masks.
std::string filled_text(const std::vector<data::FilledText>& filled, const data::Texts& texts);
// text, mask (from 1), token, probability, token_2, probability_2, …: a row a masked token. Throws core::FileError.
void write_filled(const std::vector<data::FilledText>& filled, const data::Texts& texts,
                  const std::filesystem::path& file);

}  // namespace perceive::cli
