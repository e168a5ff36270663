// A checkpoint: a folder that is written whole or not at all, and checked when it is read.
//
//   model.safetensors     parameters and buffers under their names, shared ones once
//   trainer.safetensors   optimizer, random generators, sampler
//   state.json            step, epoch, configuration, format version, and the hash of both files
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "perceive/io/tensors.h"

namespace perceive::io {

struct Checkpoint {
  Tensors model;
  Tensors trainer;
  nlohmann::json state;  // an object; "format" and "sha256" are added by save and checked by load
};

inline constexpr int kCheckpointFormat = 1;

// Replaces `folder` if it exists. A crash, a full disk or a kill at any moment leaves either the old checkpoint or the
// new one under its name. Throws core::FileError where the file system refuses, with the old one intact.
void save_checkpoint(const std::filesystem::path& folder, const Checkpoint& checkpoint);
// Throws core::FileError for a missing file, a wrong hash, or a format newer than this program's.
Checkpoint load_checkpoint(const std::filesystem::path& folder);
// Only model.safetensors and state.json.
Checkpoint load_model(const std::filesystem::path& folder);
// Removes what interrupted saves left under `parent`.
void remove_unfinished(const std::filesystem::path& parent);

}  // namespace perceive::io
