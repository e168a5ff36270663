// An input of any length, read in chunks by 16 latents: seconds, keys a second, and the memory it takes.
//
//   bench_long_input [--keys N] [--channels C] [--file PATH.npy] [--backward]
//
// Without a file, the keys come from a function, which computes them. With one, they are mapped; a file that is not
// there is made first, with holes for numbers, so that it may be larger than the disk. A pass over the keys needs the
// same memory however many there are: --keys 1000000000 --channels 4, or a file of twice the free memory.
#include <ATen/ATen.h>
#include <fmt/core.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "perceive/io/mapped_source.h"
#include "perceive/ops/attend.h"

namespace {

using perceive::ops::Source;

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

struct Arguments {
  int64_t keys = 10'000'000, channels = 4;
  std::string file;
  bool backward = false;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--backward") {
      arguments.backward = true;
      continue;
    }
    const char* value = i + 1 < argc ? argv[++i] : "";
    if (name == "--keys") {
      arguments.keys = std::atoll(value);
    } else if (name == "--channels") {
      arguments.channels = std::atoll(value);
    } else if (name == "--file") {
      arguments.file = value;
    } else {
      fmt::print(stderr, "bench_long_input [--keys N] [--channels C] [--file PATH.npy] [--backward]\n");
      std::exit(2);
    }
  }
  return arguments;
}

// Numbers in [-1, 1) that depend on their place only, in memory that every chunk overwrites.
Source computed(int64_t keys, int64_t channels) {
  const auto memory = std::make_shared<at::Tensor>();
  return Source::in_chunks(
      [memory, channels](int64_t first, int64_t count) {
        if (!memory->defined()) *memory = at::empty({1, count, channels});
        const auto chunk = memory->narrow(1, 0, count);
        auto* const number = chunk.data_ptr<float>();
        for (int64_t i = 0; i < count * channels; ++i) {
          const auto hash = static_cast<uint64_t>(first * channels + i + 1) * 0x9e3779b97f4a7c15U;
          number[i] = static_cast<float>(static_cast<int32_t>(hash >> 32)) * 0x1p-31F;
        }
        return chunk;
      },
      1, keys, channels);
}

void make_file(const std::string& path, int64_t keys, int64_t channels) {
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", keys, channels);
  while ((header.size() + 11) % 64 != 0) header += ' ';
  header += '\n';
  const std::string start = std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(header.size() % 256) +
                            static_cast<char>(header.size() / 256) + header;
  std::ofstream(path, std::ios::binary) << start;
  std::filesystem::resize_file(path, start.size() + 4 * static_cast<uint64_t>(keys * channels));
}

}  // namespace

int main(int argc, char** argv) {
  const auto arguments = parse(argc, argv);
  at::manual_seed(0);
  const auto q = at::randn({1, 1, 16, 16});
  const auto projection_of = [](int64_t channels) {
    return perceive::ops::Projection{.key_weight = at::randn({16, channels}).requires_grad_(),
                                     .value_weight = at::randn({16, channels}).requires_grad_(),
                                     .normalize = true};
  };

  // In chunks as in one piece; it also loads what libtorch loads on first use.
  const auto small = computed(200'000, 4);
  const auto small_projection = projection_of(4);
  const auto whole = perceive::ops::attend_source(q, Source::of(small.read(0, small.length).clone()), small_projection);
  const auto parts = perceive::ops::attend_source(q, computed(200'000, 4), small_projection);
  const double error = (whole.out - parts.out).abs().max().item<double>();
  if (error > 1e-5) {
    fmt::print("chunks differ from the whole by {}\n", error);
    return 1;
  }
  parts.out.sum().backward();

  const std::string& file = arguments.file;
  if (!file.empty() && !std::filesystem::exists(file)) make_file(file, arguments.keys, arguments.channels);
  const auto source = file.empty() ? computed(arguments.keys, arguments.channels) : perceive::io::mapped_source(file);
  const auto projection = projection_of(source.width());
  const double before = peak_megabytes();
  const auto begin = std::chrono::steady_clock::now();
  const auto attended = perceive::ops::attend_source(q, source, projection);
  if (arguments.backward) attended.out.sum().backward();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const auto keys = static_cast<double>(source.keys());
  fmt::print("{} keys of {} channels ({:.2f} GB), {}: {:.2f} s, {:.1f} million keys/s, {:.1f} MB above the start\n",
             source.keys(), source.width(), 4e-9 * keys * static_cast<double>(source.width()),
             arguments.backward ? "forward and backward" : "forward", seconds, 1e-6 * keys / seconds,
             peak_megabytes() - before);
  return 0;
}
