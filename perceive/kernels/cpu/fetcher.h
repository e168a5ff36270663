// Asking the second cache for what comes next, a few lines a key: in bulk it would hold the loads of the loops up.
#pragma once

#include "perceive/kernels/tile.h"

namespace perceive::kernels::PERCEIVE_ISA {

class Fetcher {
 public:
  explicit Fetcher(const KeyTile& tile) : ahead_{tile.ahead[0], tile.ahead[1]} {
    int64_t lines = 0;
    for (const Ahead& a : ahead_) lines += a.rows * lines_of(a);
    lines_a_key_ = tile.keys > 0 ? (lines + tile.keys - 1) / tile.keys : 0;
  }

  void next(int64_t keys) {
    for (int64_t i = 0; i < keys * lines_a_key_; ++i) {
      if (ahead_[now_].rows == 0) {
        if (now_ == 1) return;
        now_ = 1;
        line_ = 0;
        if (ahead_[1].rows == 0) return;
      }
      Ahead& a = ahead_[now_];
      __builtin_prefetch(a.row + line_ * kLine, 0, 2);
      if (++line_ == lines_of(a)) {
        line_ = 0;
        a.row += a.stride;
        --a.rows;
      }
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  static int64_t lines_of(const Ahead& a) { return (a.bytes + kLine - 1) / kLine; }

  Ahead ahead_[2];
  int64_t lines_a_key_ = 0, line_ = 0;
  int now_ = 0;
};

}  // namespace perceive::kernels::PERCEIVE_ISA
