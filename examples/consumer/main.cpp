// The library in ten lines: 64 latents attend to a million pixels, whose position features are never written out.
#include <ATen/ATen.h>
#include <perceive/ops/attend.h>
#include <perceive/ops/fourier.h>

#include <iostream>

int main() {
  using namespace perceive::ops;
  const auto pixels = at::rand({1, 1024 * 1024, 3});  // [batch, keys, channels]
  const auto image = Source::of(pixels, fourier_positions({.grid = {1024, 1024}, .bands = 64}));
  const Projection projection{.key_weight = at::randn({64, image.width()}).requires_grad_(),
                              .value_weight = at::randn({64, image.width()}).requires_grad_(),
                              .normalize = true};
  const auto latents = at::randn({1, 1, 64, 64});  // [batch, heads, queries, head width]
  const auto [out, lse] = attend_source(latents, image, projection);
  out.sum().backward();  // exact gradients, recomputed tile by tile
  std::cout << "out " << out.sizes() << ", gradient " << projection.key_weight.grad().sizes() << "\n";
}
