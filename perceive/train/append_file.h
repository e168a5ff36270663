// A file that grows record by record and holds whole records only, whatever the disk does.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "perceive/io/files.h"
#include "perceive/train/logger.h"

namespace perceive::train {

class AppendFile {
 public:
  // Opens, or makes with its folders, at the first append.
  AppendFile(std::filesystem::path path, Logger::Warn warn) : path_(std::move(path)), warn_(std::move(warn)) {}

  // Each call is one write of the system, cut off again if it does not fit. False where it failed; later ones try
  // again.
  bool append(std::string_view record);
  // Replaces all by `bytes`, at once.
  bool replace(std::string_view bytes);
  const std::filesystem::path& path() const { return path_; }
  // Says it once for the life of the object.
  void warn(const std::string& what);

 private:
  void open();

  std::filesystem::path path_;
  Logger::Warn warn_;
  bool warned_ = false;
  io::Descriptor file_;
};

}  // namespace perceive::train
