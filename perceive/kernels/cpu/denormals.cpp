// Two bits of the x86 control register; elsewhere nothing is done, and results are the same.
#include "perceive/kernels/denormals.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace perceive::kernels {

#if defined(__SSE__)

namespace {
constexpr uint32_t kFlushToZero = 1U << 15, kDenormalsAreZero = 1U << 6;
}

DenormalsAreZero::DenormalsAreZero() : before_(_mm_getcsr()) {
  _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZero);
}
DenormalsAreZero::~DenormalsAreZero() {
  _mm_setcsr(before_);
}

#else

DenormalsAreZero::DenormalsAreZero() : before_(0) {}
DenormalsAreZero::~DenormalsAreZero() = default;

#endif

}  // namespace perceive::kernels
