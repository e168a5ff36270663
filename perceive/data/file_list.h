// Files of a kind, from files and folders that a user named.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace perceive::data {

struct FileList {
  std::vector<std::string> files;
  int64_t skipped = 0;  // files in the folders that `wanted` left out
};

// The files named, and those in the folders named and below them whose path is `wanted`, each folder's sorted by name.
// Links are followed, and each folder is entered once. Throws core::DataError where an argument does not exist, a
// folder cannot be read, or there is nothing at all: "no <kind> file in …".
FileList list_files(const std::vector<std::string>& files_and_folders,
                    const std::function<bool(const std::string& path)>& wanted, const std::string& kind);

// Text files are those called .txt.
bool is_text(const std::string& path);
FileList list_texts(const std::vector<std::string>& files_and_folders);

}  // namespace perceive::data
