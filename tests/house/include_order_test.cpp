// The layout of the house: which folder may include which, and how long a file may become.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace perceive {
namespace {

const std::vector<std::string> kOrder{"core", "kernels", "ops", "nn", "io", "data", "models", "train", "cli"};
const std::set<std::pair<std::string, std::string>> kForbidden{{"data", "nn"}, {"train", "models"}};
constexpr int64_t kLongestFile = 700;

// The folder of "perceive/ops/attend.h" is ops, that of "cli/main.cpp" is cli; "" for a file in perceive/ itself.
std::string folder_of(const std::string& path) {
  if (path.starts_with("cli/")) return "cli";
  const std::string inside = path.substr(std::string("perceive/").size());
  const size_t slash = inside.find('/');
  return slash == std::string::npos ? "" : inside.substr(0, slash);
}

size_t place(const std::string& folder) {
  return static_cast<size_t>(std::find(kOrder.begin(), kOrder.end(), folder) - kOrder.begin());
}

// Why the file at `path` may not include `header`; "" where it may.
std::string objection(const std::string& path, const std::string& header, bool in_quotes) {
  const std::string folder = folder_of(path);
  if (header.starts_with("perceive/") || header.starts_with("cli/")) {
    const std::string other = folder_of(header);
    if (folder.empty() || other.empty() || other == folder) return "";
    if (place(other) > place(folder)) return folder + " stands to the left of " + other;
    return kForbidden.contains({folder, other}) ? folder + " may not know " + other : "";
  }
  if (in_quotes) return "headers of the house are included by their path from its root";
  if (header == "torch/torch.h" && path.ends_with(".h")) return "a header includes the part of torch that it needs";
  const bool of_torch = header.starts_with("ATen/") || header.starts_with("torch/") || header.starts_with("c10/");
  const bool vectors = path.starts_with("perceive/kernels/cpu/") && header.starts_with("ATen/cpu/vec/");
  return of_torch && (folder == "core" || folder == "kernels") && !vectors ? folder + " has no tensors" : "";
}

std::vector<std::string> offenders(const std::string& path, const std::string& text) {
  static const std::regex kInclude(R"re(^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">])re", std::regex::multiline);
  std::vector<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), kInclude), end; match != end; ++match) {
    const std::string why = objection(path, (*match)[2], (*match)[1] == "\"");
    if (!why.empty()) found.push_back(path + " includes " + std::string((*match)[2]) + ": " + why);
  }
  return found;
}

// Every source file of the library and the program, by its path from the root, with its text.
std::vector<std::pair<std::string, std::string>> sources() {
  const std::filesystem::path root = PERCEIVE_ROOT;
  const std::set<std::string> extensions{".h", ".cpp", ".cu", ".cuh"};
  std::vector<std::pair<std::string, std::string>> files;
  for (const char* top : {"perceive", "cli"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / top)) {
      if (!extensions.contains(entry.path().extension().string())) continue;
      std::ostringstream text;
      text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
      files.emplace_back(entry.path().lexically_relative(root).generic_string(), text.str());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string listed(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

TEST(House, IncludesOnlyWhatStandsToTheLeft) {
  std::vector<std::string> all;
  const auto files = sources();
  ASSERT_GT(files.size(), 10u);
  for (const auto& [path, text] : files) {
    const std::string folder = folder_of(path);
    if (!folder.empty() && place(folder) == kOrder.size()) all.push_back(path + " lies in a folder without a place");
    const auto found = offenders(path, text);
    all.insert(all.end(), found.begin(), found.end());
  }
  EXPECT_TRUE(all.empty()) << listed(all);
}

TEST(House, HasNoLongFiles) {
  std::vector<std::string> all;
  for (const auto& [path, text] : sources()) {
    const int64_t lines = std::count(text.begin(), text.end(), '\n');
    if (lines > kLongestFile) all.push_back(path + " has " + std::to_string(lines) + " lines");
  }
  EXPECT_TRUE(all.empty()) << listed(all);
}

TEST(House, KnowsAnOffenderWhenItSeesOne) {
  const auto allowed = [](const std::string& path, const std::string& header) {
    return offenders(path, "// x\n#include " + header + "\n").empty();
  };
  EXPECT_TRUE(allowed("perceive/ops/a.cpp", "\"perceive/core/b.h\""));
  EXPECT_TRUE(allowed("perceive/ops/a.cpp", "\"perceive/ops/cpu/b.h\""));
  EXPECT_TRUE(allowed("perceive/ops/a.cpp", "<ATen/ATen.h>"));
  EXPECT_TRUE(allowed("perceive/train/a.cpp", "<torch/torch.h>"));
  EXPECT_TRUE(allowed("perceive/kernels/cpu/a.cpp", "<ATen/cpu/vec/vec.h>"));
  EXPECT_TRUE(allowed("perceive/core/a.cpp", "<vector>"));
  EXPECT_TRUE(allowed("cli/main.cpp", "\"perceive/train/b.h\""));

  EXPECT_FALSE(allowed("perceive/core/a.cpp", "\"perceive/ops/b.h\""));
  EXPECT_FALSE(allowed("perceive/core/a.cpp", "<c10/util/Exception.h>"));
  EXPECT_FALSE(allowed("perceive/kernels/a.h", "<ATen/core/Tensor.h>"));
  EXPECT_FALSE(allowed("perceive/kernels/cpu/a.cpp", "<ATen/ATen.h>"));
  EXPECT_FALSE(allowed("perceive/data/a.cpp", "\"perceive/nn/b.h\""));
  EXPECT_FALSE(allowed("perceive/train/a.h", "\"perceive/models/b.h\""));
  EXPECT_FALSE(allowed("perceive/train/a.h", "<torch/torch.h>"));
  EXPECT_FALSE(allowed("perceive/train/a.h", "\"cli/b.h\""));
  EXPECT_FALSE(allowed("perceive/train/a.h", "\"b.h\""));
  EXPECT_EQ(offenders("perceive/io/a.h",
                      "#include \"perceive/io/b.h\"\n  #  include\t<x>\n#include \"perceive/train/c.h\"\n"),
            std::vector<std::string>{"perceive/io/a.h includes perceive/train/c.h: io stands to the left of train"});
}

}  // namespace
}  // namespace perceive
