// Attention of one block of queries over one tile of keys, compiled for each instruction set.
//
// Queries lie in the lanes of vectors: a block holds up to `lanes` of them, its arrays are [row][lanes], zero where
// there is no query. Keys and values stay as they are, row by row, and are broadcast a number at a time; nothing is
// packed or transposed, and the softmax over keys needs no shuffles. Scores are in units of log 2.
#pragma once

#include <cstdint>

namespace perceive::kernels {

// Rows of floats, side by side in memory within a row.
struct ConstRows {
  const float* data = nullptr;
  int64_t stride = 0;
};
struct Rows {
  float* data = nullptr;
  int64_t stride = 0;
};

// The keys of a tile: k [keys, key_width], v [keys, value_width].
struct KeyTile {
  ConstRows k, v;
  int64_t keys = 0, key_width = 0, value_width = 0;
  // [keys][lanes] or null: added to the scores (0 or -inf), and multiplied with the weights (dropout).
  const float* add = nullptr;
  const float* multiply = nullptr;
};

// FlashAttention (Dao 2022, algorithm 1), with the running maximum moved only where it would grow by more than 2^8.
struct ForwardBlock {
  int64_t lanes = 0;
  const float* q = nullptr;  // [key_width][lanes], times scale · log2(e)
  float* highest = nullptr;  // [lanes], -inf before the first tile
  float* sum = nullptr;      // [lanes]
  float* out = nullptr;      // [value_width][lanes], not yet divided by sum
  float* scores = nullptr;   // scratch, [keys][lanes]
};

// Dao 2023 (FlashAttention-2, algorithm 2), from the log-sum-exp.
struct BackwardBlock {
  int64_t lanes = 0, queries = 0;   // lanes in use: queries <= lanes
  const float* q = nullptr;         // as above
  const float* grad_out = nullptr;  // [value_width][lanes]
  ConstRows q_rows;                 // [queries, padded key_width], times scale
  ConstRows grad_out_rows;          // [queries, padded value_width]
  const float* lse = nullptr;       // [lanes], base 2; +inf for a query without keys
  const float* delta = nullptr;     // [lanes]: sum of grad_out · out, less the gradient of lse
  float* grad_q = nullptr;          // [key_width][lanes], added to; of the q that `q_rows` holds, before the scale
  Rows grad_k, grad_v;              // [keys, padded width], added to
  float* scores = nullptr;          // scratch, [keys][lanes] each
  float* grad_scores = nullptr;
};

// c [rows, columns] (+)= a b: row r, depth d of a lies at a[r · row_step + d · depth_step]; b and c have rows of
// `columns` floats, a multiple of the vector width.
struct Product {
  const float* a = nullptr;
  int64_t row_step = 0, depth_step = 1;
  ConstRows b;
  Rows c;
  int64_t rows = 0, depth = 0, columns = 0;
  bool add = false;
};

struct TileKernels {
  const char* name;  // default, avx2, avx512
  int64_t width;     // floats a vector
  int64_t lanes;     // most lanes a block has; any multiple of width up to it is allowed
  void (*forward)(const KeyTile&, const ForwardBlock&);
  void (*backward)(const KeyTile&, const BackwardBlock&);
  void (*product)(const Product&);
};

// For this machine, or as the environment variable PERCEIVE_CPU says (default, avx2 or avx512); throws
// core::ConfigError for another value or an instruction set that the machine has not.
const TileKernels& tile_kernels();

}  // namespace perceive::kernels
