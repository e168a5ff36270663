// Examples that lie in memory as tensors.
#include "perceive/data/tensor_dataset.h"

#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include "perceive/core/error.h"

namespace perceive::data {

TensorDataset::TensorDataset(Batch tensors) : tensors_(std::move(tensors)) {
  TORCH_CHECK(!tensors_.empty(), "TensorDataset: expected at least one tensor");
  for (auto& [name, tensor] : tensors_) {
    TORCH_CHECK(tensor.defined() && tensor.dim() > 0, "TensorDataset: expected '", name, "' to be of shape [N, …]");
    tensor = tensor.detach();
  }
  const auto& [first_name, first] = *tensors_.begin();
  size_ = first.size(0);
  for (const auto& [name, tensor] : tensors_) {
    if (tensor.size(0) != size_) {
      throw core::DataError(
          fmt::format("TensorDataset: '{}' has {} examples and '{}' has {}", first_name, size_, name, tensor.size(0)));
    }
  }
}

Batch TensorDataset::batch(const std::vector<int64_t>& indices, uint64_t /*seed*/) const {
  const at::Tensor chosen = at::tensor(indices, at::kLong);
  Batch batch;
  for (const auto& [name, tensor] : tensors_) batch[name] = tensor.index_select(0, chosen.to(tensor.device()));
  return batch;
}

std::string TensorDataset::fingerprint() const {
  std::string text;
  for (const auto& [name, tensor] : tensors_) {
    const at::Tensor values = tensor.cpu().contiguous();
    const auto sum = crc32_z(0, static_cast<const Bytef*>(values.const_data_ptr()), values.nbytes());
    text += fmt::format("{}{} {} {} crc32 {:08x}", text.empty() ? "" : "; ", name, c10::toString(values.scalar_type()),
                        fmt::join(values.sizes(), "x"), sum);
  }
  return text;
}

}  // namespace perceive::data
