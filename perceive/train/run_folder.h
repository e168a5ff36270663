// A run's folder, <root>/<name>/version_<n>, and the checkpoints of earlier ones.
//
//   config.yaml   metrics.csv   events.out.tfevents.…   checkpoints/last/   checkpoints/epoch=002-val_loss=0.345/
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "perceive/io/lock.h"

namespace perceive::train {

class RunFolder {
 public:
  // A new version under `parent`, one above the highest. No two processes get the same.
  static RunFolder create(const std::filesystem::path& parent);
  // The run under `parent` that `checkpoint` belongs to, to go on with it; nothing where it belongs to none.
  static std::optional<RunFolder> of_checkpoint(const std::filesystem::path& checkpoint,
                                                const std::filesystem::path& parent);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  // Never overwrites another one: a resumed run's changed configuration goes to config_step=<step>.yaml.
  void write_config(const std::string& yaml, int64_t step) const;

 private:
  explicit RunFolder(const std::filesystem::path& path);

  std::filesystem::path path_;
  io::FolderLock lock_;
};

// The checkpoint that `which` names: a folder, a file of another program (PyTorch Lightning's .ckpt, safetensors), or `last` or `best` of the newest run under `parent` that has one. A
// run's folder stands for its last. Throws core::FileError that says what was looked for.
std::filesystem::path find_checkpoint(const std::string& which, const std::filesystem::path& parent);

}  // namespace perceive::train
