// The weights of every head of every attention as one picture.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/pictures/heat.h"

namespace perceive::cli {

struct HeadRow {
  std::string caption;         // the attention
  std::vector<HeatMap> heads;  // queries downwards, keys to the right
};

// A row an attention, a column a head; each map is stretched to a square.
void draw_heads(const std::string& heading, const std::vector<HeadRow>& rows, const std::filesystem::path& png);

}  // namespace perceive::cli
