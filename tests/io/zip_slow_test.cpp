// Zip archives of more than 4 GiB, of which memory holds the part that is not zero.
#include <gmock/gmock.h>
#include <sys/mman.h>

#include <cstring>
#include <map>

#include "tests/io/archive.h"

namespace perceive::io::zip {
namespace {

// Zeros, of which the system has one page.
class Zeros {
 public:
  explicit Zeros(size_t bytes) : bytes_(bytes) {
    pages_ = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  ~Zeros() { ::munmap(pages_, bytes_); }
  std::string_view view() const { return {static_cast<const char*>(pages_), bytes_}; }

 private:
  size_t bytes_;
  void* pages_;
};

TEST(Zip, GoesBeyondFourGibibytes) {
  const Zeros zeros((uint64_t{1} << 32) + 12345);
  std::map<uint64_t, std::string> pieces;  // by their place; what is in none is zero
  uint64_t size = 0;
  Writer writer([&](std::string_view piece) {
    if (piece.size() < zeros.view().size()) pieces.emplace(size, piece);
    size += piece.size();
  });
  writer.add("a/data/0", "before");
  writer.add("a/data/1", zeros.view());
  writer.add("a/data/2", "after");
  writer.finish();

  const Archive archive({"f", size, [&](uint64_t offset, void* to, uint64_t bytes) {
                           std::memset(to, 0, bytes);
                           for (const auto& [place, piece] : pieces) {
                             const uint64_t begin = std::max(place, offset);
                             const uint64_t end = std::min(place + piece.size(), offset + bytes);
                             if (begin >= end) continue;
                             std::memcpy(static_cast<char*>(to) + (begin - offset), piece.data() + (begin - place),
                                         end - begin);
                           }
                         }});
  EXPECT_EQ(archive.find("a/data/1")->size, zeros.view().size());
  EXPECT_EQ(archive.read(*archive.find("a/data/0")), "before");
  EXPECT_GT(archive.find("a/data/2")->begin, uint64_t{1} << 32);
  EXPECT_EQ(archive.find("a/data/2")->begin % kAlignment, 0);
  EXPECT_EQ(archive.read(*archive.find("a/data/2")), "after");
}

}  // namespace
}  // namespace perceive::io::zip
