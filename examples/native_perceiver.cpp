// The native Perceiver: inputs by name, each with its own adapter; queries that turn by their place; a layer of one's own.
#include <ATen/ATen.h>
#include <perceive/models/named_perceiver.h>

#include <iostream>

using namespace perceive;

// Latents that mix by a learned matrix instead of attention.
struct Mixer : nn::SelfLayer {
  explicit Mixer(int64_t latents) { mix = register_module("mix", torch::nn::Linear(latents, latents)); }
  at::Tensor forward(const at::Tensor& x) override { return x + mix->forward(x.transpose(1, 2)).transpose(1, 2); }
  torch::nn::Linear mix{nullptr};
};

int main() {
  models::NamedPerceiverOptions options;
  options.inputs = {{"audio", nn::SequenceInputOptions{.channels = 2, .frequency_bands = 8}},
                    {"picture", nn::ImageInputOptions{.shape = {32, 32, 3}, .frequency_bands = 8}},
                    {"caption", nn::TokenInputOptions{.vocabulary = 256, .channels = 48, .max_length = 100}}};
  options.stack.depth = 6;  // the inputs take turns, twice
  options.num_latents = 32;
  options.latent_channels = 64;
  options.pool = models::PoolOptions{.channels = 10};
  models::NamedPerceiver model(options);
  const auto logits = model->forward({{"audio", {at::randn({2, 16000, 2}), {}}},
                                      {"picture", {at::rand({2, 32, 32, 3}), {}}},
                                      {"caption", {at::randint(256, {2, 20}), {}}}});
  std::cout << "logits " << logits.sizes() << "\n";

  models::NamedPerceiverOptions rotary;
  rotary.input_channels = 16;
  rotary.num_latents = 32;
  rotary.latent_channels = 64;
  rotary.stack.depth = 3;
  rotary.stack.tying = nn::WeightTying::after_first;
  rotary.cross.attention.rotary_channels = 64;
  rotary.self.attention.rotary_channels = 8;
  rotary.query = models::QueryOptions{.query_channels = 24, .channels = 5};
  rotary.query->layer.attention.rotary_channels = 24;
  nn::LayerMakers makers;
  makers.self = [](int64_t, int64_t) { return std::make_shared<Mixer>(32); };
  models::NamedPerceiver queried(rotary, makers);
  const auto latents = queried->encode({{"data", {at::randn({2, 1000, 16}), {}}}});
  const auto counts = at::ones({2, 7}, at::kBool);
  std::cout << "answers " << queried->perceiver()->decode(latents, at::randn({7, 24}), counts).sizes() << "\n";
}
