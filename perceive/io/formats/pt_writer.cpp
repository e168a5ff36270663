// Writing PyTorch's checkpoints.
#include "perceive/io/formats/pt_writer.h"

#include <fmt/format.h>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/io/formats/zip_writer.h"

namespace perceive::io::pt {
namespace {

constexpr const char* kState = "state_dict";

// The opcodes of pickle's protocol 2, torch.save's own, by what they make.
class Pickler {
 public:
  explicit Pickler(const std::string& file) : file_(file) { text_ = "\x80\x02"; }
  std::string take() { return std::move(text_) + "."; }

  void op(char code) { text_ += code; }
  void integer(int64_t value) {
    const bool narrow = value >= INT32_MIN && value <= INT32_MAX;
    text_ += narrow ? "J" : "\x8a\x08";
    text_.append(reinterpret_cast<const char*>(&value), narrow ? 4 : 8);
  }
  void string(std::string_view value) {
    if (core::first_invalid_utf8(value) != value.npos || value.size() > UINT32_MAX) {
      throw core::FileError(fmt::format("{}: cannot write {}: not valid UTF-8", file_, core::in_quotes(value)));
    }
    const uint64_t bytes = value.size();
    text_ += 'X';
    text_.append(reinterpret_cast<const char*>(&bytes), 4);
    text_ += value;
  }
  void global(std::string_view module, std::string_view name) { text_ += fmt::format("c{}\n{}\n", module, name); }
  void integers(const std::vector<int64_t>& values) {
    op('(');
    for (const int64_t value : values) integer(value);
    op('t');
  }

 private:
  const std::string& file_;
  std::string text_;
};

void write_tensor(Pickler& pickler, const Tensor& tensor, uint64_t storage_bytes) {
  const auto& dtype = info(tensor.dtype);
  const bool typed = dtype.storage != nullptr;
  pickler.global("torch._utils", typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
  pickler.op('(');
  pickler.op('(');
  pickler.string("storage");
  if (typed) {
    pickler.global("torch", dtype.storage);
  } else {
    pickler.global("torch.storage", "UntypedStorage");
  }
  pickler.string(std::to_string(tensor.storage));
  pickler.string("cpu");
  pickler.integer(static_cast<int64_t>(typed ? storage_bytes / dtype.bytes : storage_bytes));
  pickler.op('t');
  pickler.op('Q');
  pickler.integer(tensor.offset);
  pickler.integers(tensor.shape);
  pickler.integers(tensor.strides);
  pickler.op('\x89');                            // needs no gradient
  pickler.global("collections", "OrderedDict");  // of hooks
  pickler.op(')');
  pickler.op('R');
  if (!typed) pickler.global("torch", dtype.name);
  pickler.op('t');
  pickler.op('R');
}

std::string pickle_of(const Output& output) {
  Pickler pickler(output.file);
  if (!output.values.empty()) {
    if (output.values.contains(kState)) {
      throw core::FileError(fmt::format("{}: no metadata can be named {}", output.file, kState));
    }
    pickler.op('}');
    pickler.op('(');
    for (const auto& [key, value] : output.values) {
      pickler.string(key);
      pickler.string(value);
    }
    pickler.string(kState);
  }
  pickler.op('}');
  pickler.op('(');
  for (const auto& tensor : output.tensors) {
    pickler.string(tensor.name);
    write_tensor(pickler, tensor, output.storage_bytes[tensor.storage]);
  }
  pickler.op('u');
  if (!output.values.empty()) pickler.op('u');
  return pickler.take();
}

}  // namespace

void write(const Output& output, const std::function<std::string_view(size_t storage)>& content,
           const std::function<void(std::string_view)>& sink) {
  zip::Writer archive(sink);
  archive.add("archive/data.pkl", pickle_of(output));
  archive.add("archive/byteorder", "little");
  for (size_t i = 0; i < output.storage_bytes.size(); ++i) {
    archive.add(fmt::format("archive/data/{}", i), content(i));
  }
  archive.add("archive/version", "3\n");
  archive.finish();
}

}  // namespace perceive::io::pt
