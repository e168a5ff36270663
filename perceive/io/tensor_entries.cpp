// Reading the entries of a safetensors file, and the two names of a dtype.
#include "perceive/io/tensor_entries.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "perceive/core/error.h"

namespace perceive::io {
namespace {

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

}  // namespace

TensorEntries read_entries(const InputFile& file) {
  const std::string name = file.path().string();
  std::string text(std::min<uint64_t>(safetensors::kLengthBytes, file.size()), '\0');
  file.read(0, text.data(), text.size());
  text.resize(safetensors::header_bytes(text, file.size(), name));
  file.read(safetensors::kLengthBytes, text.data(), text.size());
  return {safetensors::parse_header(text, file.size(), name), safetensors::kLengthBytes + text.size()};
}

at::ScalarType scalar_type(const safetensors::Entry& entry, const std::string& file) {
  const auto found = std::find_if(kPairs.begin(), kPairs.end(), [&](const auto& p) { return p.first == entry.dtype; });
  if (found != kPairs.end()) return found->second;
  throw core::FileError(
      fmt::format("{}: tensor {} has the dtype {}, which libtorch cannot compute with: "
                  "save it as another one, such as BF16",
                  file, safetensors::shown(entry.name), safetensors::info(entry.dtype).name));
}

std::optional<Dtype> dtype_of(at::ScalarType type) {
  const auto found = std::find_if(kPairs.begin(), kPairs.end(), [&](const auto& p) { return p.second == type; });
  return found == kPairs.end() ? std::nullopt : std::optional(found->first);
}

void check_bools(std::span<const uint8_t> bytes, const std::string& tensor, const std::string& file) {
  const auto wrong = std::find_if(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte > 1; });
  if (wrong == bytes.end()) return;
  throw core::FileError(fmt::format("{}: tensor {}: element {} of a BOOL tensor must be 0 or 1; found {}", file,
                                    safetensors::shown(tensor), wrong - bytes.begin(), *wrong));
}

}  // namespace perceive::io
