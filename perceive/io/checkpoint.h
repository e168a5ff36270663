// A checkpoint: a folder that is written whole or not at all, and checked when it is read.
//
//   model.safetensors     parameters and buffers under their names, shared ones once
//   trainer.safetensors   optimizer, random generators, sampler
//   state.json            step, epoch, configuration, format version, and the hashes of all three
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "perceive/io/tensors.h"

namespace perceive::io {

struct Checkpoint {
  Tensors model;
  Tensors trainer;
  // An object. "format" and "sha256" are added by save and checked by load. JSON has no NaN and no infinity: save
  // refuses them.
  nlohmann::json state = nlohmann::json::object();
};

inline constexpr int kCheckpointFormat = 1;

// Replaces `folder` if it exists and is a checkpoint. A crash, a full disk or a kill at any moment leaves either the
// old checkpoint or the new one under its name. Throws core::FileError where the file system refuses, with the old one
// intact. Folders above it are made. A link is followed; one that leads nowhere is replaced.
void save_checkpoint(const std::filesystem::path& folder, const Checkpoint& checkpoint);
// Throws core::FileError for a missing file, a wrong hash, or a format newer than this program's.
Checkpoint load_checkpoint(const std::filesystem::path& folder);
// Only model.safetensors and state.json.
Checkpoint load_model(const std::filesystem::path& folder);
// Puts right and removes what interrupted saves left under `parent`; nothing there is nothing to do. For one program at
// a time (FolderLock): it takes every unfinished save for a dead one's.
void remove_unfinished(const std::filesystem::path& parent);

}  // namespace perceive::io
