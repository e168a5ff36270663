// The kernels by themselves, on one thread and in the cache, for every instruction set that this CPU has.
//
//   bench_kernels [--benchmark_filter=forward.*bfloat16]
//
// "of peak" is the share of float32 multiply-adds in registers, as the same instruction set does them at the start.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "perceive/kernels/cpu/tables.h"

namespace {

using namespace perceive::kernels;

constexpr int64_t kKeys = 192, kWidth = 64;  // a tile of the usual sizes

// Numbers on whole cache lines, as the library's own.
template <class T>
struct Array {
  explicit Array(int64_t count, T value = {}) : memory(count + 64 / sizeof(T), value) {}
  T* data() {
    const auto at = reinterpret_cast<uintptr_t>(memory.data());
    return reinterpret_cast<T*>((at + 63) / 64 * 64);
  }
  std::vector<T> memory;
};
using Floats = Array<float>;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double peak_of(const PeakLoops& loops) {
  double best = 0.0;
  for (int i = 0; i < 20; ++i) {
    constexpr int64_t kRounds = 20'000;
    const double before = seconds();
    benchmark::DoNotOptimize(loops.multiply_add(kRounds));
    best = std::max(best, static_cast<double>(kRounds * loops.flops_a_round) / (seconds() - before));
  }
  return best;
}

// What all kernels here work on. Scores are 0: what they are makes no difference to the time.
struct Arena {
  explicit Arena(const TileKernels& kernels)
      : lanes(kernels.lanes),
        k(kKeys * kWidth, 0.5F),
        v(kKeys * kWidth, 0.5F),
        q(kWidth * lanes),
        rows(lanes * kWidth),
        out(kWidth * lanes),
        grad(kKeys * kWidth),
        highest(lanes, -INFINITY),
        sum(lanes),
        lse(lanes, 8.0F),
        scores(kKeys * lanes),
        grad_scores(kKeys * lanes) {}

  KeyTile tile() {
    return {
        .k = {k.data(), kWidth}, .v = {v.data(), kWidth}, .keys = kKeys, .key_width = kWidth, .value_width = kWidth};
  }
  ForwardBlock forward() {
    return {.lanes = lanes,
            .q = q.data(),
            .highest = highest.data(),
            .sum = sum.data(),
            .out = out.data(),
            .scores = scores.data()};
  }
  BackwardBlock backward() {
    return {.lanes = lanes,
            .queries = lanes,
            .q = q.data(),
            .grad_out = q.data(),
            .q_rows = {rows.data(), kWidth},
            .grad_out_rows = {rows.data(), kWidth},
            .lse = lse.data(),
            .delta = sum.data(),
            .grad_q = out.data(),
            .grad_k = {grad.data(), kWidth},
            .grad_v = {grad.data(), kWidth},
            .scores = scores.data(),
            .grad_scores = grad_scores.data()};
  }

  int64_t lanes;
  Floats k, v, q, rows, out, grad, highest, sum, lse, scores, grad_scores;
};

// body() again and again; flops: of one.
template <class Body>
void add(const std::string& name, double flops, double peak, Body body) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) mutable {
    for (auto _ : state) {
      body();
      benchmark::ClobberMemory();
    }
    if (flops == 0.0) return;
    const double done = flops * static_cast<double>(state.iterations());
    state.counters["FLOP/s"] = benchmark::Counter(done, benchmark::Counter::kIsRate);
    state.counters["of peak"] = benchmark::Counter(done / peak, benchmark::Counter::kIsRate);
  });
}

void add_tiles(const std::string& set, const TileKernels& tiles, double peak) {
  const auto products = [&](int count) { return 2.0 * count * kKeys * kWidth * static_cast<double>(tiles.lanes); };
  Arena arena(tiles);
  add("forward/float32/" + set, products(2), peak,
      [=, &tiles]() mutable { tiles.forward(arena.tile(), arena.forward()); });
  add("backward/float32/" + set, products(5), peak,
      [=, &tiles]() mutable { tiles.backward(arena.tile(), arena.backward()); });
  add("product/float32/" + set, products(1), peak, [=, &tiles]() mutable {
    tiles.product({.a = arena.k.data(),
                   .row_step = kWidth,
                   .b = {arena.q.data(), arena.lanes},
                   .c = {arena.scores.data(), arena.lanes},
                   .rows = kKeys,
                   .depth = kWidth,
                   .columns = arena.lanes});
  });
  // Three channels and the step of a column; neighbours share the step of a row.
  const std::vector<float> factor(kKeys, 1.0F);
  std::vector<int64_t> column(kKeys);
  for (int64_t j = 0; j < kKeys; ++j) column[j] = 5 + j % 32;
  const std::vector<GridKeys::Segment> segments{{0, kKeys, {4, 4}, 1}};
  const auto on_grid = [=]() mutable {
    return GridKeys{.inputs = {arena.k.data(), kWidth},
                    .factor = factor.data(),
                    .column = column.data(),
                    .depth = 3,
                    .constant = 3,
                    .segments = segments.data(),
                    .segment_count = 1};
  };
  add("grid forward/float32/" + set, 0.0, peak, [=, on_grid = on_grid, &tiles]() mutable {
    const GridKeys grid = on_grid();
    KeyTile tile = arena.tile();
    tile.grid = &grid;
    tiles.forward(tile, arena.forward());
  });
  add("grid backward/float32/" + set, 0.0, peak, [=, on_grid = on_grid, &tiles]() mutable {
    const GridKeys grid = on_grid();
    KeyTile tile = arena.tile();
    tile.grid = &grid;
    BackwardBlock block = arena.backward();
    block.context = block.grad_q;
    tiles.backward(tile, block);
  });
}

void add_bf16(const std::string& set, const TileKernels& tiles, double peak) {
  if (tiles.pack_values == nullptr) return;
  Arena arena(tiles);
  Array<uint16_t> k(kKeys * kWidth, 0x3F00), packed(packed_values(kKeys, kWidth), 0x3F00);
  Array<uint32_t> pairs(kWidth / 2 * arena.lanes);
  add("forward/bfloat16/" + set, 4.0 * kKeys * kWidth * static_cast<double>(arena.lanes), peak, [=, &tiles]() mutable {
    const Bf16Keys keys{k.data(), kWidth, packed.data()};
    KeyTile tile = arena.tile();
    tile.bf16 = &keys;
    ForwardBlock block = arena.forward();
    block.q_pairs = pairs.data();
    tiles.forward(tile, block);
  });
  add("pack values/bfloat16/" + set, 0.0, peak,
      [=, &tiles]() mutable { tiles.pack_values(k.data(), kWidth, kKeys, kWidth, packed.data()); });
}

void add_rows(const std::string& set, const RowKernels& rows, double peak) {
  constexpr int64_t kLength = 256;
  Floats x(kLength, 1.0F), y(kLength, 1.0F);
  float mean = 0.0F, deviation = 0.0F;
  add("row statistics/float32/" + set, 4.0 * kLength, peak,
      [=, &rows]() mutable { rows.statistics(x.data(), kLength, mean, deviation); });
  add("row dot/float32/" + set, 2.0 * kLength, peak,
      [=, &rows]() mutable { benchmark::DoNotOptimize(rows.dot(x.data(), y.data(), kLength)); });
}

}  // namespace

int main(int argc, char** argv) {
  static const auto all = all_tables();
  for (const Tables& tables : all) {
    if (!tables.present) continue;
    const double peak = peak_of(tables.peak);
    add_bf16(tables.name, tables.tile, peak);
    if (std::string(tables.name) == "amx") continue;  // the rest is AVX-512's
    add_tiles(tables.name, tables.tile, peak);
    add_rows(tables.name, tables.row, peak);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
