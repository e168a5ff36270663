// Named tensors in safetensors files, and which files are of which format.
#include "perceive/io/tensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "perceive/core/error.h"
#include "perceive/io/files.h"
#include "perceive/io/formats/pt.h"
#include "perceive/io/sharded_tensors.h"
#include "perceive/io/tensor_entries.h"
#include "perceive/io/tensors_pt.h"

namespace perceive::io {
namespace {

using core::FileError;

[[noreturn]] void refuse_to_save(const std::string& name, const std::string& file, const std::string& why) {
  throw FileError(fmt::format("{}: cannot save tensor {}: {}", file, safetensors::shown(name), why));
}

void check_dense(const std::string& name, const at::Tensor& tensor, const std::string& file) {
  if (!tensor.defined()) refuse_to_save(name, file, "it is undefined");
  if (tensor.layout() != at::kStrided || tensor.is_quantized()) {
    refuse_to_save(name, file, "only dense tensors can be saved");
  }
  if (tensor.is_meta()) refuse_to_save(name, file, "it is on the meta device and has no values");
}

safetensors::Entry entry_of(const std::string& name, const at::Tensor& tensor, const std::string& file) {
  const auto dtype = dtype_of(tensor.scalar_type());
  if (!dtype) {
    refuse_to_save(name, file, fmt::format("safetensors has no dtype for {}", c10::toString(tensor.scalar_type())));
  }
  return {.name = name, .dtype = *dtype, .shape = tensor.sizes().vec()};
}

Tensors load_safetensors(const InputFile& file, Metadata* metadata) {
  const std::string name = file.path().string();
  auto [header, data] = read_entries(file);
  Tensors tensors;
  for (const auto& entry : header.entries) {
    auto tensor = at::empty(entry.shape, at::TensorOptions().dtype(scalar_type(entry, name)));
    // Copied, not mapped: other writers leave tensors unaligned, and a mapped file that is cut kills its reader.
    file.read(data + entry.begin, tensor.mutable_data_ptr(), entry.end - entry.begin);
    if (tensor.scalar_type() == at::kBool) {
      const auto count = static_cast<size_t>(tensor.numel());
      check_bools({static_cast<const uint8_t*>(tensor.const_data_ptr()), count}, entry.name, name);
    }
    tensors.emplace(entry.name, std::move(tensor));
  }
  if (metadata != nullptr) *metadata = std::move(header.metadata);
  return tensors;
}

Tensors load_file(const std::filesystem::path& path, Metadata* metadata) {
  const InputFile file(path);
  std::string start(std::min(file.size(), pt::kStartBytes), '\0');
  file.read(0, start.data(), start.size());
  return pt::looks_like(start) ? load_pt(file, metadata) : load_safetensors(file, metadata);
}

void save_safetensors(const std::filesystem::path& path, const Tensors& tensors, const Metadata& metadata) {
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

}  // namespace

Tensors load_tensors(const std::filesystem::path& path, Metadata* metadata) {
  if (!is_index(path)) return load_file(path, metadata);
  return load_sharded(path, metadata, [](const auto& shard) { return load_file(shard, nullptr); });
}

void save_tensors(const std::filesystem::path& path, const Tensors& tensors, const Metadata& metadata) {
  for (const auto& [name, tensor] : tensors) check_dense(name, tensor, path.string());
  const std::string ending = path.extension().string();
  const bool pt = ending == ".pt" || ending == ".pth" || ending == ".bin" || ending == ".ckpt";
  return pt ? save_pt(path, tensors, metadata) : save_safetensors(path, tensors, metadata);
}

std::optional<at::ScalarType> precision(const Tensors& tensors) {
  std::optional<at::ScalarType> result;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.scalar_type() == at::kDouble) return at::kDouble;
    if (at::isFloatingType(tensor.scalar_type())) result = at::kFloat;
  }
  return result;
}

}  // namespace perceive::io
