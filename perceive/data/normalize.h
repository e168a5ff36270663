// What a model gets for each value of an 8-bit pixel.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace perceive::data {

// A byte becomes (byte / 255 - mean) / deviation: torchvision's ToTensor and Normalize, in their order of operations.
struct PixelScale {
  float mean = 0.0f;
  float deviation = 1.0f;
};

// A scale for each channel, or one for all of them.
class Normalization {
 public:
  // [-1, 1], or [0, 1] where not normalised.
  Normalization(bool normalize) : scales_{normalize ? PixelScale{0.5f, 0.5f} : PixelScale{}} {}
  explicit Normalization(std::vector<PixelScale> scales) : scales_(std::move(scales)) {}

  const std::vector<PixelScale>& scales() const { return scales_; }
  std::array<float, 256> values(int64_t channel) const {
    const PixelScale scale = scales_.size() == 1 ? scales_[0] : scales_.at(static_cast<size_t>(channel));
    std::array<float, 256> values{};
    for (int i = 0; i < 256; ++i) values[i] = (static_cast<float>(i) / 255.0f - scale.mean) / scale.deviation;
    return values;
  }

 private:
  std::vector<PixelScale> scales_;
};

}  // namespace perceive::data
