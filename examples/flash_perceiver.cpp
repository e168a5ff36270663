// The examples of flash-perceiver's README, in C++.
#include <ATen/ATen.h>
#include <perceive/models/dialects/flash_perceiver/perceiver.h>

#include <iostream>

using namespace perceive::models::flash_perceiver;

int main() {
  const int64_t batch_size = 2, seq_len = 128, in_dim = 256, num_latents = 512, latent_dim = 512, out_dim = 128;
  const auto data = at::randn({batch_size, seq_len, in_dim});
  const at::NoGradGuard no_grad;

  // One input for all blocks.
  PerceiverConfig config;
  config.input_dim = in_dim;
  config.depth = 8;
  config.output_dim = out_dim;
  config.num_latents = num_latents;
  config.latent_dim = latent_dim;
  config.use_flash_attn = false;  // so that attention weights can be had
  Perceiver model(config);
  std::cout << "output " << model->forward(data).sizes() << "\n";

  // Masks, latents of one's own, embeddings.
  const auto mask = random_mask(data);
  std::cout << "masked " << model->forward({data, mask}).sizes() << "\n";
  const auto latents = at::randn({64, latent_dim});
  std::cout << "embeddings "
            << model->forward({data, mask}, {.latents = latents, .return_embeddings = true}).sizes() << "\n";

  // The weights of every attention.
  std::vector<at::Tensor> weights;
  model->forward(data, {.return_attn_weights = &weights});
  for (size_t i = 0; i < 2; ++i) {
    const bool cross = static_cast<int64_t>(i) % model->num_attention_layers_per_block() == 0;
    std::cout << (cross ? "cross" : "self") << "-attention map " << weights[i].sizes() << "\n";
  }

  // An input for each block, of its own width.
  PerceiverConfig several;
  several.input_dim = {256, 512};
  several.depth = 2;
  Perceiver two(several);
  const std::vector<at::Tensor> inputs{data, at::randn({batch_size, 77, 512})};
  std::cout << "latents " << two->forward({inputs, {mask, at::Tensor()}}).sizes() << "\n";

  // Queries that read the latents.
  PerceiverIOConfig io;
  io.input_dim = in_dim;
  io.depth = 8;
  io.query_dim = 128;
  io.proj_dim = 64;
  PerceiverIO perceiver_io(io);
  const auto queries = at::randn({32, 128});
  std::cout << "answers " << perceiver_io->forward(data, queries).sizes() << "\n";
}
