// The forward walk: each part runs the online softmax over its tiles, and the parts of the same rows are merged.
#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <optional>
#include <utility>

#include "perceive/kernels/denormals.h"
#include "perceive/kernels/rows.h"
#include "perceive/ops/cpu/rows.h"
#include "perceive/ops/cpu/split_keys.h"
#include "perceive/ops/cpu/tiles.h"
#include "perceive/ops/cpu/walk.h"

namespace perceive::ops::cpu {
namespace {

// One running sum in float32 over more keys than this loses digits; longer parts are summed in pieces.
constexpr int64_t kKeysASum = 1 << 16;

// The online softmax of one key head's rows in a part. `width` numbers a row are summed up.
struct State {
  Floats highest, sum, out;

  void clear(const Blocks& blocks, int64_t width) {
    highest.assign(blocks.padded_rows(), -INFINITY);
    sum.assign(blocks.padded_rows(), 0.0F);
    out.assign(blocks.padded_rows() * width, 0.0F);
  }

  void absorb(const State& other, const Blocks& blocks, int64_t width) {
    Floats mine(blocks.lanes), theirs(blocks.lanes);
    for (int64_t b = 0; b < blocks.count(); ++b) {
      const int64_t lanes = blocks.lanes_of(b), first = blocks.begin(b);
      for (int64_t i = 0; i < lanes; ++i) {
        const int64_t r = first + i;
        const float top = std::max(highest[r], other.highest[r]);
        const float reference = top == -INFINITY ? 0.0F : top;
        mine[i] = std::exp2(highest[r] - reference);
        theirs[i] = std::exp2(other.highest[r] - reference);
        highest[r] = top;
        sum[r] = sum[r] * mine[i] + other.sum[r] * theirs[i];
      }
      kernels::row_kernels().combine_columns(out.data() + first * width, width, lanes, mine.data(),
                                             other.out.data() + first * width, theirs.data());
    }
  }
};

// What the parts of a group work in, one after the other.
struct Workplace {
  explicit Workplace(int64_t heads) : q(heads), q_pairs(heads) {}

  std::unique_ptr<TileReader> reader;
  Scratch scratch;
  Tile tile;
  std::vector<Floats> q;                // lanes, of a key head each
  std::vector<Pairs> q_pairs;           // of bfloat16 keys, instead
  std::vector<State> running, longest;  // the sum at hand; and of longer parts, that of the pieces before
};

class ForwardWalk {
 public:
  ForwardWalk(const Shape& shape, const Plan& plan, const at::Tensor& q, const at::Tensor& mask,
              const Absorbed& absorbed)
      : shape_(shape),
        plan_(plan),
        absorbed_(absorbed),
        key_width_(absorbed.key != nullptr ? absorbed.key->features.count : shape.key_width),
        value_width_(absorbed.value != nullptr ? absorbed.value->features.count : shape.value_width),
        out_(at::empty({shape.batch, shape.heads, shape.queries, shape.value_width},
                       q.options().dtype(shape.bf16 ? at::kBFloat16 : at::kFloat))),
        lse_(at::empty({shape.batch, shape.heads, shape.queries}, q.options().dtype(at::kFloat))),
        sums_(shape, lse_.unsqueeze(3)),
        visibility_(shape, mask) {
    if (shape.bf16) {
      bf16_.emplace(Bf16HeadRows(shape, q.stride(3) == 1 ? q : q.contiguous()), Bf16HeadRows(shape, out_));
    } else {
      floats_.emplace(HeadRows(shape, q), HeadRows(shape, out_));
    }
  }

  std::tuple<at::Tensor, at::Tensor> run(at::Device device, const MakeReader& make_reader) {
    const auto key_parts = static_cast<int64_t>(plan_.key_parts.size());
    Merger merger(*this);
    const auto groups = groups_of(plan_);
    std::atomic<int64_t> next = 0;
    run_parts(static_cast<int64_t>(groups.size()), device, [&](int64_t) {
      const kernels::DenormalsAreZero fast;
      // Taken in their order, whichever thread asks: what waits to be merged is then no more than the threads have.
      const int64_t g = next++;
      Workplace place(shape_.item_heads());
      place.reader = make_reader();
      for (int64_t index = groups[g].begin; index < groups[g].end; ++index) {
        const auto part = plan_.part(index);
        walk(part, place);
        if (key_parts == 1) {
          finish(part, place.running);
        } else {
          merger.add(index, std::move(place.running));
        }
      }
    });
    if (key_parts == 1) return {out_, lse_};
    run_parts(plan_.parts() / key_parts, device,
              [&](int64_t group) { finish(plan_.part(group * key_parts), merger.total(group)); });
    return {out_, lse_};
  }

 private:
  // The states of parts with the same rows, merged in the order of their keys.
  class Merger {
   public:
    explicit Merger(const ForwardWalk& walk)
        : walk_(walk),
          key_parts_(static_cast<int64_t>(walk.plan_.key_parts.size())),
          states_(key_parts_ == 1 ? 0 : walk.plan_.parts()),
          merged_(states_.size() / key_parts_) {}

    void add(int64_t index, std::vector<State>&& heads) {
      const std::lock_guard lock(mutex_);
      states_[index] = std::move(heads);
      const int64_t group = index / key_parts_;
      int64_t& merged = merged_[group];
      for (; merged < key_parts_; ++merged) {
        auto& ready = states_[group * key_parts_ + merged];
        if (ready.empty()) return;
        if (merged == 0) continue;
        const auto blocks = blocks_of(walk_.plan_, walk_.plan_.part(index).rows);
        for (size_t h = 0; h < ready.size(); ++h) total(group)[h].absorb(ready[h], blocks, walk_.shape_.value_width);
        ready = {};
      }
    }
    std::vector<State>& total(int64_t group) { return states_[group * key_parts_]; }

   private:
    const ForwardWalk& walk_;
    int64_t key_parts_;
    std::vector<std::vector<State>> states_;  // of a part each; empty before and after
    std::vector<int64_t> merged_;             // parts of the same rows each
    std::mutex mutex_;
  };

  // Leaves the states of a part's rows in place.running, with outputs of the call's own width.
  void walk(const Plan::Part& part, Workplace& place) const {
    const auto blocks = blocks_of(plan_, part.rows);
    const int64_t heads = shape_.item_heads();
    auto& running = place.running;
    running.resize(heads);  // those of the part before may have been kept
    const auto clear = [&] {
      for (auto& state : running) state.clear(blocks, value_width_);
    };
    for (int64_t h = 0; h < heads; ++h) {
      if (bf16_) {
        bf16_->first.to_pairs(part.item, h, part.rows, blocks, place.q_pairs[h]);
        continue;
      }
      const auto factor = static_cast<float>(shape_.scalars.scale * kLog2E);
      floats_->first.to_lanes(part.item, h, part.rows, blocks, factor, place.q[h]);
      if (absorbed_.key != nullptr) place.q[h] = lift(*absorbed_.key, h, place.q[h], blocks);
    }
    clear();
    auto& longest = place.longest;
    longest.clear();
    int64_t piece = 0;
    for_each_tile(plan_, part, visibility_, *place.reader, heads * blocks.count(), place.tile,
                  [&](const Tile& tile, int64_t begin, auto&& ahead) {
                    if ((begin - part.keys.begin) / kKeysASum != piece) {
                      piece = (begin - part.keys.begin) / kKeysASum;
                      add_up(running, longest, blocks);
                      clear();
                    }
                    for (int64_t h = 0; h < heads; ++h) {
                      for (int64_t b = 0; b < blocks.count(); ++b) {
                        step(part, tile, h, b, blocks, place, ahead());
                      }
                    }
                  });
    if (!longest.empty()) {
      add_up(running, longest, blocks);
      std::swap(running, longest);
    }
    if (absorbed_.value == nullptr) return;
    for (int64_t h = 0; h < heads; ++h) running[h].out = lower(*absorbed_.value, h, running[h].out, blocks);
  }

  void add_up(const std::vector<State>& running, std::vector<State>& total, const Blocks& blocks) const {
    if (total.empty()) {
      total = running;
      return;
    }
    for (size_t h = 0; h < total.size(); ++h) total[h].absorb(running[h], blocks, value_width_);
  }

  void step(const Plan::Part& part, const Tile& tile, int64_t head, int64_t block, const Blocks& blocks,
            Workplace& place, const std::array<kernels::Ahead, 2>& ahead) const {
    const int64_t first = blocks.begin(block), row = part.rows.begin + first, lanes = blocks.lanes_of(block);
    State& state = place.running[head];
    Scratch& scratch = place.scratch;
    auto keys =
        for_block(shape_, visibility_, part.item, head, tile, {row, row + blocks.rows_of(block)}, lanes, scratch);
    if (!keys) return;
    std::copy(ahead.begin(), ahead.end(), keys->ahead);
    kernels::ForwardBlock rows{.lanes = lanes,
                               .highest = state.highest.data() + first,
                               .sum = state.sum.data() + first,
                               .out = state.out.data() + first * value_width_};
    if (shape_.bf16) {
      rows.q_pairs = place.q_pairs[head].data() + first * pair_rows(key_width_);
      rows.factor = static_cast<float>(shape_.scalars.scale * kLog2E);  // the queries' own digits are too few for it
    } else {
      rows.q = place.q[head].data() + first * key_width_;
    }
    rows.scores = scratch.take(Scratch::scores, padded(keys->keys, kernels::Bf16Keys::kStep) * lanes);
    kernels::tile_kernels().forward(*keys, rows);
  }

  // Divides by the sums, and writes out and lse.
  void finish(const Plan::Part& part, std::vector<State>& heads) const {
    const auto blocks = blocks_of(plan_, part.rows);
    for (int64_t h = 0; h < shape_.item_heads(); ++h) {
      State& state = heads[h];
      Floats inverse(blocks.lanes);
      for (int64_t b = 0; b < blocks.count(); ++b) {
        const int64_t lanes = blocks.lanes_of(b), first = blocks.begin(b);
        for (int64_t i = 0; i < lanes; ++i) {
          const int64_t r = first + i;
          const bool empty = state.sum[r] == 0.0F;  // of NaN scores, the sum is NaN
          inverse[i] = empty ? 0.0F : 1.0F / state.sum[r];
          if (i < blocks.rows_of(b)) {
            *sums_.row(part.item, h, part.rows.begin + r) =
                empty ? -INFINITY : (state.highest[r] + std::log2(state.sum[r])) * static_cast<float>(1.0 / kLog2E);
          }
        }
        kernels::row_kernels().scale_columns(state.out.data() + first * shape_.value_width, shape_.value_width, lanes,
                                             inverse.data());
      }
      if (bf16_) {
        bf16_->second.from_lanes(part.item, h, part.rows, blocks, state.out);
      } else {
        floats_->second.from_lanes(part.item, h, part.rows, blocks, state.out, 1.0F);
      }
    }
  }

  const Shape& shape_;
  const Plan& plan_;
  const Absorbed& absorbed_;
  int64_t key_width_, value_width_;  // of a tile's keys and values
  at::Tensor out_, lse_;
  // Queries and outputs, one of the two.
  std::optional<std::pair<HeadRows, HeadRows>> floats_;
  std::optional<std::pair<Bf16HeadRows, Bf16HeadRows>> bf16_;
  HeadRows sums_;
  Visibility visibility_;
};

}  // namespace

std::vector<Range> groups_of(const Plan& plan) {
  return cut(plan.parts(), kParts, 1);
}

std::tuple<at::Tensor, at::Tensor> forward(const Shape& shape, const Plan& plan, const at::Tensor& q,
                                           const at::Tensor& mask, const Absorbed& absorbed, const MakeReader& reader) {
  const MakeReader splitting = [&] { return std::make_unique<SplitReader>(reader(), Pass::forward); };
  auto [out, lse] = ForwardWalk(shape, plan, q, mask, absorbed).run(q.device(), splits(shape) ? splitting : reader);
  return {out.to(q.scalar_type()), lse};
}

}  // namespace perceive::ops::cpu
