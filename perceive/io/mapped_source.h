// A file as an input: mapped into memory a chunk at a time, so that it may be larger than the memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "perceive/ops/source.h"

namespace perceive::io {

struct MappedSourceOptions {
  std::string tensor;        // of a .safetensors file; may be empty where it has only one
  ops::Positions positions;  // over the M keys
  at::Tensor mask;           // [B, M], bool, true where a key counts; undefined: all count
  int64_t chunk = 0;         // keys mapped at once; 0: as many as fill about 8 MiB
};

// The values [M, C] (then B = 1) or [B, M, C] of a .npy file (format 1.0 to 3.0, C order, little-endian float16, 32 or
// 64) or of a tensor in a .safetensors file (these and bfloat16); the name's ending says which. Only the header is read
// here. Each pass maps one chunk after the other, read-only, brings it into memory while the one before is computed,
// and unmaps it when it is done: about two chunks are resident, whatever M is. Where a .safetensors file holds its
// numbers at an offset that does not suit their type, chunks are copied instead.
//
// Throws core::FileError, naming file, expected and found, for a file that is missing, damaged, cut, or of another kind
// or shape. A file must stay as it is while a source of it is in use: what is cut off under a pass is an error where it
// is noticed in time, and ends the process by SIGBUS otherwise. The source keeps the file open. Its chunks must not be
// written to.
ops::Source mapped_source(const std::filesystem::path& file, const MappedSourceOptions& options = {});

}  // namespace perceive::io
