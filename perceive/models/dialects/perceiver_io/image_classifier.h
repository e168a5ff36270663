// The image classifier of perceiver-io 0.2.1: its configuration, weights and numbers on the native layers.
#pragma once

#include <torch/nn/pimpl.h>

#include <string>

#include "perceive/io/tensors.h"
#include "perceive/models/dialects/perceiver_io/config.h"
#include "perceive/models/dialects/renamed.h"

namespace perceive::models::perceiver_io {

// Parameters under the names of the original's state_dict, layers that share weights under both names. The same seed
// gives the same weights as the original does.
class ImageClassifierImpl : public Renamed {
 public:
  explicit ImageClassifierImpl(const ImageClassifierConfig& config);
  // Images [B, height, width, channels] to logits [B, classes]; see models::PerceiverIO.
  at::Tensor forward(const at::Tensor& images, const at::Tensor& mask = {}) { return model_->forward(images, mask); }
  models::PerceiverIO native() { return model_; }

  // All entries of the original's state_dict: the parameters under every name and the position features
  // `0.input_adapter.position_encoding` [M, width], which are held here as a table an axis only.
  io::Tensors state_dict() const;
  // Takes such a state_dict, with or without position features; those given must be the ones of the image's shape, and
  // are then computed with, in their precision.
  // Throws core::FileError that names what does not fit, said to come from `origin`; returns lines for the user, as
  // io::load_into does.
  std::vector<std::string> load_state_dict(io::Tensors tensors, const std::string& origin);

 private:
  ImageClassifierImpl(const ImageClassifierConfig& config, models::PerceiverIO model);
  nn::ImageInputImpl& image_input() const;
  ops::Positions positions() const;

  models::PerceiverIO model_;
};
TORCH_MODULE(ImageClassifier);

}  // namespace perceive::models::perceiver_io
