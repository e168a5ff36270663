// CPU seconds and memory of Linformers, forward and backward, above the input and the parameters; each in a process of
// its own.
//
//   bench_linformer_memory [rows]
//
// Native models of 64 channels and 4 heads in 2 layers, whose keys and values are projected to 256 rows, on `rows` rows
// (default 131072) and on 16384, there beside exact attention; and those of linformer-pytorch on 16384 rows at each
// checkpoint level, as its README makes them.
#include <ATen/ATen.h>
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>

#include "perceive/core/memory.h"
#include "perceive/models/dialects/linformer_pytorch/linformer.h"
#include "perceive/models/dialects/linformer_pytorch/truncated_linformer.h"
#include "perceive/models/linformer.h"

namespace {

using perceive::models::LinformerOptions;
using Method = perceive::nn::ProjectionMethod;
namespace dialect = perceive::models::linformer_pytorch;

constexpr int64_t kChannels = 64, kRows = 16384;

// Of all threads together, so that what else the machine does is not in it.
double cpu_seconds_of(const std::function<void()>& work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

template <class Model>
void measure(const std::string& name, Model model, int64_t rows) {
  const auto x = at::randn({1, rows, kChannels});
  const double held = perceive::core::resident_memory();
  perceive::core::restart_peak_memory();
  at::Tensor y;
  const double forward = cpu_seconds_of([&] { y = model->forward(x).square().sum(); });
  const double backward = cpu_seconds_of([&] { y.backward(); });
  fmt::print("{:34} {:7} {:8.2f} {:9.2f} {:9.0f}\n", name, rows, forward, backward,
             (perceive::core::peak_resident_memory() - held) / 1e6);
}

// In a process of its own: what one case has freed is not there for the next one.
void apart(const std::function<void()>& work) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    at::manual_seed(1);
    work();
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) std::exit(1);
}

LinformerOptions native(int64_t rows, Method method) {
  LinformerOptions options;
  options.channels = kChannels;
  options.layer.attention.heads = 4;
  options.layer.attention.projection = {
      .length = rows, .projected = 256, .method = method, .sharing = perceive::nn::ProjectionSharing::layer};
  return options;
}

void measure_native(
    const std::string& name, int64_t rows, Method method,
    const std::function<void(LinformerOptions&)>& change = [](auto&) {}) {
  apart([&] {
    auto options = native(rows, method);
    change(options);
    measure(name, perceive::models::Linformer(options), rows);
  });
}

void measure_dialects(const std::string& level) {
  apart([&] {
    dialect::TruncatedLinformerConfig config{.input_size = kRows, .channels = kChannels, .dim_ff = 128, .dim_d = 256};
    config.depth = 2;
    config.checkpoint_level = level;
    measure("linformer_pytorch 0.1.0 " + level, dialect::TruncatedLinformer(config), kRows);
  });
  apart([&] {
    dialect::LinformerConfig config;
    config.input_size = kRows;
    config.channels = kChannels;
    config.dim_k = config.dim_ff = 128;
    config.depth = 2;
    config.checkpoint_level = level;
    measure("linformer_pytorch 0.19.3 " + level, dialect::Linformer(config), kRows);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t rows = argc > 1 ? std::atoll(argv[1]) : 131072;
  fmt::print("{:34} {:>7} {:>8} {:>9} {:>9}\n", "", "rows", "forward", "backward", "MB above");
  const auto causal = [](LinformerOptions& options) { options.layer.attention.causal = true; };
  for (const auto& [name, method] : {std::pair{"learned", Method::learned},
                                     {"random", Method::random},
                                     {"convolution", Method::convolution},
                                     {"mean", Method::mean},
                                     {"max", Method::max}}) {
    measure_native(name, rows, method);
  }
  measure_native("learned, causal", rows, Method::learned, causal);
  measure_native("learned, activation_checkpointing", rows, Method::learned,
                 [](LinformerOptions& options) { options.layer.activation_checkpointing = true; });
  measure_native("learned", kRows, Method::learned);
  measure_native("learned, causal", kRows, Method::learned, causal);
  const auto full = [](LinformerOptions& options) { options.layer.attention.full_attention = true; };
  measure_native("full_attention", kRows, Method::learned, full);
  measure_native("full_attention, causal", kRows, Method::learned, [&](LinformerOptions& options) {
    full(options);
    causal(options);
  });
  for (const char* level : {"C0", "C1", "C2"}) measure_dialects(level);
  return 0;
}
