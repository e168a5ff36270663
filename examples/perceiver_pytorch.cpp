// The models of perceiver-pytorch with the settings that its README shows, on inputs of the same sizes.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <iostream>

#include "perceive/io/names.h"
#include "perceive/models/dialects/perceiver_pytorch/perceiver.h"
#include "perceive/models/dialects/perceiver_pytorch/perceiver_block.h"
#include "perceive/models/dialects/perceiver_pytorch/perceiver_io.h"

namespace {

using namespace perceive::models::perceiver_pytorch;

bool all_as_told = true;

void tell(const char* name, const torch::nn::Module& model, int64_t parameters, const at::Tensor& output,
          at::IntArrayRef sizes) {
  int64_t count = 0;
  for (const auto& parameter : perceive::io::distinct_parameters(model)) count += parameter.numel();
  std::cout << name << ": " << output.sizes() << " from " << count << " parameters\n";
  all_as_told = all_as_told && count == parameters && output.sizes() == sizes && output.isfinite().all().item<bool>();
}

// A picture, and the logits of 1000 classes.
void perceiver() {
  PerceiverConfig config;
  config.input_channels = 3;
  config.input_axis = 2;
  config.num_freq_bands = 6;
  config.max_freq = 10.0;
  config.depth = 6;
  config.num_latents = 256;
  config.latent_dim = 512;
  config.cross_heads = 1;
  config.latent_heads = 8;
  config.cross_dim_head = 64;
  config.latent_dim_head = 64;
  config.num_classes = 1000;
  config.self_per_cross_attn = 2;
  Perceiver model(config);
  tell("Perceiver", *model, 70395972, model->forward(at::randn({1, 224, 224, 3})), {1, 1000});
}

// A sequence, and an answer to each of 128 queries.
void perceiver_io() {
  PerceiverIOConfig config;
  config.dim = 32;
  config.queries_dim = 32;
  config.logits_dim = 100;
  config.depth = 6;
  config.num_latents = 256;
  config.latent_dim = 512;
  config.seq_dropout_prob = 0.2;
  PerceiverIO model(config);
  const auto sequence = at::randn({1, 512, 32}), queries = at::randn({128, 32});
  tell("PerceiverIO", *model, 28636548, model->forward(sequence, queries), {1, 128, 100});
}

// A text, and the logits of 20,000 tokens for each of its places.
void perceiver_lm() {
  PerceiverLMConfig config;
  config.num_tokens = 20000;
  config.dim = 32;
  config.depth = 6;
  config.max_seq_len = 2048;
  config.num_latents = 256;
  config.latent_dim = 512;
  PerceiverLM model(config);
  const auto text = at::randint(20000, {1, 512}, at::kLong);
  tell("PerceiverLM", *model, 29998784, model->forward(text, at::ones({1, 512}, at::kBool)), {1, 512, 20000});
}

// Latents of one's own that read a context and themselves.
void perceiver_block() {
  BlockConfig config;
  config.dim = 96;
  config.context_dim = 96;
  config.queries_contribute_kv = true;
  PerceiverBlock block(config);
  const auto latents = at::randn({2, 9, 96}), context = at::randn({2, 187, 96});
  const auto mask = at::ones({2, 187}, at::kBool);
  tell("PerceiverBlock", *block, 445248, block->forward(latents, {context, mask}), {2, 9, 96});
}

}  // namespace

int main() {
  const at::NoGradGuard no_grad;
  perceiver();
  perceiver_io();
  perceiver_lm();
  perceiver_block();
  return all_as_told ? 0 : 1;
}
