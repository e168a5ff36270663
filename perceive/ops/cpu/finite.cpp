// x - x is 0 for finite numbers only, and so is a sum of such differences.
#include "perceive/ops/cpu/finite.h"

#include <ATen/ATen.h>

#include <atomic>

#include "perceive/kernels/rows.h"
#include "perceive/ops/cpu/keys.h"

namespace perceive::ops::cpu {

bool all_finite(const at::Tensor& t) {
  if (t.numel() == 0) return true;
  constexpr int64_t kRowsAtOnce = 1024;
  const int64_t rows = t.size(-2), matrices = t.numel() / (rows * t.size(-1));
  std::vector<Range> pieces;
  for_tiles({0, rows}, kRowsAtOnce, [&](const Range& piece) { pieces.push_back(piece); });
  std::atomic<bool> finite = true;
  run_parts(matrices * static_cast<int64_t>(pieces.size()), t.device(), [&](int64_t i) {
    const auto& piece = pieces[i % pieces.size()];
    int64_t offset = 0;
    for (int64_t rest = i / static_cast<int64_t>(pieces.size()), d = t.dim() - 3; d >= 0; rest /= t.size(d--)) {
      offset += rest % t.size(d) * t.stride(d);
    }
    Tile tile;
    for (int64_t r = piece.begin; r < piece.end; ++r) tile.index.push_back(r);
    Floats scratch;
    const auto values = read_rows({t, offset, t.stride(-2), t.stride(-1), t.size(-1)}, tile, scratch);
    for (int64_t r = 0; r < tile.keys(); ++r) {
      if (!kernels::row_kernels().finite(values.data + r * values.stride, t.size(-1))) finite = false;
    }
  });
  return finite;
}

}  // namespace perceive::ops::cpu
