// experimental.Perceiver of perceiver-pytorch: the data read the latents too (Lee et al. 2019, arXiv 1810.00825), so
// that they are held in memory as a whole. The same seed gives the same weights as the original does.
//
// Shapes: B batch, S tokens of the data, W their width, N latents of D channels.
#pragma once

#include <torch/nn/pimpl.h>

#include <memory>

#include "perceive/models/dialects/perceiver_pytorch/config.h"
#include "perceive/models/dialects/renamed.h"

namespace perceive::models::perceiver_pytorch {

class TwoWayModel;

class ExperimentalPerceiverImpl : public Renamed {
 public:
  explicit ExperimentalPerceiverImpl(const ExperimentalConfig& config);
  // data [B, sizes of the axes…, channels] to [B, num_classes]. As in the original, fourier_encode_data must be false,
  // and a mask (see flat_mask) needs a depth of 1.
  at::Tensor forward(const at::Tensor& data, const at::Tensor& mask = {});

 private:
  ExperimentalPerceiverImpl(const ExperimentalConfig& config, std::shared_ptr<TwoWayModel> model);

  ExperimentalConfig config_;
  InputOptions input_;
  std::shared_ptr<TwoWayModel> model_;
};
TORCH_MODULE(ExperimentalPerceiver);

}  // namespace perceive::models::perceiver_pytorch
