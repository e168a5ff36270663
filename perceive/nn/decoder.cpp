// The Perceiver IO decoder.
#include "perceive/nn/decoder.h"

#include <algorithm>

#include "perceive/nn/block_loss.h"

namespace perceive::nn {

void check(const DecoderOptions& options, int64_t query_channels, int64_t latent_channels, const std::string& key) {
  check(options.cross, {query_channels, latent_channels}, key + "cross.");
}

DecoderImpl::DecoderImpl(const DecoderOptions& options, std::shared_ptr<OutputAdapter> output,
                         int64_t latent_channels) {
  check(options, output->query_channels(), latent_channels);
  output_ = register_module("output", std::move(output));
  cross_ = register_module("cross", CrossAttentionLayer(options.cross, output_->query_channels(), latent_channels));
}

at::Tensor DecoderImpl::forward(const at::Tensor& latents) {
  return output_->forward(cross_->forward(output_->queries(), ops::Source::of(latents)));
}

at::Tensor DecoderImpl::forward_rows(const at::Tensor& latents, int64_t first, int64_t count) {
  TORCH_CHECK_VALUE(first >= 0 && count > 0 && first + count <= output_->rows(), "Decoder: rows ", first, " to ",
                    first + count - 1, " are not among the ", output_->rows(), " of the output");
  return outputs(latents, output_->queries(first, count));
}

at::Tensor DecoderImpl::forward_at(const at::Tensor& latents, const at::Tensor& places) {
  TORCH_CHECK_VALUE(places.scalar_type() == at::kBool && places.dim() == 2 && places.size(0) == latents.size(0) &&
                        places.size(1) <= output_->rows(),
                    "Decoder: expected places of bool [", latents.size(0), ", up to ", output_->rows(), "]; got ",
                    places.scalar_type(), " ", places.sizes());
  const auto answers = cross_->forward(output_->queries(0, places.size(1)), ops::Source::of(latents));
  return output_->outputs(answers.index({places}).unsqueeze(0)).squeeze(0);
}

at::Tensor DecoderImpl::outputs(const at::Tensor& latents, const at::Tensor& queries) {
  return output_->outputs(cross_->forward(queries, ops::Source::of(latents)));
}

void DecoderImpl::decode(const at::Tensor& latents, int64_t block,
                         const std::function<void(const at::Tensor& outputs, int64_t first)>& body) {
  TORCH_CHECK_VALUE(block > 0, "Decoder: a block must have at least 1 row; got ", block);
  const at::NoGradGuard no_grad;
  const int64_t rows = output_->rows();
  for (int64_t first = 0; first < rows; first += block) {
    body(forward_rows(latents, first, std::min(block, rows - first)), first);
  }
}

at::Tensor DecoderImpl::loss(const at::Tensor& latents, int64_t block,
                             const std::function<at::Tensor(const at::Tensor& outputs, int64_t first)>& loss) {
  BlockLossInputs inputs{latents, output_->learned(), {}};
  for (const auto& parameter : parameters()) {
    if (!parameter.is_same(inputs.learned)) inputs.parameters.push_back(parameter);
  }
  const auto loss_of_block = [&](const at::Tensor& shared, const at::Tensor& learned, int64_t first, int64_t count) {
    return loss(outputs(shared, output_->make_queries(first, count, learned)), first);
  };
  return sum_of_block_losses(loss_of_block, inputs, output_->rows(), block);
}

at::Tensor DecoderImpl::weights(const at::Tensor& latents) {
  return cross_->weights(output_->queries(), ops::Source::of(latents));
}

}  // namespace perceive::nn
