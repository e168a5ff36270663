// A long input that is described, not expanded: what attend_source walks once, tile by tile.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace perceive::ops {

// Position features of the keys, concatenated behind their channels. Key j lies on a grid at the row-major index
// (j_0, j_1, …), and its features are the rows axes[0][j_0], axes[1][j_1], … side by side, so that M of them cost
// memory for S_0 + S_1 + … only. A table of M positions is a grid of one axis.
struct Positions {
  std::vector<at::Tensor> axes;  // [S_a, E_a] each, M = S_0 · S_1 · …; none: no position features
  std::vector<int64_t> order;    // feature c is column order[c] of [axes 0 | axes 1 | …]; empty: as they stand

  int64_t length() const;  // M
  int64_t width() const;   // E = E_0 + E_1 + …
  // The features themselves, [count, E], of the keys from `first` on: for tests and small inputs.
  at::Tensor expand(int64_t first, int64_t count) const;
};

// Gives the values [B, count, C] of the keys first .. first + count. Called in increasing order, once a pass (the
// backward pass is a second one), from one thread of the pass's own, without gradients, while the chunk before is
// computed. The tensor may be overwritten by the next call. What it throws comes out of the operator as it is.
using ChunkReader = std::function<at::Tensor(int64_t first, int64_t count)>;

struct Source {
  at::Tensor values;    // [B, M, C]; undefined where the values come in chunks
  Positions positions;  // over the M keys
  at::Tensor mask;      // [B, M], bool, true where a key counts; undefined: all count

  // Values that arrive in chunks instead, and get no gradient.
  ChunkReader read;
  int64_t batch = 0, length = 0, channels = 0;  // B, M, C of what `read` gives
  int64_t chunk = 1 << 16;                      // keys asked for at once; two chunks are held
  bool stays = false;                           // no call of `read` overwrites what another gave: nothing is copied

  static Source of(at::Tensor values, Positions positions = {}, at::Tensor mask = {});
  static Source in_chunks(ChunkReader read, int64_t batch, int64_t length, int64_t channels, Positions positions = {},
                          at::Tensor mask = {});

  int64_t batch_size() const;  // B
  int64_t keys() const;        // M
  int64_t width() const;       // C + E
};

}  // namespace perceive::ops
