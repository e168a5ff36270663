// Weights as the tiles take them: bfloat16, in pairs.
#pragma once

#include "perceive/kernels/cpu/vectors.h"

namespace perceive::kernels::PERCEIVE_ISA {

// 2^x to within 3e-6, far below what bfloat16 keeps; 0 and infinity where float32 ends. Degree 4 on [0, 1).
inline Register rough_exp2(Register x) {
  const Register f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);
  const Register p = polynomial(f, 1.353416808e-2F, 5.201146143e-2F, 2.414427555e-1F, 6.930038351e-1F, 1.000002593F);
  return _mm512_scalef_ps(p, x);
}

// The upper halves of two weights, the first one's below. Cutting off is a third of rounding's instructions, and no
// less exact where sums are made up for what is missing.
inline Register pair(Register first, Register second) {
  const __m512i low = _mm512_srli_epi32(reinterpret_cast<__m512i>(first), 16);
  return reinterpret_cast<Register>(_mm512_mask_blend_epi16(0xAAAAAAAAU, low, reinterpret_cast<__m512i>(second)));
}
// Both rounded; halves of the last digit go up.
inline Register round_pair(Register first, Register second) {
  const auto rounded = [](Register x) {
    return reinterpret_cast<Register>(_mm512_add_epi32(reinterpret_cast<__m512i>(x), _mm512_set1_epi32(0x8000)));
  };
  return pair(rounded(first), rounded(second));
}
// 32 numbers, rounded.
inline Register round_row(Register first, Register second) {
  return reinterpret_cast<Register>(_mm512_cvtne2ps_pbh(second, first));
}
// sum + both of each pair.
inline Register add_pairs(Register sum, Register pairs) {
  const __m512i ones = _mm512_set1_epi32(0x3F803F80);
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(pairs), reinterpret_cast<__m512bh>(ones));
}

}  // namespace perceive::kernels::PERCEIVE_ISA
