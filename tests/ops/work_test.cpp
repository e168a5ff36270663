// How a call is cut for the kernels.
#include "perceive/ops/cpu/work.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "perceive/ops/cpu/tiles.h"
#include "tests/ops/reference.h"

namespace perceive::ops {
namespace {

using testing::difference;

cpu::Plan plan_of(int64_t query_tile, bool bf16) {
  const cpu::Shape shape{.batch = 1,
                         .heads = 1,
                         .queries = 500,
                         .keys = 300,
                         .key_width = 8,
                         .value_width = 8,
                         .key_heads = 1,
                         .bf16 = bf16,
                         .range = {0, 300},
                         .scalars = {.scale = 1.0, .query_tile = query_tile, .key_tile = 0}};
  return cpu::make_plan(shape, kernels::tile_kernels(), cpu::CutBy::size);
}

TEST(Work, QueryTileBoundsTheRowsOfABlock) {
  const auto& kernels = kernels::tile_kernels();
  const int64_t width = kernels.width;
  EXPECT_EQ(plan_of(0, false).lanes, kernels.lanes);
  EXPECT_EQ(plan_of(1, false).lanes, width);
  EXPECT_EQ(plan_of(width + 1, false).lanes, width);
  EXPECT_EQ(plan_of(1 << 20, false).lanes, kernels.lanes);
  if (kernels.pack_values != nullptr) {
    EXPECT_EQ(plan_of(33, true).lanes, kernels::Bf16Keys::kStep);
  }
  const auto plan = plan_of(width, false);
  const auto blocks = cpu::blocks_of(plan, plan.part(0).rows);
  for (int64_t b = 0; b < blocks.count(); ++b) EXPECT_LE(blocks.rows_of(b), width);
}

TEST(Work, ResultsAgreeForAnyQueryTile) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const double tolerance = type == at::kFloat ? 1e-5 : 2e-2;
    torch::manual_seed(3);
    std::vector<at::Tensor> leaves;
    for (const int64_t length : {131, 97, 97})
      leaves.push_back(at::randn({2, 3, length, 40}).to(type).requires_grad_());
    const auto run = [&](int64_t query_tile) {
      const auto out = attend(leaves[0], leaves[1], leaves[2], {}, {.query_tile = query_tile}).out;
      auto results = torch::autograd::grad({out.sum()}, leaves);
      results.push_back(out.detach());
      return results;
    };
    const auto whole = run(0);
    for (const int64_t query_tile : {1, 17, 48, 63, 1000}) {
      const auto cut = run(query_tile);
      for (size_t i = 0; i < whole.size(); ++i) {
        EXPECT_LT(difference(cut[i], whole[i]), tolerance * std::max(1.0, whole[i].abs().max().item<double>())) << i;
      }
    }
  }
}

}  // namespace
}  // namespace perceive::ops
