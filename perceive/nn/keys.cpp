// Reading several sources as one: partial results of disjoint keys merge exactly.
#include "perceive/nn/keys.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "perceive/nn/checkpoint.h"
#include "perceive/nn/heads.h"
#include "perceive/nn/rotary.h"
#include "perceive/ops/linear.h"

namespace perceive::nn {
namespace {

// ---- Queries without keys

// [B], true where some key of the sample counts; undefined where that is so for all samples.
at::Tensor samples_with_keys(const std::vector<Keys>& keys) {
  at::Tensor any;
  for (const auto& each : keys) {
    if (!each.source.mask.defined()) return {};
    const auto here = each.source.mask.any(1);
    any = any.defined() ? any.logical_or(here) : here;
  }
  return any.all().item<bool>() ? at::Tensor() : any;
}

// Opens the masks of samples without keys to all keys; for uniform weights their queries become zero. Returns the
// indices of those samples, undefined where there are none.
at::Tensor fill_empty(at::Tensor& q, std::vector<Keys>& keys, const ReadOptions& options) {
  if (options.empty_rows == EmptyRows::zeros || options.inverted) return {};
  const auto any = samples_with_keys(keys);
  if (!any.defined()) return {};
  for (auto& each : keys) each.source.mask = each.source.mask.logical_or(any.logical_not().unsqueeze(1));
  if (options.empty_rows == EmptyRows::uniform) q = at::where(any.view({-1, 1, 1, 1}), q, at::zeros({}, q.options()));
  return any.logical_not().nonzero().squeeze(1);
}

// ---- Keys and values as tensors, a block at a time

struct Projected {
  at::Tensor k, v;  // [B, H, m, D], [B, H, m, Dv]
  int64_t first;    // the block's first key among all
};

Projected project(const Keys& keys, int64_t rotary_channels, int64_t first) {
  const auto& [source, p] = keys;
  auto x = source.values;
  if (source.positions.width() > 0) {
    const auto features = source.positions.expand(0, x.size(1)).to(x.scalar_type());
    x = at::cat({x, features.expand({x.size(0), -1, -1})}, 2);
  }
  if (p.normalize) x = at::layer_norm(x, {x.size(2)}, p.norm_weight, p.norm_bias, p.norm_eps);
  const auto heads = [&](const at::Tensor& weight, const at::Tensor& bias) {
    return split_heads(ops::linear(x, weight, bias), p.heads);
  };
  auto k = heads(p.key_weight, p.key_bias);
  if (rotary_channels > 0) k = rotate(k, rotary_channels, first);
  return {k, heads(p.value_weight, p.value_bias), first};
}

// Gives one tensor of the queries and a block's keys and values. Runs again for its gradients, long after its caller
// has ended: it must hold what it needs by value.
using Block = std::function<at::Tensor(const at::Tensor& q, const Projected& block, const at::Tensor& mask)>;

// each(what the body gives) for blocks of keys in order. A block's scores take 16 MB or so.
template <class Each>
void for_blocks(const at::Tensor& q, const std::vector<Keys>& keys, int64_t rotary_channels, const Block& body,
                const Each& each) {
  const int64_t rows = q.size(0) * q.size(1) * q.size(2);
  const int64_t length = std::clamp<int64_t>((int64_t{1} << 22) / std::max<int64_t>(rows, 1), 64, 1 << 16);
  int64_t before = 0;
  for (const auto& whole : keys) {
    TORCH_CHECK_NOT_IMPLEMENTED(
        whole.source.values.defined(),
        "inverted attention and rotary keys need values in memory; this source comes in chunks");
    int64_t first = 0;
    // One split, not a narrow a block: its backward pass would fill a tensor of the input's length each.
    for (const auto& values : whole.source.values.split(length, 1)) {
      Keys block = whole;
      block.source.values = values;
      if (!whole.source.positions.axes.empty()) {
        block.source.positions = {.axes = {whole.source.positions.expand(first, values.size(1))}};
      }
      const auto mask = whole.source.mask.defined() ? whole.source.mask.narrow(1, first, values.size(1)) : at::Tensor();
      std::vector<at::Tensor> inputs{q};
      for_tensors(block, [&](at::Tensor& tensor) { inputs.push_back(tensor); });
      const Segment segment = [=](const std::vector<at::Tensor>& given) {
        Keys same = block;
        auto next = given.begin() + 1;
        for_tensors(same, [&](at::Tensor& tensor) { tensor = *next++; });
        return body(given.front(), project(same, rotary_channels, before + first), mask);
      };
      each(checkpoint(segment, inputs, {}));
      first += values.size(1);
    }
    before += first;
  }
}

at::Tensor scores(const at::Tensor& q, const at::Tensor& k, const ops::AttendOptions& options) {
  return at::matmul(q, k.transpose(-2, -1)) * options.scale.value_or(1.0 / std::sqrt(static_cast<double>(q.size(3))));
}

at::Tensor lowest(const at::Tensor& like) {
  const auto type = like.scalar_type();
  const double value =
      type == at::kDouble ? std::numeric_limits<double>::lowest() : std::numeric_limits<float>::lowest();
  return at::scalar_tensor(value, like.options());
}

// The softmax over the queries, before the division by a query's sum.
at::Tensor over_queries(const at::Tensor& s, const at::Tensor& mask) {
  if (!mask.defined()) return s.softmax(2);
  const auto counts = mask.unsqueeze(1).unsqueeze(1);
  return at::where(counts, at::where(counts, s, lowest(s)).softmax(2), at::zeros({}, s.options()));
}

constexpr double kLeastSum = 1e-8;  // of a query's weights, as perceiver-pytorch 0.9.0 has it

at::Tensor read_inverted(const at::Tensor& q, const std::vector<Keys>& keys, const ReadOptions& options) {
  const double dropout = options.attend.dropout;
  at::Tensor sums;  // [B, H, N, Dv + 1]: of values, and of the weights
  const Block body = [=](const at::Tensor& queries, const Projected& block, const at::Tensor& mask) {
    const auto weights = over_queries(scores(queries, block.k, options.attend), mask);
    const auto values = at::matmul(at::dropout(weights, dropout, dropout > 0), block.v);
    return at::cat({values, weights.sum(-1, true)}, -1);
  };
  for_blocks(q, keys, options.rotary_channels, body,
             [&](const at::Tensor& block) { sums = sums.defined() ? sums + block : block; });
  const int64_t width = sums.size(-1) - 1;
  return sums.narrow(-1, 0, width) / sums.narrow(-1, width, 1).clamp_min(kLeastSum);
}

// What `attend` gives for each block, merged.
at::Tensor merge_blocks(
    const at::Tensor& q, const std::vector<Keys>& keys, int64_t rotary_channels,
    const std::function<ops::Attended(const at::Tensor& q, const Projected& block, const at::Tensor& mask)>& attend) {
  ops::Attended all;
  const Block body = [attend](const at::Tensor& queries, const Projected& block, const at::Tensor& mask) {
    const auto [out, lse] = attend(queries, block, mask);
    return at::cat({out.to(lse.scalar_type()), lse.unsqueeze(-1)}, -1);
  };
  for_blocks(q, keys, rotary_channels, body, [&](const at::Tensor& block) {
    const int64_t width = block.size(-1) - 1;
    const ops::Attended part{block.narrow(-1, 0, width).to(q.scalar_type()), block.select(-1, width)};
    all = all.out.defined() ? ops::merge(all, part) : part;
  });
  return all.out;
}

at::Tensor read_rotated(const at::Tensor& q, const std::vector<Keys>& keys, const ReadOptions& options) {
  return merge_blocks(rotate(q, options.rotary_channels), keys, options.rotary_channels,
                      [=](const at::Tensor& queries, const Projected& block, const at::Tensor& mask) {
                        auto here = options.attend;
                        here.seed += block.first;  // a pattern of dropped weights of its own for each block
                        return ops::attend(queries, block.k, block.v, mask, here);
                      });
}

// The samples at `index` once more, with scores that were rounded where they were 10,000 lower: in float32 that leaves
// them three decimal places.
at::Tensor read_penalised(const at::Tensor& q, std::vector<Keys> keys, const at::Tensor& index,
                          const ReadOptions& options) {
  constexpr double kPenalty = 10000.0;
  for (auto& each : keys)
    each.source = ops::Source::of(each.source.values.index_select(0, index), each.source.positions);
  return merge_blocks(
      q.index_select(0, index), keys, 0, [=](const at::Tensor& queries, const Projected& block, const at::Tensor&) {
        const auto s = scores(queries, block.k, options.attend) - kPenalty + kPenalty;
        const double dropout = options.attend.dropout;
        return ops::Attended{at::matmul(at::dropout(s.softmax(-1), dropout, dropout > 0), block.v), s.logsumexp(-1)};
      });
}

// ---- The kernels

ops::Attended read_sources(const at::Tensor& q, const std::vector<Keys>& keys, ops::AttendOptions options) {
  ops::Attended all;
  for (const auto& each : keys) {
    const auto part = ops::attend_source(q, each.source, each.projection, options);
    all = all.out.defined() ? ops::merge(all, part) : part;
    ++options.seed;  // a pattern of dropped weights of its own for each source
  }
  return all;
}

}  // namespace

at::Tensor read(at::Tensor q, std::vector<Keys> keys, const ReadOptions& options) {
  const auto empty = fill_empty(q, keys, options);
  if (options.inverted) return read_inverted(q, keys, options);
  if (options.rotary_channels > 0) return read_rotated(q, keys, options);
  const auto out = read_sources(q, keys, options.attend).out;
  if (!empty.defined() || options.empty_rows != EmptyRows::penalty || q.scalar_type() == at::kDouble) return out;
  return out.index_copy(0, empty, read_penalised(q, keys, empty, options));
}

at::Tensor read_weights(at::Tensor q, std::vector<Keys> keys, const ReadOptions& options) {
  fill_empty(q, keys, options);
  std::vector<at::Tensor> blocks;
  // Weights on demand have no gradients.
  const bool differentiable = at::GradMode::is_enabled() && std::all_of(keys.begin(), keys.end(), [](const Keys& each) {
                                return each.source.values.defined();
                              });
  if (!options.inverted && options.rotary_channels == 0 && !differentiable) {
    const auto lse = read_sources(q, keys, options.attend).lse;
    for (const auto& each : keys) blocks.push_back(ops::attention_weights(q, each.source, each.projection, lse));
    return at::cat(blocks, -1);
  }
  if (options.rotary_channels > 0) q = rotate(q, options.rotary_channels);
  const Block body = [=](const at::Tensor& queries, const Projected& block, const at::Tensor& mask) {
    const auto s = scores(queries, block.k, options.attend);
    if (options.inverted) return over_queries(s, mask);
    return mask.defined() ? s.masked_fill(mask.logical_not().unsqueeze(1).unsqueeze(1), -INFINITY) : s;
  };
  for_blocks(q, keys, options.rotary_channels, body, [&](const at::Tensor& block) { blocks.push_back(block); });
  const auto all = at::cat(blocks, -1);
  if (options.inverted) return all / all.sum(-1, true).clamp_min(kLeastSum);
  return all.softmax(-1).nan_to_num(0.0);  // a query without keys
}

}  // namespace perceive::nn
