// Named tensors in safetensors files.
#include "perceive/io/tensors.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "perceive/core/error.h"
#include "perceive/io/files.h"
#include "perceive/io/tensor_entries.h"

namespace perceive::io {
namespace {

using core::FileError;

safetensors::Entry entry_of(const std::string& name, const at::Tensor& tensor, const std::string& file) {
  const auto refuse = [&](const std::string& what) {
    throw FileError(fmt::format("{}: cannot save tensor {}: {}", file, safetensors::shown(name), what));
  };
  if (!tensor.defined()) refuse("it is undefined");
  if (tensor.layout() != at::kStrided || tensor.is_quantized()) refuse("only dense tensors can be saved");
  if (tensor.is_meta()) refuse("it is on the meta device and has no values");
  const auto dtype = dtype_of(tensor.scalar_type());
  if (!dtype) refuse(fmt::format("safetensors has no dtype for {}", c10::toString(tensor.scalar_type())));
  return {.name = name, .dtype = *dtype, .shape = tensor.sizes().vec()};
}

}  // namespace

Tensors load_tensors(const std::filesystem::path& path, Metadata* metadata) {
  const InputFile file(path);
  const std::string name = path.string();
  auto [header, data] = read_entries(file);
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
