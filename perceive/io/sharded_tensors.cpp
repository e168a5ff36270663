// Tensors in several files with an index of them.
#include "perceive/io/sharded_tensors.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "perceive/core/error.h"
#include "perceive/core/json.h"
#include "perceive/core/text.h"
#include "perceive/io/files.h"
#include "perceive/io/formats/safetensors.h"

namespace perceive::io {
namespace {

namespace fs = std::filesystem;
using core::FileError;
using nlohmann::json;

// The first of them, and how many there are.
std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kShown = 10;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i > 0 ? ", " : "") + safetensors::shown(names[i]);
  }
  return names.size() > kShown ? fmt::format("{} and {} more", text, names.size() - kShown) : text;
}

// The tensors of each file.
std::map<std::string, std::set<std::string>> shards_of(const json& index, const std::string& name) {
  const auto refuse = [&](const std::string& what) { throw FileError(name + ": " + what); };
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    refuse("not an index of tensors: expected an object with a \"weight_map\" from their names to files");
  }
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string()) refuse("tensor " + safetensors::shown(tensor) + ": expected the name of a file, a string");
    const auto& shard = file.get_ref<const std::string&>();
    // A path could lead anywhere, to what the index's author may not read and its reader may.
    if (shard.empty() || shard == "." || shard == ".." || shard.find_first_of(std::string("/\\\0", 3)) != shard.npos) {
      refuse(fmt::format("tensor {}: expected the name of a file beside the index; found {}",
                         safetensors::shown(tensor), core::in_quotes(shard)));
    }
    shards[shard].insert(tensor);
  }
  if (shards.empty()) refuse("its \"weight_map\" is empty");
  return shards;
}

}  // namespace

bool is_index(const fs::path& path) {
  return path.filename().string().ends_with(".index.json");
}

Tensors load_sharded(const fs::path& path, Metadata* metadata, const std::function<Tensors(const fs::path&)>& load) {
  const std::string name = path.string();
  const json index = core::parse_json(read_file(path), name);
  const auto shards = shards_of(index, name);
  std::vector<std::string> missing;
  std::error_code ignored;
  for (const auto& [shard, tensors] : shards) {
    if (!fs::exists(path.parent_path() / shard, ignored)) missing.push_back(shard);
  }
  if (!missing.empty()) {
    throw FileError(fmt::format("{}: {} of its {} files {} missing beside it: {}", name, missing.size(), shards.size(),
                                missing.size() == 1 ? "is" : "are", listed(missing)));
  }
  Tensors all;
  for (const auto& [shard, expected] : shards) {
    const fs::path file = path.parent_path() / shard;
    Tensors tensors = load(file);
    std::vector<std::string> absent, surplus;
    for (const auto& tensor : expected) {
      if (!tensors.contains(tensor)) absent.push_back(tensor);
    }
    for (const auto& [tensor, value] : tensors) {
      if (!expected.contains(tensor)) surplus.push_back(tensor);
    }
    if (!absent.empty()) throw FileError(fmt::format("{}: {} does not hold {}", name, file.string(), listed(absent)));
    if (!surplus.empty()) {
      throw FileError(fmt::format("{}: {} also holds what the index has elsewhere or not at all: {}", name,
                                  file.string(), listed(surplus)));
    }
    all.merge(tensors);
  }
  if (metadata != nullptr) {
    metadata->clear();
    if (index.contains("metadata") && index["metadata"].is_object()) {
      for (const auto& [key, value] : index["metadata"].items()) {
        metadata->emplace(key, value.is_string() ? value.get<std::string>() : value.dump());
      }
    }
  }
  return all;
}

}  // namespace perceive::io
