// Reads a checkpoint of PyTorch whole, and checks that no tensor leaves its storage.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "perceive/io/formats/pt.h"
#include "tests/fuzz/target.h"

namespace perceive::fuzz {

inline void read_checkpoint(std::string_view bytes) {
  const io::pt::Checkpoint checkpoint(io::bytes_of(bytes, "input"));
  for (const auto& tensor : checkpoint.tensors()) {
    const uint64_t storage = checkpoint.storage_bytes(tensor.storage), unit = io::pt::info(tensor.dtype).bytes;
    expect(tensor.offset >= 0 && tensor.shape.size() == tensor.strides.size());
    __int128 last = tensor.offset;
    bool empty = false;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      expect(tensor.shape[i] >= 0 && tensor.strides[i] >= 0);
      empty = empty || tensor.shape[i] == 0;
      last += __int128{tensor.shape[i] - 1} * tensor.strides[i];
    }
    expect(empty || (last + 1) * unit <= storage);
  }
  for (size_t i = 0; i < checkpoint.storages(); ++i) {
    std::string content(checkpoint.storage_bytes(i), '\0');
    checkpoint.read_storage(i, content.data());
  }
  expect(!checkpoint.values().dump().empty());
}

}  // namespace perceive::fuzz
