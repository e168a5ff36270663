// The eight tile registers, of 16 rows of 64 bytes. Compilers know of them only what stands here, so all of it is
// volatile, and what reads memory says so: or a store that comes before might be moved behind.
#pragma once

#include <cstdint>

namespace perceive::kernels::PERCEIVE_ISA {

// While one lives, the tiles of this thread may be used.
class Tiles {
 public:
  Tiles() {
    Shapes shapes;
    for (int t = 0; t < 8; ++t) {
      shapes.bytes[t] = 64;
      shapes.rows[t] = 16;
    }
    asm volatile("ldtilecfg %0" : : "m"(shapes));
  }
  ~Tiles() { asm volatile("tilerelease"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

 private:
  struct alignas(64) Shapes {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};
  };
};

template <int T>
inline void zero_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}
// Rows lie `stride` bytes apart.
template <int T>
inline void load_tile(const void* p, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(T) : "memory");
}
template <int T>
inline void store_tile(float* p, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(T) : "memory");
}
// C [16 x 16 floats] += A [16 x 32 bfloat16] B, with B [16 pairs of rows x 16].
template <int C, int A, int B>
inline void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
}

// A square of 32 rows and 32 columns, or 16 where it is not `wide`: its sums are tiles 0 to 3, row by row.
inline void zero_square() {
  zero_tile<0>();
  zero_tile<1>();
  zero_tile<2>();
  zero_tile<3>();
}
// Adds 32 terms. a: 32 rows; b: 16 rows of pairs.
inline void multiply_square(const uint16_t* a, int64_t a_stride, const uint32_t* b, int64_t b_stride, bool wide) {
  load_tile<4>(b, b_stride * 4);
  load_tile<6>(a, a_stride * 2);
  multiply_tiles<0, 6, 4>();
  load_tile<7>(a + 16 * a_stride, a_stride * 2);
  multiply_tiles<2, 7, 4>();
  if (!wide) return;
  load_tile<5>(b + 16, b_stride * 4);
  multiply_tiles<1, 6, 5>();
  multiply_tiles<3, 7, 5>();
}
inline void store_square(float* to, int64_t stride, bool wide) {
  store_tile<0>(to, stride * 4);
  store_tile<2>(to + 16 * stride, stride * 4);
  if (!wide) return;
  store_tile<1>(to + 16, stride * 4);
  store_tile<3>(to + 16 * stride + 16, stride * 4);
}

}  // namespace perceive::kernels::PERCEIVE_ISA
