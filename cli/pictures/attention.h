// attention.png: where a model looks, laid over the images it looks at.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/pictures/heat.h"

namespace perceive::cli {

struct AttentionRow {
  RgbImage image;
  std::string caption;        // beside the image: what it shows, and what was said of it
  std::vector<HeatMap> maps;  // one a column
};

// One row an image: the image, then its maps under the titles of `columns`.
void draw_attention(const std::string& heading, const std::vector<std::string>& columns,
                    const std::vector<AttentionRow>& rows, const std::filesystem::path& png);

}  // namespace perceive::cli
