// The keys of a tile as the kernels read them: given ones in place, others widened, gathered or computed into scratch.
#pragma once

#include <array>
#include <vector>

#include "perceive/ops/cpu/work.h"

namespace perceive::ops::cpu {

// Keys of one item that are in sight of some query: masked keys are left out before anything is computed of them.
struct Tile {
  std::vector<int64_t> index;          // of each key, among the keys at hand
  bool contiguous = true;              // index is a run of neighbours
  std::vector<kernels::KeyTile> head;  // a key head of the item each

  int64_t keys() const { return static_cast<int64_t>(index.size()); }
};

// What tiles are read for.
enum class Pass { forward, backward };

// Reads the tiles of one part of the work, one after the other; owns their scratch.
class TileReader {
 public:
  virtual ~TileReader() = default;
  // `tile.index` names the keys to read.
  virtual void read(int64_t item, Tile& tile) = 0;
  // The memory of these keys, which will be read soon.
  virtual std::array<kernels::Ahead, 2> ahead(int64_t item, const Range& keys) const = 0;
};

// The gradients of a group's tiles; handed on while the reader still holds the tile.
class TileGradients {
 public:
  virtual ~TileGradients() = default;
  // grad_k, grad_v of key head `head`: rows in the order of tile.index, added to; null where nothing is wanted.
  virtual void begin(const Plan::Part& part, const Tile& tile, int64_t head, kernels::Rows& grad_k,
                     kernels::Rows& grad_v) = 0;
  virtual void end(const Plan::Part& part, const Tile& tile) = 0;
};

// What the queries may see: the mask, and the order of time.
class Visibility {
 public:
  enum class Seen { all, some, none };

  Visibility(const Shape& shape, const at::Tensor& mask);  // mask: 4-D or undefined

  // Sets tile.index to those of `keys` that the item's queries may see, as far as a mask of keys says.
  void keys(int64_t item, const Range& keys, Tile& tile) const;
  // What of the tile the rows of a block may see otherwise; for `some`, add [keys][lanes] is filled with 0 and -inf.
  Seen rows(int64_t item, int64_t head, const Tile& tile, const Range& rows, int64_t lanes, float* add) const;
  // Whether rows of one tile may see different keys.
  bool differs_by_row() const { return pair_mask_ || shape_.scalars.causal; }

 private:
  const Shape& shape_;
  at::Tensor mask_;
  int64_t strides_[4] = {0, 0, 0, 0};  // 0 where the mask is broadcast
  bool key_mask_ = false, pair_mask_ = false;
};

// A matrix [rows, width] of any floating type within a tensor, beginning at `offset` of its storage.
struct Matrix {
  const at::Tensor& tensor;
  int64_t offset, row_stride, column_stride, width;
};
// Of the item's key head, in a tensor [B, Hk, M, D].
Matrix head_of(const Shape& shape, const at::Tensor& tensor, int64_t item);
// The rows of a tile as floats: in place where they lie so, in scratch otherwise.
kernels::ConstRows read_rows(const Matrix& matrix, const Tile& tile, Floats& scratch);
kernels::Ahead ahead_rows(const Matrix& matrix, const Range& rows);

// Keys and values given as tensors [B, Hk, M, D].
class GivenReader : public TileReader {
 public:
  GivenReader(const Shape& shape, const at::Tensor& k, const at::Tensor& v) : shape_(shape), k_(k), v_(v) {}
  void read(int64_t item, Tile& tile) override;
  std::array<kernels::Ahead, 2> ahead(int64_t item, const Range& keys) const override;

 private:
  const Shape& shape_;
  at::Tensor k_, v_;
  Floats k_scratch_, v_scratch_;
};

}  // namespace perceive::ops::cpu
