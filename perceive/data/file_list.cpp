// Files of a kind, from files and folders that a user named.
#include "perceive/data/file_list.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "perceive/core/error.h"

namespace perceive::data {
namespace {

namespace fs = std::filesystem;

void add_folder(const fs::path& root, const std::function<bool(const std::string&)>& wanted, FileList& list) {
  std::vector<fs::path> folders{root};
  std::set<fs::path> entered;
  while (!folders.empty()) {
    const fs::path folder = std::move(folders.back());
    folders.pop_back();
    std::error_code error;
    if (!entered.insert(fs::canonical(folder, error)).second) continue;
    auto entries = fs::directory_iterator(folder, error);
    for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
      // A link into nowhere or in a circle has no status: it is no such file, and no error.
      std::error_code dangling;
      const auto status = fs::status(entries->path(), dangling);
      if (fs::is_directory(status)) {
        folders.push_back(entries->path());
      } else if (fs::is_regular_file(status) && wanted(entries->path().native())) {
        list.files.push_back(entries->path().native());
      } else {
        ++list.skipped;
      }
    }
    if (error) throw core::DataError(fmt::format("{}: cannot be read: {}", folder.native(), error.message()));
  }
}

}  // namespace

FileList list_files(const std::vector<std::string>& files_and_folders,
                    const std::function<bool(const std::string&)>& wanted, const std::string& kind) {
  FileList list;
  for (const auto& argument : files_and_folders) {
    std::error_code error;
    const auto status = fs::status(argument, error);
    if (!fs::exists(status)) throw core::DataError(fmt::format("{}: no such file or folder", argument));
    if (!fs::is_directory(status)) {
      list.files.push_back(argument);
      continue;
    }
    const size_t before = list.files.size();
    add_folder(argument, wanted, list);
    std::sort(list.files.begin() + static_cast<int64_t>(before), list.files.end());
  }
  if (list.files.empty()) {
    throw core::DataError(
        fmt::format("no {} file in {} ({} other files there)", kind, fmt::join(files_and_folders, ", "), list.skipped));
  }
  return list;
}

bool is_text(const std::string& path) {
  return path.ends_with(".txt");
}

FileList list_texts(const std::vector<std::string>& files_and_folders) {
  return list_files(files_and_folders, is_text, ".txt");
}

}  // namespace perceive::data
