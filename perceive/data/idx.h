// IDX, the file format of MNIST and its relatives: big-endian sizes, then bytes. Plain or gzip.
//
// Source: "THE IDX FILE FORMAT", http://yann.lecun.com/exdb/mnist
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace perceive::data {

// A uint8 tensor of the shape the file announces, which must have `dimensions` dimensions: 3 for images [N, H, W], 1
// for labels [N]. Whether the file is compressed is told by its content. Throws core::DataError with file and byte
// counts; never allocates more than the file can hold.
at::Tensor read_idx(const std::string& path, int64_t dimensions);

}  // namespace perceive::data
