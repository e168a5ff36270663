// Runs on the disk.
#include "perceive/train/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "perceive/core/error.h"
#include "perceive/core/json.h"
#include "perceive/io/files.h"

namespace perceive::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kVersion = "version_";
constexpr const char* kCheckpoints = "checkpoints";
constexpr const char* kState = "state.json";

// The numbers of the versions under `parent`, the highest first.
std::vector<int64_t> versions(const fs::path& parent) {
  std::vector<int64_t> numbers;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kVersion)) continue;
    int64_t number = 0;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + kVersion.size(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) numbers.push_back(number);
  }
  std::sort(numbers.rbegin(), numbers.rend());
  return numbers;
}

fs::path version(const fs::path& parent, int64_t number) {
  return parent / fmt::format("{}{}", kVersion, number);
}

bool is_checkpoint(const fs::path& folder) {
  std::error_code error;
  return fs::is_regular_file(folder / kState, error);
}

// What the newest of the checkpoints in `folder` knows to be the best that is still there.
std::optional<fs::path> best_of(const fs::path& folder) {
  std::error_code error;
  int64_t newest = -1;
  std::optional<fs::path> best;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (!is_checkpoint(entry.path()) || io::is_temporary(entry.path())) continue;
    try {
      const auto file = entry.path() / kState;
      const auto state = core::parse_json(io::read_file(file), file.string());
      const int64_t step = state.at("position").at("step");
      if (step < newest) continue;
      for (const auto& kept : state.at("checkpoint").at("kept")) {
        const fs::path candidate = folder / kept.at("name").get<std::string>();
        if (!is_checkpoint(candidate)) continue;
        newest = step;
        best = candidate;
        break;
      }
    } catch (const nlohmann::json::exception&) {  // not of a training run
    }
  }
  return best;
}

}  // namespace

RunFolder::RunFolder(const fs::path& path) : path_(path), lock_(path) {}

RunFolder RunFolder::create(const fs::path& parent) {
  io::make_folders(parent);
  const auto there = versions(parent);
  for (int64_t number = there.empty() ? 0 : there.front() + 1;; ++number) {
    std::error_code error;
    if (fs::create_directory(version(parent, number), error)) return RunFolder(version(parent, number));
    if (error) {
      throw core::FileError(fmt::format("cannot create {} ({}): choose another trainer.default_root_dir",
                                        fs::absolute(version(parent, number)).string(), error.message()));
    }
  }
}

std::optional<RunFolder> RunFolder::of_checkpoint(const fs::path& checkpoint, const fs::path& parent) {
  const fs::path run = fs::absolute(checkpoint).lexically_normal().parent_path().parent_path();
  std::error_code error;
  const bool ours = fs::equivalent(run.parent_path(), parent, error) && run.filename().string().starts_with(kVersion);
  return ours ? std::optional(RunFolder(run)) : std::nullopt;
}

void RunFolder::write_config(const std::string& yaml, int64_t step) const {
  fs::path file = path_ / "config.yaml";
  std::error_code error;
  if (fs::exists(file, error)) {
    if (io::read_file(file) == yaml) return;
    file = path_ / fmt::format("config_step={}.yaml", step);
  }
  io::write_file(file, yaml);
}

fs::path find_checkpoint(const std::string& which, const fs::path& parent) {
  if (which != "last" && which != "best") {
    std::error_code error;
    if (fs::is_regular_file(which, error)) return which;
    fs::path folder = which;
    if (!folder.has_filename()) folder = folder.parent_path();
    if (is_checkpoint(folder)) return folder;
    if (is_checkpoint(folder / kCheckpoints / "last")) return folder / kCheckpoints / "last";
    throw core::FileError(
        fmt::format("there is no checkpoint at {}: expected a folder with {}", fs::absolute(folder).string(), kState));
  }
  for (const int64_t number : versions(parent)) {
    const fs::path checkpoints = version(parent, number) / kCheckpoints;
    if (which == "last" && is_checkpoint(checkpoints / "last")) return checkpoints / "last";
    if (which == "best") {
      if (const auto best = best_of(checkpoints)) return *best;
    }
  }
  throw core::FileError(
      fmt::format("there is no {} checkpoint in any {}* of {}: name one by its folder, or train first", which, kVersion,
                  fs::absolute(parent).string()));
}

}  // namespace perceive::train
