// The backward walk: weights are recomputed tile by tile from lse, and what they give is summed up.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
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

// One side of the rows of a key head in a part, queries or gradients of outputs: as lanes and as rows, as far as a tile
// meets them; and the gradient that lanes of this kind get.
struct Side {
  Floats lanes, rows;
  Floats plain_rows;       // before they were lifted, of an absorbed side
  Pairs pairs, row_pairs;  // of bfloat16 keys, instead of lanes and rows
  Floats grad;
  int64_t width = 0, pitch = 0;  // of lanes, and of rows
};

struct HeadState {
  Side query, output;  // output.grad: the context of an absorbed value side
  Floats lse, delta;
};

// What the parts of a group work in, one after the other.
struct Workplace {
  BackwardGroup group;
  WalkGradients factors;
  std::vector<HeadState> heads;
  Scratch scratch;
  Tile tile;
};

class BackwardWalk {
 public:
  BackwardWalk(const Shape& shape, const Plan& plan, const BackwardInputs& inputs, const Absorbed& absorbed)
      : shape_(shape),
        plan_(plan),
        absorbed_(absorbed),
        input_grad_(inputs.input_grad),
        grad_q_(at::zeros(inputs.q.sizes(), inputs.q.options().dtype(at::kFloat))),
        queries_(shape, inputs.q),
        grad_outs_(shape, inputs.grad_out),
        outs_(shape, inputs.out),
        lses_(shape, inputs.lse.unsqueeze(3)),
        grad_lses_(shape, (inputs.grad_lse.defined() ? inputs.grad_lse : at::zeros_like(inputs.lse)).unsqueeze(3)),
        grad_queries_(shape, grad_q_),
        visibility_(shape, inputs.mask) {
    const auto in_pieces = [](const at::Tensor& t) { return t.stride(3) == 1 ? t : t.contiguous(); };
    if (shape.bf16) {
      bf16_.emplace(Bf16HeadRows(shape, in_pieces(inputs.q)), Bf16HeadRows(shape, in_pieces(inputs.grad_out)));
    }
  }

  WalkGradients run(at::Device device, const MakeBackwardGroup& make) {
    const auto groups = groups_of(plan_);
    const auto count = static_cast<int64_t>(groups.size()), key_parts = static_cast<int64_t>(plan_.key_parts.size());
    // Of each part and head, in lanes of the call's own width, where parts share rows.
    std::vector<std::vector<Floats>> grads(key_parts == 1 ? 0 : plan_.parts());
    std::vector<WalkGradients> factors(count);
    run_parts(count, device, [&](int64_t g) {
      const kernels::DenormalsAreZero fast;
      Workplace place;
      place.group = make(g);
      place.heads.resize(shape_.item_heads());
      if (absorbed_.key != nullptr) factors[g].key = absorbed_.key->zeros();
      if (absorbed_.value != nullptr) factors[g].value = absorbed_.value->zeros();
      place.factors = factors[g];
      for (int64_t index = groups[g].begin; index < groups[g].end; ++index) {
        const auto part = plan_.part(index);
        walk(part, place);
        for (int64_t h = 0; h < shape_.item_heads(); ++h) {
          auto& grad = place.heads[h].query.grad;
          if (key_parts == 1) {
            write(part, h, grad);
          } else {
            grads[index].push_back(std::move(grad));
          }
        }
      }
    });
    if (key_parts > 1) {
      run_parts(plan_.parts() / key_parts, device, [&](int64_t first) {
        for (int64_t h = 0; h < shape_.item_heads(); ++h) {
          auto& total = grads[first * key_parts][h];
          for (int64_t k = 1; k < key_parts; ++k) {
            const auto& other = grads[first * key_parts + k][h];
            kernels::row_kernels().add(other.data(), static_cast<int64_t>(other.size()), 1.0F, total.data());
          }
          write(plan_.part(first * key_parts), h, total);
        }
      });
    }
    for (int64_t g = 1; g < count; ++g) {
      if (absorbed_.key != nullptr) factors[0].key.add_(factors[g].key);
      if (absorbed_.value != nullptr) factors[0].value.add_(factors[g].value);
    }
    return {grad_q_, factors[0].key, factors[0].value};
  }

 private:
  void write(const Plan::Part& part, int64_t head, const Floats& grad) const {
    grad_queries_.from_lanes(part.item, head, part.rows, blocks_of(plan_, part.rows), grad,
                             static_cast<float>(shape_.scalars.scale));
  }

  // `log_factor`: what turns the rows' scale into that of the lanes.
  void fill(Side& side, const HeadRows& from, const Plan::Part& part, int64_t head, const Factors* factors,
            int64_t width, float scale, float log_factor) const {
    const auto blocks = blocks_of(plan_, part.rows);
    side.width = width;
    side.pitch = padded(width, blocks.width);
    from.to_lanes(part.item, head, part.rows, blocks, scale * log_factor, side.lanes);
    from.to_rows(part.item, head, part.rows, side.pitch, scale, factors != nullptr ? side.plain_rows : side.rows);
    if (factors == nullptr) return;
    side.lanes = lift(*factors, head, side.lanes, blocks);
    side.width = factors->features.count;
    side.pitch = padded(side.width, blocks.width);
    if (!input_grad_) return;
    side.rows.assign(part.rows.size() * side.pitch, 0.0F);
    for (int64_t b = 0; b < blocks.count(); ++b) {
      kernels::row_kernels().transpose(side.lanes.data() + blocks.begin(b) * side.width, blocks.lanes_of(b), side.width,
                                       blocks.rows_of(b), 1.0F / log_factor,
                                       side.rows.data() + blocks.begin(b) * side.pitch, side.pitch);
    }
  }

  void fill(Side& side, const Bf16HeadRows& from, const Plan::Part& part, int64_t head, int64_t width) const {
    side.width = width;
    from.to_pairs(part.item, head, part.rows, blocks_of(plan_, part.rows), side.pairs);
    from.to_row_pairs(part.item, head, part.rows, blocks_of(plan_, part.rows), side.row_pairs);
  }

  void fill(HeadState& state, const Plan::Part& part, int64_t head) const {
    const auto blocks = blocks_of(plan_, part.rows);
    if (bf16_) {
      fill(state.query, bf16_->first, part, head, shape_.key_width);
      fill(state.output, bf16_->second, part, head, shape_.value_width);
    } else {
      fill(state.query, queries_, part, head, absorbed_.key, shape_.key_width, static_cast<float>(shape_.scalars.scale),
           static_cast<float>(kLog2E));
      fill(state.output, grad_outs_, part, head, absorbed_.value, shape_.value_width, 1.0F, 1.0F);
    }
    state.query.grad.assign(blocks.padded_rows() * state.query.width, 0.0F);
    if (absorbed_.value != nullptr) state.output.grad.assign(blocks.padded_rows() * state.output.width, 0.0F);
    state.lse.assign(blocks.padded_rows(), INFINITY);
    state.delta.assign(blocks.padded_rows(), 0.0F);
    for (int64_t i = 0; i < part.rows.size(); ++i) {
      const int64_t row = part.rows.begin + i;
      const float value = *lses_.row(part.item, head, row);
      if (value != -INFINITY) state.lse[i] = value * static_cast<float>(kLog2E);
      const float* const g = grad_outs_.row(part.item, head, row);
      const float* const o = outs_.row(part.item, head, row);
      state.delta[i] = kernels::row_kernels().dot(g, o, shape_.value_width) - *grad_lses_.row(part.item, head, row);
    }
  }

  // Leaves the gradients of a part's queries in query.grad; those of absorbed factors are added to place.factors.
  void walk(const Plan::Part& part, Workplace& place) const {
    const auto blocks = blocks_of(plan_, part.rows);
    const int64_t heads = shape_.item_heads();
    for (int64_t h = 0; h < heads; ++h) fill(place.heads[h], part, h);
    auto& gradients = *place.group.gradients;
    for_each_tile(plan_, part, visibility_, *place.group.reader, heads * blocks.count(), place.tile,
                  [&](const Tile& tile, int64_t, auto&& ahead) {
                    for (int64_t h = 0; h < heads; ++h) {
                      kernels::Rows grad_k, grad_v;
                      gradients.begin(part, tile, h, grad_k, grad_v);
                      for (int64_t b = 0; b < blocks.count(); ++b) {
                        step(part, tile, h, b, place.heads[h], grad_k, grad_v, ahead(), place.scratch);
                      }
                    }
                    gradients.end(part, tile);
                  });
    for (int64_t h = 0; h < heads; ++h) {
      auto& [query, output, lse, delta] = place.heads[h];
      if (absorbed_.value != nullptr) {
        add_products(*absorbed_.value, h, output.grad, output.plain_rows, blocks, place.factors.value);
      }
      if (absorbed_.key == nullptr) continue;
      add_products(*absorbed_.key, h, query.grad, query.plain_rows, blocks, place.factors.key);
      query.grad = lower(*absorbed_.key, h, query.grad, blocks);
    }
  }

  void step(const Plan::Part& part, const Tile& tile, int64_t head, int64_t block, HeadState& state,
            const kernels::Rows& grad_k, const kernels::Rows& grad_v, const std::array<kernels::Ahead, 2>& ahead,
            Scratch& scratch) const {
    const auto blocks = blocks_of(plan_, part.rows);
    const int64_t first = blocks.begin(block), row = part.rows.begin + first, lanes = blocks.lanes_of(block);
    auto keys =
        for_block(shape_, visibility_, part.item, head, tile, {row, row + blocks.rows_of(block)}, lanes, scratch);
    if (!keys) return;
    std::copy(ahead.begin(), ahead.end(), keys->ahead);
    const auto& [query, output, lse, delta] = state;
    const auto rows_of = [&](const Side& side) {
      return side.rows.empty() ? kernels::ConstRows()
                               : kernels::ConstRows{side.rows.data() + first * side.pitch, side.pitch};
    };
    float* const context = output.grad.empty() ? nullptr : state.output.grad.data() + first * output.width;
    kernels::BackwardBlock rows{.lanes = lanes,
                                .queries = blocks.rows_of(block),
                                .lse = lse.data() + first,
                                .delta = delta.data() + first,
                                .grad_q = state.query.grad.data() + first * query.width,
                                .context = context,
                                .grad_k = grad_k,
                                .grad_v = grad_v};
    if (bf16_) {
      rows.q_pairs = query.pairs.data() + first * pair_rows(query.width);
      rows.grad_out_pairs = output.pairs.data() + first * pair_rows(output.width);
      rows.q_row_pairs = query.row_pairs.data() + first * pair_rows(query.width);
      rows.grad_out_row_pairs = output.row_pairs.data() + first * pair_rows(output.width);
      rows.scale = static_cast<float>(shape_.scalars.scale);
      rows.factor = static_cast<float>(shape_.scalars.scale * kLog2E);
    } else {
      rows.q = query.lanes.data() + first * query.width;
      rows.grad_out = output.lanes.data() + first * output.width;
      rows.q_rows = rows_of(query);
      rows.grad_out_rows = rows_of(output);
      rows.scores = scratch.take(Scratch::scores, keys->keys * lanes);
      rows.grad_scores = scratch.take(Scratch::grad_scores, keys->keys * lanes);
    }
    kernels::tile_kernels().backward(*keys, rows);
  }

  const Shape& shape_;
  const Plan& plan_;
  const Absorbed& absorbed_;
  bool input_grad_;
  at::Tensor grad_q_;
  HeadRows queries_, grad_outs_, outs_, lses_, grad_lses_, grad_queries_;
  std::optional<std::pair<Bf16HeadRows, Bf16HeadRows>> bf16_;  // queries and gradients of outputs
  Visibility visibility_;
};

}  // namespace

WalkGradients backward(const Shape& shape, const Plan& plan, const BackwardInputs& inputs, const Absorbed& absorbed,
                       const MakeBackwardGroup& make) {
  const MakeBackwardGroup splitting = [&](int64_t index) {
    auto group = make(index);
    group.reader = std::make_shared<SplitReader>(group.reader, Pass::backward);
    return group;
  };
  // Contexts of absorbed values are summed in float32 as it is.
  const bool split = splits(shape) && absorbed.value == nullptr;
  auto gradients = BackwardWalk(shape, plan, inputs, absorbed).run(inputs.q.device(), split ? splitting : make);
  gradients.q = gradients.q.to(inputs.q.scalar_type());
  return gradients;
}

}  // namespace perceive::ops::cpu
