// What a model gets for each value of an 8-bit pixel.
#pragma once

#include <array>
#include <cstdint>

namespace perceive::data {

// [0, 1], or [-1, 1] where normalised: torchvision's ToTensor and Normalize(0.5, 0.5), in its order of operations.
inline std::array<float, 256> pixel_values(bool normalize) {
  std::array<float, 256> values{};
  for (int i = 0; i < 256; ++i) {
    const float unit = static_cast<float>(i) / 255.0f;
    values[i] = normalize ? (unit - 0.5f) / 0.5f : unit;
  }
  return values;
}

}  // namespace perceive::data
