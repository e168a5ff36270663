// Named tensors in PyTorch's checkpoints.
#include "perceive/io/tensors_pt.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "perceive/core/error.h"
#include "perceive/io/formats/pt.h"
#include "perceive/io/formats/pt_writer.h"
#include "perceive/io/tensor_entries.h"

namespace perceive::io {
namespace {

using core::FileError;

// In the order of pt::Dtype.
constexpr std::array kTypes{
    at::kBool,
    at::kByte,
    at::kChar,
    at::kShort,
    at::kInt,
    at::kLong,
    at::kUInt16,
    at::kUInt32,
    at::kUInt64,
    at::kHalf,
    at::kBFloat16,
    at::kFloat,
    at::kDouble,
    at::kComplexHalf,
    at::kComplexFloat,
    at::kComplexDouble,
    at::kFloat8_e4m3fn,
    at::kFloat8_e4m3fnuz,
    at::kFloat8_e5m2,
    at::kFloat8_e5m2fnuz,
    at::kFloat8_e8m0fnu,
};
static_assert(kTypes.size() == pt::kDtypes.size());

pt::Dtype dtype_of_pt(at::ScalarType type, const std::string& name, const std::string& file) {
  const auto found = std::find(kTypes.begin(), kTypes.end(), type);
  if (found != kTypes.end()) return static_cast<pt::Dtype>(found - kTypes.begin());
  throw FileError(fmt::format("{}: cannot save tensor {}: checkpoints with tensors of {} are not supported", file,
                              safetensors::shown(name), c10::toString(type)));
}

Metadata metadata_of(const nlohmann::json& values) {
  Metadata metadata;
  if (!values.is_object()) return metadata;
  for (const auto& [key, value] : values.items()) {
    metadata.emplace(key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return metadata;
}

// The storages that tensors lie in, in the order in which they come.
class Storages {
 public:
  explicit Storages(const std::string& file) { output_.file = file; }

  void add(const std::string& name, const at::Tensor& saved) {
    const auto type = saved.scalar_type();
    const pt::Dtype dtype = dtype_of_pt(type, name, output_.file);
    at::Tensor tensor = saved.detach().resolve_conj().resolve_neg();
    if (tensor.storage().nbytes() % c10::elementSize(type) != 0) tensor = tensor.clone(at::MemoryFormat::Contiguous);
    const auto [place, is_new] =
        index_.emplace(std::pair{tensor.storage().unsafeGetStorageImpl(), type}, tensors_.size());
    if (is_new) {
      tensors_.push_back(tensor);
      output_.storage_bytes.push_back(tensor.storage().nbytes());
    }
    output_.tensors.push_back(
        {name, dtype, tensor.sizes().vec(), tensor.strides().vec(), tensor.storage_offset(), place->second});
  }

  void write(const std::function<void(std::string_view)>& sink, const Metadata& metadata) {
    output_.values = metadata;
    at::Tensor bytes;  // of one storage at a time: a copy of all would double the memory of a model
    pt::write(
        output_,
        [&](size_t index) -> std::string_view {
          const auto& tensor = tensors_[index];
          bytes = at::empty({0}, tensor.options().dtype(at::kByte)).set_(tensor.storage()).cpu();
          return {static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()};
        },
        sink);
  }

 private:
  pt::Output output_;
  std::vector<at::Tensor> tensors_;  // one a storage; keeps it alive
  std::map<std::pair<const c10::StorageImpl*, at::ScalarType>, size_t> index_;
};

}  // namespace

Tensors load_pt(const InputFile& file, Metadata* metadata) {
  const pt::Checkpoint checkpoint(bytes_of(file));
  std::vector<at::Tensor> storages;
  for (size_t i = 0; i < checkpoint.storages(); ++i) {
    storages.push_back(at::empty({static_cast<int64_t>(checkpoint.storage_bytes(i))}, at::kByte));
    checkpoint.read_storage(i, storages.back().mutable_data_ptr());
  }
  Tensors tensors;
  for (const auto& entry : checkpoint.tensors()) {
    const auto& storage = storages[entry.storage];
    if (entry.dtype == pt::Dtype::boolean) {
      check_bools({static_cast<const uint8_t*>(storage.const_data_ptr()), static_cast<size_t>(storage.numel())},
                  entry.name, file.path().string());
    }
    const auto type = at::TensorOptions().dtype(kTypes[static_cast<size_t>(entry.dtype)]);
    tensors.emplace(entry.name, at::empty({0}, type).set_(storage.storage(), entry.offset, entry.shape, entry.strides));
  }
  if (metadata != nullptr) *metadata = metadata_of(checkpoint.values());
  return tensors;
}

void save_pt(const std::filesystem::path& path, const Tensors& tensors, const Metadata& metadata) {
  Storages storages(path.string());
  for (const auto& [name, tensor] : tensors) storages.add(name, tensor);
  AtomicFile file(path);
  storages.write([&](std::string_view bytes) { file.write(bytes); }, metadata);
  file.commit();
}

}  // namespace perceive::io
