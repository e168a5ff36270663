// The walk of a part over its tiles.
#include "perceive/ops/cpu/walk.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "perceive/kernels/dropout.h"

namespace perceive::ops::cpu {
namespace {

constexpr double kLog2E = 1.4426950408889634;
// One running sum in float32 over more keys than this loses digits; longer parts are summed in pieces.
constexpr int64_t kKeysASum = 1 << 16;

// A [B, H, N, width] float tensor with its last dimension in one piece, as rows of key heads.
class HeadRows {
 public:
  HeadRows(const Shape& shape, const at::Tensor& tensor)
      : shape_(shape),
        tensor_(tensor.scalar_type() == at::kFloat && tensor.stride(3) == 1 ? tensor
                                                                            : tensor.to(at::kFloat).contiguous()),
        data_(tensor_.data_ptr<float>()),
        strides_{tensor_.stride(0), tensor_.stride(1), tensor_.stride(2)},
        width_(tensor.size(3)) {}
  float* row(int64_t item, int64_t head, int64_t row) const {
    return data_ + shape_.batch_of(item) * strides_[0] +
           shape_.head_of(shape_.key_head_of(item, head), row) * strides_[1] + shape_.query_of(row) * strides_[2];
  }

  // Blocks of lanes: [block][width][lanes], zero where a block has no row.
  std::vector<float> to_lanes(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, float factor) const {
    std::vector<float> lanes(blocks.padded_rows() * width_, 0.0F);
    for (int64_t b = 0; b < blocks.count(); ++b) {
      float* const block = lanes.data() + blocks.begin(b) * width_;
      for (int64_t i = 0; i < blocks.rows_of(b); ++i) {
        const float* const from = row(item, head, rows.begin + blocks.begin(b) + i);
        for (int64_t d = 0; d < width_; ++d) block[d * blocks.lanes_of(b) + i] = from[d] * factor;
      }
    }
    return lanes;
  }
  // [rows][padded width], zero behind the width.
  std::vector<float> to_rows(int64_t item, int64_t head, const Range& rows, int64_t pitch, float factor) const {
    std::vector<float> result(rows.size() * pitch, 0.0F);
    for (int64_t r = 0; r < rows.size(); ++r) {
      const float* const from = row(item, head, rows.begin + r);
      for (int64_t d = 0; d < width_; ++d) result[r * pitch + d] = from[d] * factor;
    }
    return result;
  }

 private:
  const Shape& shape_;
  at::Tensor tensor_;
  float* data_;
  int64_t strides_[3];
  int64_t width_;
};

// The online softmax of one key head's rows in a part.
struct State {
  std::vector<float> highest, sum, out;

  State(const Blocks& blocks, int64_t value_width)
      : highest(blocks.padded_rows(), -INFINITY),
        sum(blocks.padded_rows(), 0.0F),
        out(blocks.padded_rows() * value_width, 0.0F) {}

  void absorb(const State& other, const Blocks& blocks, int64_t value_width) {
    for (int64_t b = 0; b < blocks.count(); ++b) {
      const int64_t lanes = blocks.lanes_of(b);
      for (int64_t i = 0; i < lanes; ++i) {
        const int64_t r = blocks.begin(b) + i;
        const float top = std::max(highest[r], other.highest[r]);
        const float reference = top == -INFINITY ? 0.0F : top;
        const float mine = std::exp2(highest[r] - reference), theirs = std::exp2(other.highest[r] - reference);
        highest[r] = top;
        sum[r] = sum[r] * mine + other.sum[r] * theirs;
        for (int64_t d = 0; d < value_width; ++d) {
          const int64_t at = blocks.begin(b) * value_width + d * lanes + i;
          out[at] = out[at] * mine + other.out[at] * theirs;
        }
      }
    }
  }
};

// Scratch of a part, as large as its largest tile needs.
class Scratch {
 public:
  float* take(int which, int64_t count) {
    auto& buffer = buffers_[which];
    if (static_cast<int64_t>(buffer.size()) < count) buffer.resize(count);
    return buffer.data();
  }

 private:
  std::vector<float> buffers_[4];
};
enum { kScores, kGradScores, kAdd, kMultiply };

// The keys of a tile with what is special to a block of rows: visibility and dropout. Empty where none is in sight.
std::optional<kernels::KeyTile> for_block(const Shape& shape, const Visibility& visibility, int64_t item, int64_t head,
                                          const Tile& tile, const Range& rows, int64_t lanes, Scratch& scratch) {
  kernels::KeyTile keys = tile.head[head];
  if (visibility.differs_by_row()) {
    float* const add = scratch.take(kAdd, keys.keys * lanes);
    const auto seen = visibility.rows(item, head, tile, rows, lanes, add);
    if (seen == Visibility::Seen::none) return std::nullopt;
    if (seen == Visibility::Seen::some) keys.add = add;
  }
  if (shape.scalars.dropout > 0) {
    const kernels::DropoutPattern pattern{static_cast<uint64_t>(shape.scalars.seed), shape.scalars.dropout};
    const int64_t first = tile.index.front(), span = tile.index.back() + 1 - first;
    float* const multiply = scratch.take(kMultiply, keys.keys * lanes + span);
    float* const row = multiply + keys.keys * lanes;
    std::fill(multiply, row, 0.0F);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t head_of_row = shape.head_of(shape.key_head_of(item, head), r);
      const int64_t id = (shape.batch_of(item) * shape.heads + head_of_row) * shape.queries + shape.query_of(r);
      kernels::dropout_row(pattern, static_cast<uint64_t>(id), static_cast<uint64_t>(shape.range.first + first), span,
                           row);
      for (int64_t j = 0; j < keys.keys; ++j) multiply[j * lanes + (r - rows.begin)] = row[tile.index[j] - first];
    }
    keys.multiply = multiply;
  }
  return keys;
}

// Hands every tile of the part that has keys in sight to `body`.
template <class Body>
void for_each_tile(const Plan& plan, const Plan::Part& part, const Visibility& visibility, TileReader& reader,
                   Body&& body) {
  Tile tile;
  for (int64_t begin = part.keys.begin; begin < part.keys.end; begin += plan.key_tile) {
    visibility.keys(part.item, {begin, std::min(begin + plan.key_tile, part.keys.end)}, tile);
    if (tile.index.empty()) continue;
    reader.read(part.item, tile);
    body(tile, begin);
  }
}

Blocks blocks_of(const Range& rows, const kernels::TileKernels& kernels) {
  return {rows.size(), kernels.lanes, kernels.width};
}

std::vector<State> empty_states(const Shape& shape, const Blocks& blocks) {
  return std::vector<State>(shape.item_heads(), State(blocks, shape.value_width));
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> forward(const Shape& shape, const Plan& plan, const at::Tensor& q,
                                           const at::Tensor& mask, const MakeReader& make_reader) {
  const auto& kernels = kernels::tile_kernels();
  const auto options = q.options().dtype(at::kFloat);
  const auto out = at::empty({shape.batch, shape.heads, shape.queries, shape.value_width}, options);
  const auto lse = at::empty({shape.batch, shape.heads, shape.queries}, options);
  const HeadRows queries(shape, q), outputs(shape, out), sums(shape, lse.unsqueeze(3));
  const Visibility visibility(shape, mask);
  const auto key_parts = static_cast<int64_t>(plan.key_parts.size());
  std::vector<std::vector<State>> states(plan.parts());

  const auto finish = [&](const Plan::Part& part, const std::vector<State>& heads) {
    const auto blocks = blocks_of(part.rows, kernels);
    for (int64_t h = 0; h < shape.item_heads(); ++h) {
      const State& state = heads[h];
      for (int64_t b = 0; b < blocks.count(); ++b) {
        for (int64_t i = 0; i < blocks.rows_of(b); ++i) {
          const int64_t r = blocks.begin(b) + i;
          const bool empty = state.highest[r] == -INFINITY;
          const float inverse = empty ? 0.0F : 1.0F / state.sum[r];
          float* const to = outputs.row(part.item, h, part.rows.begin + r);
          const float* const from = state.out.data() + blocks.begin(b) * shape.value_width + i;
          for (int64_t d = 0; d < shape.value_width; ++d) to[d] = from[d * blocks.lanes_of(b)] * inverse;
          *sums.row(part.item, h, part.rows.begin + r) =
              empty ? -INFINITY : (state.highest[r] + std::log2(state.sum[r])) * static_cast<float>(1.0 / kLog2E);
        }
      }
    }
  };

  run_parts(plan.parts(), q.device(), [&](int64_t index) {
    const auto part = plan.part(index);
    const auto blocks = blocks_of(part.rows, kernels);
    const auto reader = make_reader();
    std::vector<std::vector<float>> lanes;
    for (int64_t h = 0; h < shape.item_heads(); ++h) {
      lanes.push_back(
          queries.to_lanes(part.item, h, part.rows, blocks, static_cast<float>(shape.scalars.scale * kLog2E)));
    }
    auto total = empty_states(shape, blocks), running = total;
    int64_t piece = 0;
    Scratch scratch;
    for_each_tile(plan, part, visibility, *reader, [&](const Tile& tile, int64_t begin) {
      if ((begin - part.keys.begin) / kKeysASum != piece) {
        piece = (begin - part.keys.begin) / kKeysASum;
        for (int64_t h = 0; h < shape.item_heads(); ++h) total[h].absorb(running[h], blocks, shape.value_width);
        running = empty_states(shape, blocks);
      }
      for (int64_t h = 0; h < shape.item_heads(); ++h) {
        for (int64_t b = 0; b < blocks.count(); ++b) {
          const int64_t first = blocks.begin(b), row = part.rows.begin + first;
          const auto keys = for_block(shape, visibility, part.item, h, tile, {row, row + blocks.rows_of(b)},
                                      blocks.lanes_of(b), scratch);
          if (!keys) continue;
          kernels.forward(*keys, {.lanes = blocks.lanes_of(b),
                                  .q = lanes[h].data() + first * shape.key_width,
                                  .highest = running[h].highest.data() + first,
                                  .sum = running[h].sum.data() + first,
                                  .out = running[h].out.data() + first * shape.value_width,
                                  .scores = scratch.take(kScores, keys->keys * blocks.lanes_of(b))});
        }
      }
    });
    if (piece > 0) {
      for (int64_t h = 0; h < shape.item_heads(); ++h) total[h].absorb(running[h], blocks, shape.value_width);
      running = std::move(total);
    }
    if (key_parts == 1) {
      finish(part, running);
    } else {
      states[index] = std::move(running);
    }
  });
  if (key_parts > 1) {
    run_parts(plan.parts() / key_parts, q.device(), [&](int64_t group) {
      const auto part = plan.part(group * key_parts);
      auto& total = states[group * key_parts];
      for (int64_t k = 1; k < key_parts; ++k) {
        for (int64_t h = 0; h < shape.item_heads(); ++h) {
          total[h].absorb(states[group * key_parts + k][h], blocks_of(part.rows, kernels), shape.value_width);
        }
      }
      finish(part, total);
    });
  }
  return {out.to(q.scalar_type()), lse};
}

at::Tensor backward(const Shape& shape, const Plan& plan, const at::Tensor& grad_out, const at::Tensor& grad_lse,
                    const at::Tensor& q, const at::Tensor& mask, const at::Tensor& out, const at::Tensor& lse,
                    const MakeBackwardPart& make) {
  const auto& kernels = kernels::tile_kernels();
  const auto grad_q = at::zeros(q.sizes(), q.options().dtype(at::kFloat));
  const HeadRows queries(shape, q), grad_outs(shape, grad_out), outs(shape, out), lses(shape, lse.unsqueeze(3)),
      grad_queries(shape, grad_q);
  const HeadRows grad_lses(shape, (grad_lse.defined() ? grad_lse : at::zeros_like(lse)).unsqueeze(3));
  const Visibility visibility(shape, mask);
  const int64_t heads = shape.item_heads(), key_pitch = padded(shape.key_width, kernels.width),
                value_pitch = padded(shape.value_width, kernels.width);
  const auto key_parts = static_cast<int64_t>(plan.key_parts.size());
  std::vector<std::vector<std::vector<float>>> grads(plan.parts());  // of each part and head, in lanes

  struct Rows {
    std::vector<float> q, grad_out, q_rows, grad_out_rows, lse, delta;
  };
  run_parts(plan.parts(), q.device(), [&](int64_t index) {
    const auto part = plan.part(index);
    const auto blocks = blocks_of(part.rows, kernels);
    const auto [reader, gradients] = make(index, part);
    std::vector<Rows> rows(heads);
    for (int64_t h = 0; h < heads; ++h) {
      auto& r = rows[h];
      const auto scale = static_cast<float>(shape.scalars.scale);
      r.q = queries.to_lanes(part.item, h, part.rows, blocks, scale * static_cast<float>(kLog2E));
      r.grad_out = grad_outs.to_lanes(part.item, h, part.rows, blocks, 1.0F);
      r.q_rows = queries.to_rows(part.item, h, part.rows, key_pitch, scale);
      r.grad_out_rows = grad_outs.to_rows(part.item, h, part.rows, value_pitch, 1.0F);
      r.lse.assign(blocks.padded_rows(), INFINITY);
      r.delta.assign(blocks.padded_rows(), 0.0F);
      for (int64_t i = 0; i < part.rows.size(); ++i) {
        const int64_t row = part.rows.begin + i;
        const float value = *lses.row(part.item, h, row);
        if (value != -INFINITY) r.lse[i] = value * static_cast<float>(kLog2E);
        const float* const g = grad_outs.row(part.item, h, row);
        const float* const o = outs.row(part.item, h, row);
        float delta = -*grad_lses.row(part.item, h, row);
        for (int64_t d = 0; d < shape.value_width; ++d) delta += g[d] * o[d];
        r.delta[i] = delta;
      }
    }
    grads[index].assign(heads, std::vector<float>(blocks.padded_rows() * shape.key_width, 0.0F));
    Scratch scratch;
    for_each_tile(plan, part, visibility, *reader, [&, gradients = gradients.get()](const Tile& tile, int64_t) {
      for (int64_t h = 0; h < heads; ++h) {
        kernels::Rows grad_k, grad_v;
        gradients->begin(tile, h, grad_k, grad_v);
        for (int64_t b = 0; b < blocks.count(); ++b) {
          const int64_t first = blocks.begin(b), row = part.rows.begin + first, lanes = blocks.lanes_of(b);
          const auto keys =
              for_block(shape, visibility, part.item, h, tile, {row, row + blocks.rows_of(b)}, lanes, scratch);
          if (!keys) continue;
          const auto& r = rows[h];
          kernels.backward(*keys, {.lanes = lanes,
                                   .queries = blocks.rows_of(b),
                                   .q = r.q.data() + first * shape.key_width,
                                   .grad_out = r.grad_out.data() + first * shape.value_width,
                                   .q_rows = {r.q_rows.data() + first * key_pitch, key_pitch},
                                   .grad_out_rows = {r.grad_out_rows.data() + first * value_pitch, value_pitch},
                                   .lse = r.lse.data() + first,
                                   .delta = r.delta.data() + first,
                                   .grad_q = grads[index][h].data() + first * shape.key_width,
                                   .grad_k = grad_k,
                                   .grad_v = grad_v,
                                   .scores = scratch.take(kScores, keys->keys * lanes),
                                   .grad_scores = scratch.take(kGradScores, keys->keys * lanes)});
        }
      }
      gradients->end(part.item, tile);
    });
  });
  run_parts(plan.parts() / key_parts, q.device(), [&](int64_t group) {
    const auto part = plan.part(group * key_parts);
    const auto blocks = blocks_of(part.rows, kernels);
    for (int64_t h = 0; h < heads; ++h) {
      auto& total = grads[group * key_parts][h];
      for (int64_t k = 1; k < key_parts; ++k) {
        const auto& other = grads[group * key_parts + k][h];
        for (size_t i = 0; i < total.size(); ++i) total[i] += other[i];
      }
      for (int64_t b = 0; b < blocks.count(); ++b) {
        for (int64_t i = 0; i < blocks.rows_of(b); ++i) {
          float* const to = grad_queries.row(part.item, h, part.rows.begin + blocks.begin(b) + i);
          const float* const from = total.data() + blocks.begin(b) * shape.key_width + i;
          for (int64_t d = 0; d < shape.key_width; ++d) {
            to[d] = from[d * blocks.lanes_of(b)] * static_cast<float>(shape.scalars.scale);
          }
        }
      }
    }
  });
  return grad_q.to(q.scalar_type());
}

}  // namespace perceive::ops::cpu
