// Keys and values of float32, split for kernels that multiply their parts.
#pragma once

#include <memory>

#include "perceive/ops/cpu/keys.h"

namespace perceive::ops::cpu {

// Whether it pays to split the keys of a call.
bool splits(const Shape& shape);

// What another reader reads, with its parts beside it; without, where some number is not finite, and for narrow heads.
class SplitReader : public TileReader {
 public:
  SplitReader(std::shared_ptr<TileReader> reader, Pass pass) : reader_(std::move(reader)), pass_(pass) {}
  void read(int64_t item, Tile& tile) override;
  std::array<kernels::Ahead, 2> ahead(int64_t item, const Range& keys) const override {
    return reader_->ahead(item, keys);
  }

 private:
  struct Head {
    kernels::SplitKeys keys;
    Numbers<uint16_t> k_rows, k_columns, v_rows, v_columns;
  };
  bool split(const kernels::KeyTile& tile, Head& head) const;

  std::shared_ptr<TileReader> reader_;
  Pass pass_;
  std::vector<Head> heads_;
};

}  // namespace perceive::ops::cpu
