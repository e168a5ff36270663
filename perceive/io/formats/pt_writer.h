// Writing PyTorch's checkpoints, which torch.load(weights_only=True) opens. No libtorch here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "perceive/io/formats/pt.h"

namespace perceive::io::pt {

struct Output {
  // Distinct names in UTF-8; each lies within its storage.
  std::vector<Tensor> tensors;
  std::vector<uint64_t> storage_bytes;
  // Strings beside the tensors. Without any, the file holds the dict of the tensors; with some, a dict of them and of
  // that one under `state_dict`.
  std::map<std::string, std::string> values;
  std::string file;  // for messages
};

// Hands the bytes of the file to `sink` in their order, and asks for each storage's content once; the view must stay
// until the next call. Throws core::FileError for text that is not UTF-8, or a value under the key `state_dict`.
void write(const Output& output, const std::function<std::string_view(size_t storage)>& content,
           const std::function<void(std::string_view)>& sink);

}  // namespace perceive::io::pt
