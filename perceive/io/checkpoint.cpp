// Checkpoints, written beside their place and swapped in.
#include "perceive/io/checkpoint.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cmath>
#include <vector>

#include "perceive/core/error.h"
#include "perceive/core/json.h"
#include "perceive/io/files.h"
#include "perceive/io/sha256.h"
#include "perceive/io/system_calls.h"

namespace perceive::io {
namespace {

namespace fs = std::filesystem;
using core::FileError;
using nlohmann::json;

constexpr const char* kModel = "model.safetensors";
constexpr const char* kTrainer = "trainer.safetensors";
constexpr const char* kState = "state.json";
const std::string kReplaced = ".perceive-replaced";

bool present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

// An absolute path without a trailing slash; through the link if there is one that leads somewhere.
fs::path real_place(const fs::path& folder) {
  std::error_code error;
  fs::path place = fs::absolute(folder).lexically_normal();
  if (!place.has_filename()) place = place.parent_path();
  if (fs::is_symlink(place, error)) {
    const fs::path target = fs::canonical(place, error);
    if (!error) return target;
  }
  return place;
}

// Where the old checkpoint waits, for a moment, on file systems that cannot exchange two folders.
fs::path aside(const fs::path& place) {
  return place.parent_path() / ("." + place.filename().string() + kReplaced);
}

// A crash in that moment leaves nothing under the name itself.
void bring_back(const fs::path& place) {
  if (present(place) || !present(aside(place))) return;
  system_calls::rename(aside(place), place);
  system_calls::sync_folder(place.parent_path());
}

// Moves `written` to `place`, or throws with all as it was. Returns where what stood there before has gone.
fs::path swap_in(const fs::path& written, const fs::path& place) {
  if (!present(place)) {
    system_calls::rename(written, place);
    return {};
  }
  if (system_calls::exchange(written, place)) return written;
  system_calls::remove_tree(aside(place));
  system_calls::rename(place, aside(place));
  try {
    system_calls::rename(written, place);
  } catch (...) {
    bring_back(place);
    throw;
  }
  return aside(place);
}

void check_finite(const json& value, const std::string& key, const fs::path& folder) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    throw FileError(fmt::format("{}: state{} is not finite, and JSON has no such number", folder.string(), key));
  }
  for (const auto& item : value.items()) {
    if (value.is_structured()) check_finite(item.value(), key + "." + item.key(), folder);
  }
}

std::string text_of(const json& state, const fs::path& folder) {
  try {
    return state.dump(2) + "\n";
  } catch (const json::exception&) {
    throw FileError(fmt::format("{}: the state holds text that is not UTF-8", folder.string()));
  }
}

// The hash of state.json itself is of the file without that hash.
std::string hash_of(const json& state, const fs::path& folder) {
  return sha256(text_of(state, folder));
}

[[noreturn]] void damaged(const fs::path& file, const std::string& how) {
  throw FileError(fmt::format("{}: damaged: {}. Use another checkpoint", file.string(), how));
}

json read_state(const fs::path& folder) {
  const fs::path file = folder / kState;
  std::error_code error;
  if (!fs::exists(folder, error)) throw FileError("no checkpoint at " + folder.string());
  if (!fs::is_directory(folder, error)) {
    throw FileError(fmt::format("{} is a file; a checkpoint is a folder with {}, {} and {}", folder.string(), kModel,
                                kTrainer, kState));
  }
  if (!fs::exists(file, error))
    throw FileError(fmt::format("{} is not a checkpoint: it has no {}", folder.string(), kState));

  const json state = core::parse_json(read_file(file), file.string());
  if (!state.is_object() || !state.contains("format") || !state["format"].is_number_integer()) {
    throw FileError(fmt::format("{} is not a checkpoint: its {} has no \"format\"", folder.string(), kState));
  }
  const auto format = state["format"].get<int64_t>();
  if (format > kCheckpointFormat) {
    throw FileError(fmt::format("{} has checkpoint format {}; this program reads up to {}: use a newer perceive",
                                folder.string(), format, kCheckpointFormat));
  }
  if (format < 1) damaged(file, fmt::format("\"format\" is {}", format));
  const auto hash = [&](const char* name) {
    const json* hashes = state.contains("sha256") ? &state["sha256"] : nullptr;
    return hashes != nullptr && hashes->is_object() && hashes->contains(name) && (*hashes)[name].is_string();
  };
  for (const char* name : {kModel, kTrainer, kState}) {
    if (!hash(name)) damaged(file, fmt::format("it has no hash of {}", name));
  }
  json bare = state;
  bare["sha256"].erase(kState);
  if (state["sha256"][kState] != hash_of(bare, folder)) damaged(file, "its content does not match its hash");
  return state;
}

Tensors read_tensors(const fs::path& folder, const char* name, const json& state) {
  const fs::path file = folder / name;
  std::error_code error;
  if (!fs::exists(file, error)) damaged(folder, fmt::format("{} is missing", name));
  const std::string expected = state["sha256"][name], found = sha256_of_file(file);
  if (expected != found) {
    damaged(file, fmt::format("expected the SHA-256 {}…, found {}… over {} bytes", expected.substr(0, 16),
                              found.substr(0, 16), fs::file_size(file, error)));
  }
  return load_tensors(file);
}

// Tells one folder from another that took its name.
std::string identity(const fs::path& folder) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) < 0) return {};
  return fmt::format("{} {} {}", status.st_ino, status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
}

Checkpoint read(const fs::path& place, bool with_trainer) {
  Checkpoint checkpoint;
  checkpoint.state = read_state(place);
  checkpoint.model = read_tensors(place, kModel, checkpoint.state);
  if (with_trainer) checkpoint.trainer = read_tensors(place, kTrainer, checkpoint.state);
  return checkpoint;
}

// A run that goes on may replace the checkpoint while we read; what we saw is then of two, whatever the hashes say.
Checkpoint load(const fs::path& folder, bool with_trainer) {
  constexpr int kAttempts = 10;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    fs::path place = real_place(folder);
    if (!present(place) && present(aside(place))) place = aside(place);
    const std::string before = identity(place);
    try {
      Checkpoint checkpoint = read(place, with_trainer);
      if (identity(place) == before) return checkpoint;
    } catch (const FileError&) {
      if (identity(place) == before) throw;
    }
  }
  throw FileError(fmt::format("{} was replaced each of {} times while being read: try again when its run is over",
                              folder.string(), kAttempts));
}

}  // namespace

void save_checkpoint(const fs::path& folder, const Checkpoint& checkpoint) {
  const fs::path place = real_place(folder);
  std::error_code error;
  if (!checkpoint.state.is_object()) throw FileError(folder.string() + ": the state of a checkpoint must be an object");
  check_finite(checkpoint.state, "", folder);
  bring_back(place);
  if (fs::exists(place, error) && !fs::exists(place / kState, error)) {
    throw FileError(
        fmt::format("{} exists and is not a checkpoint; it is not replaced. Choose another name", place.string()));
  }

  make_folders(place.parent_path());
  const fs::path written = temporary_beside(place);
  fs::path replaced;
  try {
    system_calls::make_folder(written);
    save_tensors(written / kModel, checkpoint.model, {{"format", "pt"}});
    save_tensors(written / kTrainer, checkpoint.trainer);
    json state = checkpoint.state;
    state["format"] = kCheckpointFormat;
    state["sha256"] = {{kModel, sha256_of_file(written / kModel)}, {kTrainer, sha256_of_file(written / kTrainer)}};
    state["sha256"][kState] = hash_of(state, folder);
    const std::string text = text_of(state, folder);
    core::parse_json(text, folder.string());  // refuses now what load would refuse then
    write_file(written / kState, text);
    replaced = swap_in(written, place);
  } catch (...) {
    fs::remove_all(written, error);
    throw;
  }
  system_calls::sync_folder(place.parent_path());
  // The new checkpoint stands; what cannot be removed now, remove_unfinished() tries again.
  if (replaced.empty()) return;
  try {
    system_calls::remove_tree(replaced);
  } catch (const FileError&) {
  }
}

Checkpoint load_checkpoint(const fs::path& folder) {
  return load(folder, true);
}

Checkpoint load_model(const fs::path& folder) {
  return load(folder, false);
}

void remove_unfinished(const fs::path& parent) {
  std::error_code error;
  if (!fs::is_directory(parent, error)) return;
  std::vector<fs::path> unfinished;
  for (const auto& entry : fs::directory_iterator(parent)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') && name.ends_with(kReplaced)) {
      bring_back(parent / name.substr(1, name.size() - 1 - kReplaced.size()));
      unfinished.push_back(entry.path());
    } else if (is_temporary(entry.path())) {
      unfinished.push_back(entry.path());
    }
  }
  for (const auto& path : unfinished) system_calls::remove_tree(path);
}

}  // namespace perceive::io
