// Named tensors in safetensors files.
#include "perceive/io/tensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "perceive/core/error.h"
#include "perceive/io/files.h"
#include "perceive/io/formats/safetensors.h"

namespace perceive::io {
namespace {

using core::FileError;
using safetensors::Dtype;

constexpr std::array kPairs{
    std::pair{Dtype::BOOL, at::kBool},
    std::pair{Dtype::U8, at::kByte},
    std::pair{Dtype::I8, at::kChar},
    std::pair{Dtype::F8_E5M2, at::kFloat8_e5m2},
    std::pair{Dtype::F8_E4M3, at::kFloat8_e4m3fn},
    std::pair{Dtype::F8_E8M0, at::kFloat8_e8m0fnu},
    std::pair{Dtype::F8_E4M3FNUZ, at::kFloat8_e4m3fnuz},
    std::pair{Dtype::F8_E5M2FNUZ, at::kFloat8_e5m2fnuz},
    std::pair{Dtype::I16, at::kShort},
    std::pair{Dtype::U16, at::kUInt16},
    std::pair{Dtype::F16, at::kHalf},
    std::pair{Dtype::BF16, at::kBFloat16},
    std::pair{Dtype::I32, at::kInt},
    std::pair{Dtype::U32, at::kUInt32},
    std::pair{Dtype::F32, at::kFloat},
    std::pair{Dtype::C64, at::kComplexFloat},
    std::pair{Dtype::F64, at::kDouble},
    std::pair{Dtype::I64, at::kLong},
    std::pair{Dtype::U64, at::kUInt64},
};

at::ScalarType scalar_type(const safetensors::Entry& entry, const std::string& file) {
  const auto found = std::find_if(kPairs.begin(), kPairs.end(), [&](const auto& p) { return p.first == entry.dtype; });
  if (found != kPairs.end()) return found->second;
  throw FileError(fmt::format("{}: tensor {} has the dtype {}, which is not supported", file,
                              safetensors::shown(entry.name), safetensors::info(entry.dtype).name));
}

safetensors::Entry entry_of(const std::string& name, const at::Tensor& tensor, const std::string& file) {
  const auto refuse = [&](const std::string& what) {
    throw FileError(fmt::format("{}: cannot save tensor {}: {}", file, safetensors::shown(name), what));
  };
  if (!tensor.defined()) refuse("it is undefined");
  if (tensor.layout() != at::kStrided || tensor.is_quantized()) refuse("only dense tensors can be saved");
  if (tensor.is_meta()) refuse("it is on the meta device and has no values");
  const auto type = tensor.scalar_type();
  const auto found = std::find_if(kPairs.begin(), kPairs.end(), [&](const auto& p) { return p.second == type; });
  if (found == kPairs.end()) refuse(fmt::format("safetensors has no dtype for {}", c10::toString(type)));
  return {.name = name, .dtype = found->first, .shape = tensor.sizes().vec()};
}

}  // namespace

Tensors load_tensors(const std::filesystem::path& path, Metadata* metadata) {
  const InputFile file(path);
  const std::string name = path.string();
  std::string text(std::min<uint64_t>(safetensors::kLengthBytes, file.size()), '\0');
  file.read(0, text.data(), text.size());
  text.resize(safetensors::header_bytes(text, file.size(), name));
  file.read(safetensors::kLengthBytes, text.data(), text.size());
  auto header = safetensors::parse_header(text, file.size(), name);

  const uint64_t data = safetensors::kLengthBytes + text.size();
  Tensors tensors;
  for (const auto& entry : header.entries) {
    auto tensor = at::empty(entry.shape, at::TensorOptions().dtype(scalar_type(entry, name)));
    // Copied, not mapped: other writers leave tensors unaligned, and a mapped file that is cut kills its reader.
    file.read(data + entry.begin, tensor.mutable_data_ptr(), entry.end - entry.begin);
    if (tensor.scalar_type() == at::kBool) {
      const auto* bytes = static_cast<const uint8_t*>(tensor.const_data_ptr());
      const auto wrong = std::find_if(bytes, bytes + tensor.numel(), [](uint8_t byte) { return byte > 1; });
      if (wrong != bytes + tensor.numel()) {
        throw FileError(fmt::format("{}: tensor {}: element {} of a BOOL tensor must be 0 or 1; found {}", name,
                                    safetensors::shown(entry.name), wrong - bytes, *wrong));
      }
    }
    tensors.emplace(entry.name, std::move(tensor));
  }
  if (metadata != nullptr) *metadata = std::move(header.metadata);
  return tensors;
}

void save_tensors(const std::filesystem::path& path, const Tensors& tensors, const Metadata& metadata) {
  const std::string name = path.string();
  safetensors::Header header;
  header.metadata = metadata;
  for (const auto& [key, tensor] : tensors) header.entries.push_back(entry_of(key, tensor, name));
  const std::string start = safetensors::lay_out(header, name);

  AtomicFile file(path);
  file.write(start);
  for (const auto& entry : header.entries) {
    // One tensor at a time: a copy of all would double the memory of a model at the worst moment.
    const auto tensor = tensors.at(entry.name).detach().resolve_conj().resolve_neg().cpu().contiguous();
    file.write({static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()});
  }
  file.commit();
}

}  // namespace perceive::io
