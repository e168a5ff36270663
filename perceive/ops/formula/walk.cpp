// The walk over the tiles of a call.
#include "perceive/ops/formula/walk.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace perceive::ops::formula {
namespace {

constexpr int64_t kLongestKeyTile = 1024, kShortestKeyTile = 128;
constexpr int64_t kTileNumbers = 1 << 19;  // numbers a tile may hold: 2 MB of float32, the size of a core's cache

}  // namespace

Split::Part Split::part(size_t index) const {
  const size_t key_part = index % key_parts.size(), rest = index / key_parts.size();
  const size_t query_part = rest % query_parts.size(), item_part = rest / query_parts.size();
  return {item_parts[item_part], query_parts[query_part], key_parts[key_part], item_part, query_part, key_part};
}

Split cut_work(const Sizes& sizes, const AttendScalars& scalars, const SplitRules& rules) {
  Split split;
  split.items = sizes.items;
  split.keys = sizes.keys;
  // Short inputs of few items are cut finer, so that there are parts for several threads.
  const int64_t shared_keys = sizes.keys * std::clamp<int64_t>(sizes.items, 1, kParts) / kParts;
  split.key_tile =
      scalars.key_tile > 0 ? scalars.key_tile : std::clamp<int64_t>(shared_keys, kShortestKeyTile, kLongestKeyTile);
  const int64_t tile_keys = std::min(split.key_tile, std::max<int64_t>(sizes.keys, 1));
  const int64_t heads = std::max<int64_t>(sizes.heads, 1);
  const int64_t fitting = std::max<int64_t>(16, kTileNumbers / (heads * tile_keys));
  split.query_tile = scalars.query_tile > 0 ? scalars.query_tile : std::clamp<int64_t>(sizes.queries, 1, fitting);
  const int64_t item_numbers = tile_keys * (sizes.row_width + heads * std::min(split.query_tile, sizes.queries));
  split.item_tile =
      std::clamp<int64_t>(kTileNumbers / std::max<int64_t>(item_numbers, 1), 1, std::max<int64_t>(sizes.items, 1));
  split.item_parts = cut(sizes.items, rules.whole_items ? 1 : kParts, split.item_tile);
  const auto left = kParts / static_cast<int64_t>(split.item_parts.size());
  const bool by_keys = rules.whole_queries || sizes.keys >= sizes.queries;
  split.key_parts = cut(sizes.keys, by_keys ? std::max<int64_t>(left, 1) : 1, split.key_tile);
  split.query_parts = cut(sizes.queries, by_keys ? 1 : std::max<int64_t>(left, 1), split.query_tile);
  return split;
}

void for_parts(const Split& split, at::Device device, const std::function<void(size_t)>& body) {
  run_parts(static_cast<int64_t>(split.size()), device, [&](int64_t i) { body(static_cast<size_t>(i)); });
}

std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& q, const Keys& keys, const Problem& problem,
                                           const Split& split, int64_t value_width) {
  const auto type = accumulation_type(q);
  const auto options = q.options().dtype(type);
  const auto rows = q.sizes().slice(0, 3);
  auto out = at::empty({rows[0], rows[1], rows[2], value_width}, q.options());
  auto lse = at::empty(rows, options);
  // [key part][items and queries of a part]: the parts write apart, and are merged below.
  std::vector<Running> running(split.size());
  for_parts(split, q.device(), [&](size_t index) {
    const auto part = split.part(index);
    running[index] = Running::empty({part.items.size(), rows[1], part.queries.size()}, value_width, options);
    for_tiles(part.items, split.item_tile, [&](const Range& items) {
      const auto scaled = narrow(narrow(q, 0, items), 2, part.queries).to(type) * problem.scalars.scale;
      const Range here{items.begin - part.items.begin, items.end - part.items.begin};
      const Running& all = running[index];
      Running state{narrow(all.highest, 0, here), narrow(all.sum, 0, here), narrow(all.out, 0, here)};
      for_tiles(part.keys, split.key_tile, [&](const Range& tile_keys) {
        if (all_in_future(problem, {items, part.queries, tile_keys})) return;
        const auto tile = keys.tile(items, tile_keys);
        for_tiles({0, part.queries.size()}, split.query_tile, [&](const Range& local) {
          const Range queries{part.queries.begin + local.begin, part.queries.begin + local.end};
          const Block block{items, queries, tile_keys};
          if (!all_in_future(problem, block)) state.queries(local).add(narrow(scaled, 2, local), tile, problem, block);
        });
      });
    });
  });
  const size_t key_parts = split.key_parts.size();
  run_parts(static_cast<int64_t>(split.size() / key_parts), q.device(), [&](int64_t index) {
    const auto group = static_cast<size_t>(index);
    Running& total = running[group * key_parts];
    for (size_t k = 1; k < key_parts; ++k) total.add(running[group * key_parts + k]);
    const auto part = split.part(group * key_parts);
    narrow(narrow(out, 0, part.items), 2, part.queries).copy_(total.normalised());
    narrow(narrow(lse, 0, part.items), 2, part.queries).copy_(total.lse());
  });
  return {out, lse};
}

at::Tensor backward(const at::Tensor& grad_out, const at::Tensor& grad_lse, const at::Tensor& q, const Keys& keys,
                    const at::Tensor& out, const at::Tensor& lse, const Problem& problem, const Split& split,
                    const std::vector<std::unique_ptr<KeyGradients>>& gradients) {
  const auto type = accumulation_type(q);
  const auto options = q.options().dtype(type);
  std::vector<at::Tensor> partial(split.size());
  for_parts(split, q.device(), [&](size_t index) {
    const auto part = split.part(index);
    partial[index] = at::zeros({part.items.size(), q.size(1), part.queries.size(), q.size(3)}, options);
    for_tiles(part.items, split.item_tile, [&](const Range& items) {
      const auto rows = [&](const at::Tensor& t) { return narrow(narrow(t, 0, items), 2, part.queries).to(type); };
      QueryState state;
      state.q = rows(q) * problem.scalars.scale;
      state.grad_out = rows(grad_out);
      state.delta = (state.grad_out * rows(out)).sum(3, true);
      if (grad_lse.defined()) state.delta.sub_(rows(grad_lse).unsqueeze(3));
      const auto row_lse = rows(lse).unsqueeze(3);
      state.lse = row_lse.masked_fill(row_lse == -INFINITY, INFINITY);
      const auto grad_q = narrow(partial[index], 0, {items.begin - part.items.begin, items.end - part.items.begin});
      for_tiles(part.keys, split.key_tile, [&](const Range& tile_keys) {
        const auto tile = keys.tile(items, tile_keys);
        at::Tensor grad_k, grad_v;
        for_tiles({0, part.queries.size()}, split.query_tile, [&](const Range& local) {
          const Range queries{part.queries.begin + local.begin, part.queries.begin + local.end};
          const Block block{items, queries, tile_keys};
          if (all_in_future(problem, block)) return;
          const QueryState some{narrow(state.q, 2, local), narrow(state.lse, 2, local),
                                narrow(state.grad_out, 2, local), narrow(state.delta, 2, local)};
          const auto g = formula::backward(some, tile, problem, block);
          narrow(grad_q, 2, local).add_(g.q);
          grad_k = grad_k.defined() ? grad_k.add_(g.k) : g.k;
          grad_v = grad_v.defined() ? grad_v.add_(g.v) : g.v;
        });
        if (grad_k.defined()) gradients[index]->add(tile, items, tile_keys, grad_k, grad_v);
      });
    });
  });
  auto grad_q = at::empty(q.sizes(), q.options());
  const size_t key_parts = split.key_parts.size();
  for (size_t first = 0; first < split.size(); first += key_parts) {
    for (size_t k = 1; k < key_parts; ++k) partial[first].add_(partial[first + k]);
    const auto part = split.part(first);
    narrow(narrow(grad_q, 0, part.items), 2, part.queries).copy_(partial[first].mul_(problem.scalars.scale));
  }
  return grad_q;
}

}  // namespace perceive::ops::formula
