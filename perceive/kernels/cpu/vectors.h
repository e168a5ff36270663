// Vectors of floats, as wide as the instruction set a file is compiled for. All of it, here and in the *_kernel.cpp
// files, lies in a namespace of its own an instruction set (PERCEIVE_ISA): no linker takes one's code for another's.
#pragma once

#if defined(__SSE__)
#include <immintrin.h>
#endif

#include <cmath>
#include <cstdint>

namespace perceive::kernels::PERCEIVE_ISA {

#if defined(__AVX512F__)
inline constexpr int kWidth = 16, kVectors = 4, kRows = 6;  // 24 accumulators of 32 registers
#elif defined(__AVX2__)
inline constexpr int kWidth = 8, kVectors = 2, kRows = 6;  // 12 of 16
#else
inline constexpr int kWidth = 4, kVectors = 2, kRows = 4;
#endif

using Vector = float __attribute__((vector_size(kWidth * 4), aligned(4)));
using Integers = int32_t __attribute__((vector_size(kWidth * 4)));
using Register = float __attribute__((vector_size(kWidth * 4)));

inline Register load(const float* p) {
  return *reinterpret_cast<const Vector*>(p);
}
inline void store(float* p, Register x) {
  *reinterpret_cast<Vector*>(p) = x;
}
inline Register broadcast(float x) {
  return x - Register{};
}
// sum += x · y, in the register where the sum is: g++ 12 moves some of many sums to and fro in a long loop.
inline void multiply_add(Register& sum, Register x, Register y) {
#if defined(__AVX512F__)
  asm("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y));
#elif defined(__FMA__)
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(x), "x"(y));
#else
  sum += x * y;
#endif
}
// Keeps a pointer as it is, where compilers would make several of it.
template <class T>
inline void keep(T*& x) {
  asm("" : "+r"(x));
}
// NaN in a stays NaN, in b vanishes.
inline Register larger(Register a, Register b) {
#if defined(__AVX512F__)  // compilers make two instructions of the comparison
  return _mm512_max_ps(b, a);
#elif defined(__AVX2__)
  return _mm256_max_ps(b, a);
#elif defined(__SSE__)
  return _mm_max_ps(b, a);
#else
  return a < b ? b : a;
#endif
}
inline bool any(Integers x) {
  int32_t seen = 0;
  for (int i = 0; i < kWidth; ++i) seen |= x[i];
  return seen != 0;
}
inline float sum_of(Register x) {
  float sum = 0.0F;
  for (int i = 0; i < kWidth; ++i) sum += x[i];
  return sum;
}

// Horner's rule; the coefficient of the highest power comes first.
template <class... Lower>
inline Register polynomial(Register x, float highest, Lower... lower) {
  Register p = broadcast(highest);
  ((p = p * x + lower), ...);
  return p;
}

// 2^x for x <= 128, with a relative error of 3e-7; below -126.5 it is 0, or a denormal where such count. NaN for NaN,
// and 1 for 0.
inline Register exp2(Register x) {
#if defined(__AVX512DQ__)
  // Degree 5 on [0, 1].
  const Register f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);
  const Register p =
      polynomial(f, 1.86713005e-3F, 9.01703071e-3F, 5.57999127e-2F, 2.40164444e-1F, 6.93151295e-1F, 1.0F);
  return _mm512_scalef_ps(p, x);
#else
  // Degree 5 on [-1/2, 1/2].
  const Register clamped = larger(x, broadcast(-127.0F));
  // 1.5 · 2^23 rounds to nearest and leaves the integer in the low bits, here with the exponent's bias.
  const Register magic = broadcast(12582912.0F + 127.0F);
  const Register shifted = clamped + magic;
  const Register f = clamped - (shifted - magic);
  const Register p = polynomial(f, 1.3395176e-3F, 9.6736647e-3F, 5.5503324e-2F, 2.4022238e-1F, 6.9314721e-1F, 1.0F);
  return p * reinterpret_cast<Register>(reinterpret_cast<Integers>(shifted) << 23);
#endif
}

}  // namespace perceive::kernels::PERCEIVE_ISA
