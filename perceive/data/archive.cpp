// Files out of a packed archive, by libarchive.
#include "perceive/data/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "perceive/core/error.h"
#include "perceive/core/memory.h"
#include "perceive/core/progress.h"
#include "perceive/data/file.h"

namespace perceive::data {
namespace {

class Reader {
 public:
  explicit Reader(const std::string& path)
      : path_(path), file_(open_file(path)), archive_(archive_read_new(), archive_read_free) {
    archive_read_support_filter_all(archive_.get());
    archive_read_support_format_all(archive_.get());
    if (archive_read_open_FILE(archive_.get(), file_.stream.get()) != ARCHIVE_OK) fail();
  }

  // The next entry, or null at the end.
  archive_entry* next() {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(archive_.get(), &entry);
    if (result == ARCHIVE_EOF) return nullptr;
    if (result < ARCHIVE_WARN) fail();
    return entry;
  }

  // What an entry holds; what its header says of its size is not believed.
  std::string content(double most) {
    std::string text;
    std::array<char, 1 << 16> block;
    while (true) {
      const auto read = archive_read_data(archive_.get(), block.data(), block.size());
      if (read < 0) fail();
      if (read == 0) return text;
      if (static_cast<double>(text.size()) > most) {
        throw core::DataError(fmt::format("{}: its texts take more than half of this machine's memory", path_));
      }
      text.append(block.data(), static_cast<size_t>(read));
    }
  }

 private:
  [[noreturn]] void fail() const {
    const char* why = archive_error_string(archive_.get());
    throw core::DataError(
        fmt::format("{}: no archive, or not all of one ({}); get it again", path_, why ? why : "no reason given"));
  }

  std::string path_;
  File file_;
  std::unique_ptr<archive, int (*)(archive*)> archive_;
};

}  // namespace

std::vector<NamedText> read_archive(const std::string& path, const std::function<bool(const std::string&)>& wanted) {
  Reader reader(path);
  core::Progress progress("reading " + path, 0);
  double room = core::physical_memory() / 2;
  std::vector<NamedText> files;
  while (auto* entry = reader.next()) {
    const char* name = archive_entry_pathname(entry);
    if (!name || archive_entry_filetype(entry) != AE_IFREG || !wanted(name)) continue;
    files.push_back({name, {}});
    files.back().text = reader.content(room);
    room -= static_cast<double>(files.back().text.size() + sizeof(NamedText));
    progress.advance();
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

}  // namespace perceive::data
