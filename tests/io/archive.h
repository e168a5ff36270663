// Zip archives made by hand for tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "perceive/io/formats/zip.h"
#include "perceive/io/formats/zip_writer.h"
#include "tests/io/temporary_folder.h"

namespace perceive::io {

using Records = std::vector<std::pair<std::string, std::string>>;  // names and contents

inline std::string zip_of(const Records& records) {
  std::string bytes;
  zip::Writer writer([&](std::string_view piece) { bytes += piece; });
  for (const auto& [name, content] : records) writer.add(name, content);
  writer.finish();
  return bytes;
}

// The n-th place (from 0) where `from` stands in `text` replaced.
inline std::string replaced(std::string text, std::string_view from, std::string_view to, int n = 0) {
  size_t at = text.find(from);
  for (; n > 0 && at != text.npos; --n) at = text.find(from, at + 1);
  EXPECT_NE(at, text.npos) << from;
  return at == text.npos ? text : text.replace(at, from.size(), to);
}

inline std::string golden_pt(const std::string& name) {
  const std::string path = PERCEIVE_ROOT "/tests/golden/pt/" + name;
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace perceive::io
