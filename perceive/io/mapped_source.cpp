// Windows into a file as the chunks of a source.
#include "perceive/io/mapped_source.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "perceive/core/error.h"
#include "perceive/io/files.h"
#include "perceive/io/formats/npy.h"
#include "perceive/io/system_calls.h"
#include "perceive/io/tensor_entries.h"

namespace perceive::io {
namespace {

using core::FileError;

constexpr int64_t kChunkBytes = 8 << 20;

// Numbers in a file.
struct Array {
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  uint64_t data;  // where they begin, in bytes
};

Array npy_array(const InputFile& file) {
  std::string start(std::min(npy::kMaxHeaderBytes, file.size()), '\0');
  file.read(0, start.data(), start.size());
  const auto header = npy::parse_header(start, file.size(), file.path().string());
  const auto dtype = header.dtype == npy::Dtype::F16   ? at::kHalf
                     : header.dtype == npy::Dtype::F32 ? at::kFloat
                                                       : at::kDouble;
  return {dtype, header.shape, header.data};
}

Array safetensors_array(const InputFile& file, const std::string& tensor) {
  const std::string name = file.path().string();
  const auto [header, data] = read_entries(file);
  const auto& entries = header.entries;
  if (tensor.empty() && entries.size() != 1) {
    throw FileError(fmt::format("{}: holds {} tensors; name the one to read", name, entries.size()));
  }
  const auto found =
      tensor.empty() ? entries.begin()
                     : std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.name == tensor; });
  if (found == entries.end()) {
    throw FileError(
        fmt::format("{}: expected a tensor {}; found {} others", name, safetensors::shown(tensor), entries.size()));
  }
  const auto dtype = scalar_type(*found, name);
  if (dtype != at::kHalf && dtype != at::kBFloat16 && dtype != at::kFloat && dtype != at::kDouble) {
    throw FileError(fmt::format("{}: tensor {}: expected the dtype F16, BF16, F32 or F64; found {}", name,
                                safetensors::shown(found->name), safetensors::info(found->dtype).name));
  }
  return {dtype, found->shape, data + found->begin};
}

// Pages of a file, mapped for as long as it lives.
class Window {
 public:
  Window(const InputFile& file, uint64_t begin, uint64_t end) : file_(file) {
    static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    page_ = page;
    begin_ = begin / page * page;
    bytes_ = end - begin_;
    pages_ = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file.descriptor(), static_cast<off_t>(begin_));
    if (pages_ == MAP_FAILED) system_calls::fail(errno, "map into memory", file.path());
  }
  ~Window() { ::munmap(pages_, bytes_); }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;

  // The byte at this place of the file.
  char* at(uint64_t offset) const { return static_cast<char*>(pages_) + (offset - begin_); }

  // Reads these bytes of the file now, rather than when they are first computed with.
  void bring_in(uint64_t begin, uint64_t end) const {
    begin = begin / page_ * page_;
    int failed = 0;
    do {
      failed = ::madvise(at(begin), end - begin, MADV_POPULATE_READ);
    } while (failed != 0 && (errno == EINTR || errno == EAGAIN));
    if (failed == 0) return;
    if (errno == EINVAL) {  // Linux before 5.14
      ::madvise(at(begin), end - begin, MADV_WILLNEED);
    } else if (errno == EFAULT) {
      throw FileError(fmt::format("{}: bytes {} to {} cannot be read: the file was cut meanwhile, or its disk fails",
                                  file_.path().string(), begin, end));
    } else {
      system_calls::fail(errno, "read", file_.path());
    }
  }

 private:
  const InputFile& file_;
  uint64_t page_ = 0, begin_ = 0, bytes_ = 0;
  void* pages_ = nullptr;
};

// The chunks of an array [B, M, C].
class ChunksOfFile {
 public:
  ChunksOfFile(std::shared_ptr<const InputFile> file, const Array& array)
      : file_(std::move(file)), array_(array), number_bytes_(c10::elementSize(array.dtype)) {}

  at::Tensor read(int64_t first, int64_t count) const {
    const int64_t batch = array_.shape[0], keys = array_.shape[1], channels = array_.shape[2];
    const std::vector<int64_t> sizes{batch, count, channels};
    const auto type = at::TensorOptions().dtype(array_.dtype);
    const auto place = [&](int64_t item, int64_t key) {
      return array_.data + static_cast<uint64_t>((item * keys + key) * channels) * number_bytes_;
    };
    const uint64_t bytes = place(0, first + count) - place(0, first);
    if (batch == 0 || bytes == 0 || array_.data % number_bytes_ != 0) {
      auto copy = at::empty(sizes, type);
      for (int64_t item = 0; item < batch; ++item) {
        file_->read(place(item, first), static_cast<char*>(copy.mutable_data_ptr()) + item * bytes, bytes);
      }
      return copy;
    }
    // From the first item to the last: what lies between their keys takes addresses, but no memory.
    const auto window = std::make_shared<Window>(*file_, place(0, first), place(batch - 1, first + count));
    for (int64_t item = 0; item < batch; ++item) window->bring_in(place(item, first), place(item, first + count));
    return at::from_blob(
        window->at(place(0, first)), sizes, {keys * channels, channels, 1}, [window, file = file_](void*) {}, type);
  }

 private:
  std::shared_ptr<const InputFile> file_;
  Array array_;
  uint64_t number_bytes_;
};

}  // namespace

ops::Source mapped_source(const std::filesystem::path& path, const MappedSourceOptions& options) {
  const std::string ending = path.extension().string(), name = path.string();
  if (ending != ".npy" && ending != ".safetensors") {
    throw FileError(fmt::format("{}: expected a name that ends in .npy or .safetensors", name));
  }
  if (options.chunk < 0) throw core::ConfigError(fmt::format("chunk must not be negative; got {}", options.chunk));
  const auto file = std::make_shared<const InputFile>(path);
  Array array = ending == ".npy" ? npy_array(*file) : safetensors_array(*file, options.tensor);
  auto& shape = array.shape;
  if (shape.size() == 2) shape.insert(shape.begin(), 1);
  if (shape.size() != 3) {
    throw FileError(fmt::format("{}: expected an array [M, C] or [B, M, C]; found [{}]", name, fmt::join(shape, ", ")));
  }
  const ChunksOfFile chunks(file, array);
  auto source = ops::Source::in_chunks([chunks](int64_t first, int64_t count) { return chunks.read(first, count); },
                                       shape[0], shape[1], shape[2], options.positions, options.mask);
  source.stays = true;
  source.chunk = options.chunk;
  if (source.chunk == 0) {
    const auto key_bytes =
        std::max<int64_t>(shape[0] * shape[2], 1) * static_cast<int64_t>(c10::elementSize(array.dtype));
    source.chunk = std::max<int64_t>(kChunkBytes / key_bytes, 1);
  }
  return source;
}

}  // namespace perceive::io
