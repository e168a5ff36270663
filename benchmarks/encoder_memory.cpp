// How much memory an encoder needs, forward and backward, over a 2048 × 2048 picture, above its pixels and parameters.
//
//   bench_encoder_memory [side]
//
// 64 Fourier bands make 261 features a pixel: written out, the features alone would be 4.4 GB.
#include <ATen/ATen.h>
#include <fmt/core.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>

#include "perceive/nn/encoder.h"
#include "perceive/nn/input_adapter.h"

namespace {

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Work {
  perceive::nn::ImageInput input;
  perceive::nn::Encoder encoder;
  at::Tensor pixels;

  explicit Work(int64_t side, const perceive::nn::EncoderOptions& options)
      : input(perceive::nn::ImageInputOptions{.shape = {side, side, 3}, .frequency_bands = 64}),
        encoder(options, input->width()),
        pixels(at::rand({1, side, side, 3})) {}
  at::Tensor forward() { return encoder->forward(input->source(pixels)); }
};

}  // namespace

int main(int argc, char** argv) {
  const int64_t side = argc > 1 ? std::atoll(argv[1]) : 2048;
  perceive::nn::EncoderOptions options;
  options.num_latents = 64;
  options.num_latent_channels = 128;
  options.cross.attention.heads = 1;
  options.cross.attention.qk_channels = 64;
  options.self.attention.heads = 8;
  Work(64, options).forward().sum().backward();  // what libtorch loads and caches on first use does not count
  Work work(side, options);
  const double before = peak_megabytes();
  at::Tensor latents;
  const double forward = seconds_of([&] { latents = work.forward(); });
  const double backward = seconds_of([&] { latents.sum().backward(); });
  fmt::print(
      "{}x{} pixels, {} features each ({:.1f} GB written out): {:.1f} MB above pixels and parameters; forward "
      "{:.2f} s, backward {:.2f} s\n",
      side, side, work.input->width(), 4e-9 * static_cast<double>(side * side * work.input->width()),
      peak_megabytes() - before, forward, backward);
  return 0;
}
