// From a user's input to the source that an encoder reads.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <vector>

#include "perceive/ops/source.h"

namespace perceive::nn {

class InputAdapter : public torch::nn::Module {
 public:
  virtual int64_t width() const = 0;  // channels of a key, position features included
  // mask: bool, true where an element of the input counts; undefined: all do.
  virtual ops::Source source(const at::Tensor& input, const at::Tensor& mask) = 0;
};

struct ImageInputOptions {
  static constexpr const char* kName = "image";
  std::vector<int64_t> shape = {28, 28, 1};
  int64_t frequency_bands = 32;
};
template <class Visitor>
void visit(ImageInputOptions& o, Visitor&& field) {
  field("shape", o.shape, "sizes of an image, channels last: height, width, channels (any number of axes)");
  field("frequency_bands", o.frequency_bands, "frequencies of the Fourier position features, an axis");
}
void check(const ImageInputOptions& options, const std::string& key = "");
// channels + axes · (2 · bands + 1)
int64_t width(const ImageInputOptions& options);

// Pixels [B, spatial…, channels] as values [B, M, channels] (a view), with Fourier features of the grid described by
// their axes. Has no parameters.
class ImageInputImpl : public InputAdapter {
 public:
  explicit ImageInputImpl(const ImageInputOptions& options);
  int64_t width() const override;
  // mask [B, spatial…] or [B, M].
  ops::Source source(const at::Tensor& images, const at::Tensor& mask = {}) override;
  // As computed, in float32 on the CPU, unless others of the same sizes were set.
  const ops::Positions& positions() const { return positions_; }
  void set_positions(ops::Positions positions);

 private:
  ImageInputOptions options_;
  ops::Positions positions_;
  ops::Positions placed_;  // positions_ in the dtype and on the device of the last input
};
TORCH_MODULE(ImageInput);

// An adapter by its options, for a choice of them.
inline std::shared_ptr<InputAdapter> make_input(const ImageInputOptions& options) {
  return ImageInput(options).ptr();
}

}  // namespace perceive::nn
