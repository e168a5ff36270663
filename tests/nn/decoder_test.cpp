// Output rows in blocks: the whole output, its gradients, and memory that does not grow with the rows.
#include "perceive/nn/decoder.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "perceive/nn/block_loss.h"
#include "tests/peak_memory.h"
#include "tests/refusal.h"

namespace perceive::nn {
namespace {

using testing::HasSubstr;

constexpr int64_t kLatentChannels = 6;

DecoderOptions decoder_options(double dropout = 0.0) {
  DecoderOptions options;
  options.cross.attention.heads = 1;
  options.cross.residual_dropout = dropout;
  return options;
}

Decoder classifier(int64_t rows) {
  at::manual_seed(5);
  Decoder decoder(decoder_options(), ClassificationOutput(ClassificationOutputOptions{3, rows, 8}).ptr(),
                  kLatentChannels);
  decoder->to(at::kDouble);
  return decoder;
}
Decoder grid(std::vector<int64_t> shape) {
  at::manual_seed(6);
  Decoder decoder(decoder_options(), GridOutput(GridOutputOptions{shape, 1}).ptr(), kLatentChannels);
  decoder->to(at::kDouble);
  return decoder;
}
at::Tensor latents(int64_t batch = 2) {
  return at::arange(batch * 4 * kLatentChannels, at::kDouble).mul(0.7).sin().view({batch, 4, kLatentChannels});
}

// The blocks side by side, [B, O, E].
at::Tensor gathered(Decoder& decoder, const at::Tensor& latents, int64_t block) {
  std::vector<at::Tensor> blocks;
  int64_t next = 0;
  decoder->decode(latents, block, [&](const at::Tensor& outputs, int64_t first) {
    EXPECT_EQ(first, next);
    EXPECT_LE(outputs.size(1), block);
    EXPECT_FALSE(outputs.requires_grad());
    next += outputs.size(1);
    blocks.push_back(outputs);
  });
  return at::cat(blocks, 1);
}

TEST(Decoder, GivesItsOutputInBlocks) {
  auto learned = classifier(23), places = grid({4, 6, 2});
  for (const int64_t block : {1, 5, 23, 100}) {
    EXPECT_TRUE(at::allclose(gathered(learned, latents(), block), learned->forward(latents()), 1e-12, 1e-12)) << block;
    const auto whole = places->forward(latents());
    EXPECT_EQ(whole.sizes(), at::IntArrayRef({2, 4, 6, 2}));
    EXPECT_TRUE(at::allclose(gathered(places, latents(), block), whole.flatten(1, 2), 1e-12, 1e-12)) << block;
  }
}

// A loss that tells rows apart.
at::Tensor some_loss(const at::Tensor& outputs, int64_t first) {
  const auto target = at::arange(first, first + outputs.size(1), at::kDouble).cos().unsqueeze(1);
  return (outputs - target).square().mul(target + 2).sum();
}

struct Result {
  at::Tensor loss;
  std::vector<at::Tensor> grads;  // of the latents, then the parameters
};

template <class Loss>
Result gradients(Decoder& decoder, Loss&& loss) {
  const auto x = latents().requires_grad_();
  auto leaves = decoder->parameters();
  leaves.insert(leaves.begin(), x);
  const auto value = loss(x);
  const auto found = torch::autograd::grad({value * 3}, leaves, {}, {}, false, /*allow_unused=*/true);
  return {value.detach(), found};
}

TEST(Decoder, HasTheGradientsOfTheWholeOutputInBlocks) {
  for (auto decoder : {classifier(23), grid({4, 6, 2})}) {
    const auto expected = gradients(decoder, [&](const at::Tensor& x) {
      return some_loss(decoder->forward(x).reshape({2, decoder->output().rows(), -1}), 0);
    });
    for (const int64_t block : {1, 5, 24, 100}) {
      const auto result = gradients(decoder, [&](const at::Tensor& x) { return decoder->loss(x, block, some_loss); });
      EXPECT_TRUE(at::allclose(result.loss, expected.loss, 1e-10, 1e-10));
      for (size_t i = 0; i < result.grads.size(); ++i) {
        EXPECT_TRUE(at::allclose(result.grads[i], expected.grads[i], 1e-10, 1e-10)) << i << " block " << block;
      }
    }
  }
}

TEST(Decoder, TrainsOnlyWhatAsksForIt) {
  auto decoder = classifier(9);
  for (auto& parameter : decoder->parameters()) parameter.requires_grad_(false);
  EXPECT_FALSE(decoder->loss(latents(), 4, some_loss).requires_grad());
  const auto x = latents().requires_grad_();
  decoder->loss(x, 4, some_loss).backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_FALSE(decoder->output().learned().grad().defined());
  {
    const at::NoGradGuard no_grad;
    EXPECT_FALSE(decoder->loss(x, 4, some_loss).requires_grad());
  }
  const auto constant = decoder->loss(x, 4, [](const at::Tensor&, int64_t) { return at::ones({}, at::kDouble); });
  EXPECT_EQ(constant.item<double>(), 3);
}

struct NoRows : OutputAdapter {
  int64_t query_channels() const override { return 8; }
  int64_t rows() const override { return 0; }
  at::Tensor make_queries(int64_t, int64_t count, const at::Tensor&) override {
    return at::zeros({1, count, 8}, at::kDouble);
  }
  at::Tensor outputs(const at::Tensor& answers) override { return answers; }
};

TEST(Decoder, GivesSomeOfItsRows) {
  auto decoder = classifier(9);
  const auto some = decoder->forward_rows(latents(), 2, 5);
  EXPECT_TRUE(at::allclose(some, decoder->forward(latents()).narrow(1, 2, 5), 1e-12, 1e-12));
  for (const auto& [first, count] : {std::pair{5, 5}, {-1, 2}, {0, 0}}) {
    EXPECT_THAT(refusal([&] { decoder->forward_rows(latents(), first, count); }),
                HasSubstr("are not among the 9 of the output"));
  }
}

TEST(Decoder, TakesNoRowsAtAll) {
  Decoder decoder(decoder_options(), std::make_shared<NoRows>(), kLatentChannels);
  decoder->to(at::kDouble);
  decoder->decode(latents(), 4, [](const at::Tensor&, int64_t) { FAIL(); });
  const auto x = latents().requires_grad_();
  const auto loss = decoder->loss(x, 4, some_loss);
  EXPECT_EQ(loss.item<double>(), 0);
  loss.backward();
}

TEST(Decoder, NamesWhatIsWrongWithBlocks) {
  auto decoder = classifier(9);
  EXPECT_THAT(refusal([&] { decoder->decode(latents(), 0, [](const at::Tensor&, int64_t) {}); }),
              HasSubstr("a block must have at least 1 row; got 0"));
  EXPECT_THAT(refusal([&] { decoder->loss(latents(), -1, some_loss); }), HasSubstr("at least 1 row; got -1"));
  const auto message = [&](const at::Tensor& loss) {
    return refusal([&] { decoder->loss(latents(), 4, [&](const at::Tensor&, int64_t) { return loss; }); });
  };
  EXPECT_THAT(message(at::zeros({4})), HasSubstr("the loss of the rows 0 to 4 must be one number, summed over them; "
                                                 "got [4]"));
  EXPECT_THAT(message({}), HasSubstr("got nothing"));
  const auto loss = decoder->loss(latents().requires_grad_(), 4, some_loss);
  EXPECT_THAT(
      refusal([&] { torch::autograd::grad({loss}, {decoder->parameters()[0]}, {}, {}, /*create_graph=*/true); }),
      HasSubstr("second derivative"));
}

TEST(Decoder, LetsAnErrorOfTheLossThrough) {
  auto decoder = classifier(9);
  EXPECT_THROW(decoder->loss(latents().requires_grad_(), 4,
                             [](const at::Tensor&, int64_t first) -> at::Tensor {
                               if (first == 4) throw std::runtime_error("a target is missing");
                               return at::zeros({});
                             }),
               std::runtime_error);
  EXPECT_TRUE(at::autocast::is_autocast_cache_enabled());
}

TEST(Decoder, TrainsInBlocksUnderAutocast) {
  auto decoder = classifier(20);
  decoder->to(at::kFloat);
  const auto run = [&](const auto& loss) {
    const auto x = latents().to(at::kFloat).requires_grad_();
    at::autocast::set_autocast_enabled(at::kCPU, true);
    const auto value = loss(x);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::clear_cache();
    value.backward();
    return x.grad();
  };
  const auto in_float = [](const at::Tensor& outputs, int64_t first) {
    return some_loss(outputs.to(at::kDouble), first);
  };
  const auto expected = run([&](const at::Tensor& x) { return in_float(decoder->forward(x), 0); });
  const auto found = run([&](const at::Tensor& x) { return decoder->loss(x, 7, in_float); });
  EXPECT_LT((found - expected).abs().max().item<double>(), 0.05 * expected.abs().max().item<double>());
}

TEST(Decoder, DropsAfreshInEachBlock) {
  Decoder decoder(decoder_options(0.5), ClassificationOutput(ClassificationOutputOptions{3, 8, 8}).ptr(),
                  kLatentChannels);
  std::vector<at::Tensor> blocks;
  {
    const at::NoGradGuard no_grad;
    decoder->output().learned().fill_(0.3);
  }
  decoder->decode(latents().to(at::kFloat), 4, [&](const at::Tensor& outputs, int64_t) { blocks.push_back(outputs); });
  EXPECT_FALSE(at::allclose(blocks[0], blocks[1]));
}

TEST(Decoder, NeedsNoMemoryForMillionsOfRows) {
  at::manual_seed(1);
  Decoder decoder(decoder_options(), GridOutput(GridOutputOptions{{1000, 1000, 3}, 1}).ptr(), kLatentChannels);
  const auto x = latents(1).to(at::kFloat).requires_grad_();
  double rows = 0;
  const auto square = [&](const at::Tensor& outputs, int64_t) {
    rows += static_cast<double>(outputs.size(1));
    return outputs.square().sum();
  };
  decoder->decode(x, 2048, [&](const at::Tensor&, int64_t) {});  // what is loaded on first use does not count
  const double growth = peak_growth([&] { decoder->loss(x, 2048, square).backward(); });
  EXPECT_EQ(rows, 1e6);
  EXPECT_LT(growth, 32e6);
}

TEST(BlockLoss, GivesMillionsOfLearnedRowsTheirGradients) {
  constexpr int64_t kRows = 1'000'000;
  const auto learned = at::ones({kRows, 1}).requires_grad_();
  const auto loss = sum_of_block_losses(
      [](const at::Tensor& shared, const at::Tensor& rows, int64_t, int64_t) { return (rows * shared).sum(); },
      {at::full({1}, 2.0), learned, {}}, kRows, 500);
  loss.backward();
  EXPECT_EQ(loss.item<double>(), 2e6);
  EXPECT_TRUE(at::equal(learned.grad(), at::full({kRows, 1}, 2.0)));
}

}  // namespace
}  // namespace perceive::nn
