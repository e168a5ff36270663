// How a call is cut for the kernels, and the memory its parts work in.
//
// An item is what shares keys: one key head of one batch element where keys are given, a whole batch element where they
// are computed from a source. Its rows are the queries that attend to one of its key heads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "perceive/kernels/tile.h"
#include "perceive/ops/operators.h"
#include "perceive/ops/parts.h"

namespace perceive::ops::cpu {

// Numbers on whole cache lines, for vectors that cross lines cost twice; and not set to zero unless asked.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};
  LineAllocator() = default;
  template <class U>
  LineAllocator(const LineAllocator<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), kLine)); }
  void deallocate(T* p, size_t) { ::operator delete(p, kLine); }
  template <class U>
  void construct(U* p) {
    ::new (static_cast<void*>(p)) U;
  }
  template <class U, class... Arguments>
  void construct(U* p, Arguments&&... arguments) {
    ::new (static_cast<void*>(p)) U(std::forward<Arguments>(arguments)...);
  }
  template <class U>
  bool operator==(const LineAllocator<U>&) const {
    return true;
  }
};
template <class T>
using Numbers = std::vector<T, LineAllocator<T>>;
using Floats = Numbers<float>;

// Sizes of a call. B, H, N of q; keys at hand; D of q, Dv of out.
struct Shape {
  int64_t batch = 0, heads = 0, queries = 0, keys = 0, key_width = 0, value_width = 0;
  int64_t key_heads = 0;        // Hk
  bool heads_together = false;  // an item holds all key heads of a batch element
  bool bf16 = false;            // keys are multiplied as bfloat16
  SourceRange range;            // of the keys, in the whole source
  AttendScalars scalars;

  int64_t items() const { return heads_together ? batch : batch * key_heads; }
  int64_t item_heads() const { return heads_together ? key_heads : 1; }
  int64_t rows() const { return heads / std::max<int64_t>(key_heads, 1) * queries; }  // of a key head
  int64_t batch_of(int64_t item) const { return heads_together ? item : item / key_heads; }
  int64_t key_head_of(int64_t item, int64_t head) const { return heads_together ? head : item % key_heads; }
  // Row r of a key head: its query head and query.
  // Divisions are slow where each query has a key head of its own.
  int64_t head_of(int64_t key_head, int64_t row) const {
    return heads == key_heads ? key_head : key_head * (heads / key_heads) + row / queries;
  }
  int64_t query_of(int64_t row) const { return heads == key_heads ? row : row % queries; }
};

// Parts follow from sizes alone and are merged in their order: results do not depend on the number of threads.
struct Plan {
  int64_t key_tile = 0, lanes = 0;  // keys of a tile, rows of a full block
  std::vector<Range> key_parts, row_parts;
  int64_t items = 0;

  struct Part {
    int64_t item;
    Range rows, keys;
    int64_t row_part, key_part;
  };
  int64_t parts() const { return items * static_cast<int64_t>(key_parts.size() * row_parts.size()); }
  Part part(int64_t index) const;  // key parts of one item and row part are neighbours
};

// What a call is cut by first: the longer of rows and keys, where reading a tile costs little; keys, where a tile is
// worth sharing among all rows. `sums` is as `size`, but cuts rows no finer than the threads need: for passes where
// each part of the rows holds sums for all keys.
enum class CutBy { size, keys, sums };
// `least_keys`: of a part, at least so many.
Plan make_plan(const Shape& shape, const kernels::TileKernels& kernels, CutBy by, int64_t least_keys = 1);

// Rounded up to whole vectors.
inline int64_t padded(int64_t size, int64_t width) {
  return (size + width - 1) / width * width;
}

// Rows of one key head, cut into blocks of lanes. Arrays of a block of a Blocks-shaped buffer lie behind one another:
// block b of an array of `width` numbers a row begins at begin(b) · width.
struct Blocks {
  int64_t rows = 0, lanes = 0, width = 0;  // lanes of a full block, floats of a vector

  int64_t count() const { return (rows + lanes - 1) / lanes; }
  int64_t begin(int64_t block) const { return block * lanes; }
  int64_t rows_of(int64_t block) const { return std::min(lanes, rows - begin(block)); }
  int64_t lanes_of(int64_t block) const { return padded(rows_of(block), width); }
  int64_t padded_rows() const { return rows == 0 ? 0 : begin(count() - 1) + lanes_of(count() - 1); }
};

}  // namespace perceive::ops::cpu
