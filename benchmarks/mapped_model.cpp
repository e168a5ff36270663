// A model that reads its input from a file, mapped a chunk at a time: the file may be larger than the memory.
//
//   bench_mapped_model MODEL.json WEIGHTS INPUT.npy [--backward]
//
// The model is a perceive.Perceiver as `perceive bench model --save` writes it, the input [M, C] float32. Prints the
// seconds and by how many bytes the process grew; --backward also computes the gradients of all weights.
#include <ATen/ATen.h>
#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <string>

#include "perceive/core/json.h"
#include "perceive/core/memory.h"
#include "perceive/core/progress.h"
#include "perceive/io/files.h"
#include "perceive/io/mapped_source.h"
#include "perceive/models/catalog.h"
#include "perceive/models/named_perceiver.h"

namespace {

using namespace perceive;

int run(const std::string& model, const std::string& weights_file, const std::string& input, bool backward) {
  const auto weights = io::load_tensors(weights_file);
  const auto loaded = models::load_model(core::parse_json(io::read_file(model), model), model, &weights, weights_file);
  auto* const perceiver = dynamic_cast<models::NamedPerceiverImpl*>(&loaded.model->module());
  if (!perceiver) {
    fmt::print(stderr, "{}: expected a perceive.Perceiver, got {}\n", model, loaded.model_class->name);
    return 2;
  }
  const c10::AutoGradMode with_gradients(backward);
  const double before = core::resident_memory(), begin = core::seconds_now();
  const auto latents = perceiver->perceiver()->forward(io::mapped_source(input));
  if (backward) latents.mean().backward();
  fmt::print("{{\"seconds\": {:.3f}, \"extra_bytes\": {:.0f}, \"finite\": {}}}\n", core::seconds_now() - begin,
             core::peak_resident_memory() - before, at::isfinite(latents).all().item<bool>());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool backward = argc == 5 && argv[4] == std::string("--backward");
  if (argc != 4 && !backward) {
    fmt::print(stderr, "bench_mapped_model MODEL.json WEIGHTS INPUT.npy [--backward]\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2], argv[3], backward);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_mapped_model: {}\n", error.what());
    return 1;
  }
}
