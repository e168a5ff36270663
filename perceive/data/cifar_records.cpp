// The binary version of CIFAR-10.
#include "perceive/data/cifar_records.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include "perceive/core/error.h"
#include "perceive/data/file.h"

namespace perceive::data {
namespace {

void check_size(const std::string& path, int64_t bytes) {
  if (bytes > 0 && bytes % kCifarRecord == 0) return;
  throw core::DataError(
      fmt::format("{}: expected records of {} bytes (a label and 3 x {} x {} pixels), got {} bytes: {}. Is it damaged, "
                  "or CIFAR-100, or no file of the binary version?",
                  path, kCifarRecord, kCifarSide, kCifarSide, bytes,
                  bytes == 0 ? "there are no images in it"
                             : fmt::format("{} records and {} more", bytes / kCifarRecord, bytes % kCifarRecord)));
}

}  // namespace

at::Tensor read_cifar_records(const std::vector<std::string>& paths) {
  std::vector<File> files;
  int64_t bytes = 0;
  for (const auto& path : paths) {
    files.push_back(open_file(path));
    check_size(path, files.back().size);
    bytes += files.back().size;
  }
  // One tensor for all from the start: joined afterwards they would lie in memory twice.
  at::Tensor records = at::empty({bytes / kCifarRecord, kCifarRecord}, at::kByte);
  auto* to = records.mutable_data_ptr<uint8_t>();
  for (size_t i = 0; i < files.size(); ++i) {
    const int64_t size = files[i].size;
    const auto got = static_cast<int64_t>(std::fread(to, 1, static_cast<size_t>(size), files[i].stream.get()));
    if (got != size) {
      throw core::DataError(fmt::format("{}: expected {} bytes, and reading ended after {}", paths[i], size, got));
    }
    for (int64_t record = 0; record < size / kCifarRecord; ++record) {
      const int label = to[record * kCifarRecord];
      if (label >= kCifarClasses) {
        throw core::DataError(
            fmt::format("{}: label {} of example {}; expected 0 to {}", paths[i], label, record, kCifarClasses - 1));
      }
    }
    to += size;
  }
  return records;
}

}  // namespace perceive::data
