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

// Keys on a grid whose features are never written out. Key j has `depth` inputs x_j, the constant 1, and for every axis
// of the grid one feature of size factor_j that is its own step's: so of the rows of a block's q (and of its sums), it
// meets the first `depth`, row `constant`, row column_j (its step of the innermost axis), and those of the other axes,
// which neighbours share.
struct GridKeys {
  struct Segment {
    int64_t begin = 0, end = 0;  // keys of the tile
    int64_t rows[2] = {0, 0};    // `shared` of them
    int shared = 0;
  };
  ConstRows inputs;                 // [keys, depth]
  const float* factor = nullptr;    // [keys]
  const int64_t* column = nullptr;  // [keys]
  int64_t depth = 0, constant = 0;
  const Segment* segments = nullptr;
  int64_t segment_count = 0;
};

// Keys and values as bfloat16 (the bits), for instruction sets that multiply such: TileKernels::pack_values is there.
struct Bf16Keys {
  static constexpr int64_t kStep = 32;
  // Rows of the keys, `stride` numbers apart. They can be read up to whole kStep keys and widths; of the width, what is
  // behind a key is zero.
  const uint16_t* k = nullptr;
  int64_t stride = 0;
  const uint16_t* v = nullptr;  // the values, packed
  // For the backward pass, the other way round: keys packed, rows of values as those of k.
  const uint16_t* k_packed = nullptr;
  const uint16_t* v_rows = nullptr;
  int64_t v_stride = 0;
};

// Keys and values of float32 in three bfloat16 parts each, as TileKernels::split_rows and split_columns make them; for
// the forward pass keys by rows and values by columns, for the backward pass both by rows, and the keys by columns.
struct SplitKeys {
  static constexpr int64_t kParts = 3;
  const uint16_t *k_rows = nullptr, *k_columns = nullptr, *v_rows = nullptr, *v_columns = nullptr;
};

// Rows of memory that will be read soon; the kernels ask for them bit by bit while they compute.
struct Ahead {
  const char* row = nullptr;  // the first
  int64_t stride = 0, bytes = 0, rows = 0;
};

// The keys of a tile: k [keys, key_width], v [keys, value_width]; or, where k and v are empty, `bf16`, or `grid`, with
// the widths of q and out, and the same.
struct KeyTile {
  ConstRows k, v;
  const GridKeys* grid = nullptr;
  const Bf16Keys* bf16 = nullptr;
  const SplitKeys* split = nullptr;  // of k and v, beside them
  int64_t keys = 0, key_width = 0, value_width = 0;
  // [keys][lanes] or null: added to the scores (0 or -inf), and multiplied with the weights (dropout).
  const float* add = nullptr;
  const float* multiply = nullptr;
  Ahead ahead[2];
};

// FlashAttention (Dao 2022, algorithm 1), with a reference of the exponentials that moves only where scores outgrow it.
struct ForwardBlock {
  int64_t lanes = 0;
  const float* q = nullptr;  // [key_width][lanes], times scale · log2(e)
  // Instead, where keys are bfloat16: pairs of neighbours of its width, [key_width in whole steps / 2][lanes], and what
  // their scores are multiplied with.
  const uint32_t* q_pairs = nullptr;
  float factor = 1.0F;
  float* highest = nullptr;  // [lanes], the reference; -inf before the first tile
  float* sum = nullptr;      // [lanes]
  float* out = nullptr;      // [value_width][lanes], not yet divided by sum
  float* scores = nullptr;   // scratch, [keys, in whole steps of Bf16Keys][lanes]
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
  float* context = nullptr;         // [value_width][lanes] or null, added to: the weighted sums of v
  Rows grad_k, grad_v;              // [keys, padded width] or null, added to
  float* scores = nullptr;          // scratch, [keys][lanes] each
  float* grad_scores = nullptr;
  // Instead of q, grad_out and their rows, where keys are bfloat16: pairs as those of ForwardBlock; and of neighbouring
  // rows, [lanes in whole steps / 2][width in whole steps], not scaled. No scratch, and no context.
  const uint32_t* q_pairs = nullptr;
  const uint32_t* grad_out_pairs = nullptr;
  const uint32_t* q_row_pairs = nullptr;
  const uint32_t* grad_out_row_pairs = nullptr;
  float factor = 1.0F;  // of the scores
  float scale = 1.0F;   // of grad_k
};

// c [rows, columns] (+)= a b: row r, depth d of a lies at a[r · row_step + d · depth_step], and one of the two steps is
// 1; b and c have rows of `columns` floats, a multiple of the vector width.
struct Product {
  const float* a = nullptr;
  int64_t row_step = 0, depth_step = 1;
  ConstRows b;
  Rows c;
  int64_t rows = 0, depth = 0, columns = 0;
  bool add = false;
};

// The same of any sizes, with b [depth, columns] anywhere, too: depth d and column c at b[d · b_depth_step + c ·
// column_step].
struct Matmul {
  const float* a = nullptr;
  int64_t row_step = 0, depth_step = 1;
  const float* b = nullptr;
  int64_t b_depth_step = 0, column_step = 1;
  Rows c;
  int64_t rows = 0, depth = 0, columns = 0;
  bool add = false;
};

struct TileKernels {
  int64_t width;  // floats a vector
  int64_t lanes;  // most lanes a block has; any multiple of width up to it is allowed
  void (*forward)(const KeyTile&, const ForwardBlock&);
  void (*backward)(const KeyTile&, const BackwardBlock&);
  void (*product)(const Product&);
  // Null where bfloat16 is not multiplied. v [keys, width], rows `stride` apart, to packed_values(keys, width) numbers.
  void (*pack_values)(const uint16_t* v, int64_t stride, int64_t keys, int64_t width, uint16_t* packed) = nullptr;
  // q [rows, width] to the pairs of ForwardBlock: the first (width + 1) / 2 rows of them, `lanes` apart.
  void (*pack_queries)(const uint16_t* q, int64_t stride, int64_t rows, int64_t width, uint32_t* pairs,
                       int64_t lanes) = nullptr;
  // Null where float32 is not split. numbers [rows, depth], or [depth, rows] where it is the columns that meet queries,
  // to parts_size(rows, depth) parts; false where some number is not finite.
  bool (*split_rows)(const ConstRows& numbers, int64_t rows, int64_t depth, uint16_t* parts) = nullptr;
  bool (*split_columns)(const ConstRows& numbers, int64_t rows, int64_t depth, uint16_t* parts) = nullptr;
  // Null as well. Large products, for which no BLAS is as fast; false where some number is not finite, and c is void.
  bool (*matmul)(const Matmul&) = nullptr;
};

inline int64_t bf16_steps(int64_t size) {
  return (size + Bf16Keys::kStep - 1) / Bf16Keys::kStep;
}
inline int64_t packed_values(int64_t keys, int64_t width) {
  return bf16_steps(keys) * bf16_steps(width) * Bf16Keys::kStep * Bf16Keys::kStep;
}
inline int64_t parts_size(int64_t rows, int64_t depth) {
  return SplitKeys::kParts * packed_values(rows, depth);
}

// For this machine, or as the environment variable PERCEIVE_CPU says (default, avx2, avx512 or amx); throws
// core::ConfigError for another value or an instruction set that the machine has not.
const TileKernels& tile_kernels();
// Of the instruction set that runs: default, avx2, avx512 or amx.
const char* instruction_set();

}  // namespace perceive::kernels
