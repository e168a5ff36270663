// Which tokens a masked language model has to guess.
#include "perceive/models/text_masking.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/data/random.h"
#include "perceive/nn/sequence_input.h"

namespace perceive::models {
namespace {

constexpr int64_t kIgnored = -100;  // what cross-entropy leaves out

}  // namespace

TextMasking::TextMasking(const TextMaskingOptions& options) : options_(options) {
  if (options.vocab_size > options.num_special_tokens) return;
  throw core::ConfigError(c10::str("vocab_size must be more than the ", options.num_special_tokens,
                                   " special tokens, since masking draws from the rest; got ", options.vocab_size));
}

MaskedText TextMasking::operator()(const at::Tensor& ids, const at::Tensor& pad_mask,
                                   const std::optional<at::Generator>& generator) const {
  nn::check_token_ids(ids, options_.vocab_size);
  check_pad_mask(ids, pad_mask);
  const auto happens = [&](double probability) {
    return at::rand(ids.sizes(), generator, ids.options().dtype(at::kFloat)).lt(probability);
  };
  auto candidates = ids.ne(options_.unk_token_id);
  if (pad_mask.defined()) candidates = candidates.logical_and(pad_mask.logical_not());
  // The order and number of draws is the original's.
  const auto chosen = candidates.logical_and(happens(options_.mask_p));
  const auto replaced = chosen.logical_and(happens(0.9));
  const auto random = replaced.logical_and(happens(1.0 / 9.0));
  const auto drawn = at::randint(options_.num_special_tokens, options_.vocab_size, {random.sum().item<int64_t>()},
                                 generator, ids.options().dtype(at::kLong));
  auto masked = ids.masked_fill(replaced, options_.mask_token_id);
  masked.masked_scatter_(random, drawn.to(ids.scalar_type()));
  return {masked, ids.masked_fill(chosen.logical_not(), kIgnored)};
}

MaskedText TextMasking::same_each_time(const at::Tensor& ids, const at::Tensor& pad_mask) const {
  const auto numbers = ids.to(at::kLong).contiguous();
  uint64_t seed = 0;
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    seed = data::SplitMix64(seed ^ static_cast<uint64_t>(numbers.const_data_ptr<int64_t>()[i])).next();
  }
  return (*this)(ids, pad_mask, at::make_generator<at::CPUGeneratorImpl>(seed));
}

void check_pad_mask(const at::Tensor& ids, const at::Tensor& pad_mask) {
  if (!pad_mask.defined()) return;
  TORCH_CHECK_VALUE(pad_mask.scalar_type() == at::kBool && pad_mask.sizes() == ids.sizes(), "pad_mask: expected bool ",
                    ids.sizes(), ", true where a token is padding; got ", pad_mask.scalar_type(), " ",
                    pad_mask.sizes());
}

}  // namespace perceive::models
