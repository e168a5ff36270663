// Absorbed sides: queries that carry a projection, so that they meet the features of keys, and sums of features that
// are projected once, behind the attention.
#pragma once

#include "perceive/ops/cpu/factors.h"

namespace perceive::ops::cpu {

// The absorbed sides of a call; null where the walk meets keys, or values, themselves.
struct Absorbed {
  const Factors* key = nullptr;
  const Factors* value = nullptr;
};

// Blocks of lanes [block][width][lanes] of one head, to [block][features][lanes] and back.
Floats lift(const Factors& side, int64_t head, const Floats& lanes, const Blocks& blocks);
Floats lower(const Factors& side, int64_t head, const Floats& lifted, const Blocks& blocks);
// grad_rows [features][stride] += lifted [block][features][lanes] times rows [rows][head_pitch].
void add_products(const Factors& side, int64_t head, const Floats& lifted, const Floats& rows, const Blocks& blocks,
                  const at::Tensor& grad_rows);

}  // namespace perceive::ops::cpu
