// PerceiverIO and PerceiverLM of perceiver-pytorch.
#include "perceive/models/dialects/perceiver_pytorch/perceiver_io.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <limits>

#include "perceive/io/names.h"

namespace perceive::models::perceiver_pytorch {
namespace {

const std::string kIO = "perceiver_io.";

void require_tokens(const at::Tensor& tokens, int64_t vocabulary, int64_t longest) {
  TORCH_CHECK_VALUE(tokens.dim() == 2 && (tokens.scalar_type() == at::kLong || tokens.scalar_type() == at::kInt),
                    "x: expected token ids [B, S] of int64; got ", tokens.scalar_type(), " ", tokens.sizes());
  TORCH_CHECK_VALUE(tokens.numel() > 0, "x: there are no tokens in ", tokens.sizes());
  TORCH_CHECK_VALUE(tokens.size(1) <= longest, "x: ", tokens.size(1), " tokens are more than max_seq_len, ", longest);
  const auto wrong = tokens.lt(0).logical_or(tokens.ge(vocabulary)).nonzero();
  if (wrong.size(0) == 0) return;
  const int64_t b = wrong[0][0].item<int64_t>(), s = wrong[0][1].item<int64_t>();
  TORCH_CHECK_VALUE(false, "x: the token at [", b, ", ", s, "] is ", tokens[b][s].item<int64_t>(), "; expected 0 to ",
                    vocabulary - 1);
}

}  // namespace

PerceiverIOImpl::PerceiverIOImpl(const PerceiverIOConfig& config, Version version)
    : ModelImpl(native_options(config, version), version), config_(config) {}

at::Tensor PerceiverIOImpl::forward(at::Tensor data, const at::Tensor& queries, const ForwardOptions& options) {
  TORCH_CHECK_VALUE(data.dim() == 3 && data.size(2) == config_.dim && data.numel() > 0, "data: expected [B, S, ",
                    config_.dim, "]; got ", data.sizes());
  auto mask = flat_mask(options.mask, data.size(0), data.size(1), config_.cross_heads);
  if (is_training() && config_.seq_dropout_prob > 0) drop_elements(data, mask, config_.seq_dropout_prob);
  nn::Context context(ops::Source::of(data, {}, mask));
  context.inverted = inverts();
  const auto latents = encode({std::move(context)}, options);
  return queries.defined() ? model_->decode(latents, queries) : latents;
}

bool PerceiverIOImpl::inverts() const {
  const auto& inverted = config_.inverted_cross_attn;
  return inverted.is_list ? !inverted.many.empty() : inverted.one;
}

void drop_elements(at::Tensor& data, at::Tensor& mask, double probability) {
  const int64_t batch = data.size(0), count = data.size(1),
                kept = std::max<int64_t>(1, static_cast<int64_t>((1.0 - probability) * static_cast<double>(count)));
  auto score = at::randn({batch, count}, at::TensorOptions(data.device()));
  if (mask.defined()) score.masked_fill_(mask.logical_not(), std::numeric_limits<float>::lowest());
  const auto chosen = std::get<1>(score.topk(kept, -1));
  const auto rest = data.sizes().slice(2);
  std::vector<int64_t> shape{batch, kept};
  shape.resize(data.dim(), 1);
  auto expanded = std::vector<int64_t>{batch, kept};
  expanded.insert(expanded.end(), rest.begin(), rest.end());
  data = data.gather(1, chosen.view(shape).expand(expanded));
  if (!mask.defined()) return;
  // Whole numbers times a number: in torch's default dtype, like the original's, not in double.
  const auto kept_of_sample = mask.sum(-1).mul(1.0 - probability).ceil();
  const auto position = at::arange(kept, mask.options().dtype(at::kLong));
  mask = mask.gather(1, chosen).logical_and(position.unsqueeze(0) < kept_of_sample.unsqueeze(1));
}

PerceiverLMImpl::PerceiverLMImpl(const PerceiverLMConfig& config, Version version) {
  const auto io = io_config(config);
  native_options(io, version);  // before anything is drawn
  token_emb_ = register_module("token_emb", torch::nn::Embedding(config.num_tokens, config.dim));
  pos_emb_ = register_module("pos_emb", torch::nn::Embedding(config.max_seq_len, config.dim));
  perceiver_io_ = register_module("perceiver_io", PerceiverIO(io, version));
}

at::Tensor PerceiverLMImpl::forward(const at::Tensor& tokens, const at::Tensor& mask) {
  require_tokens(tokens, token_emb_->weight.size(0), pos_emb_->weight.size(0));
  const auto x = token_emb_->forward(tokens) + pos_emb_->weight.narrow(0, 0, tokens.size(1));
  return perceiver_io_->forward(x, x, {.mask = mask});
}

std::vector<std::string> PerceiverLMImpl::load_state_dict(io::Tensors tensors, const std::string& origin) {
  io::Tensors all, io;
  for (auto& [name, tensor] : tensors) {
    if (name.starts_with(kIO)) {
      io.emplace(name.substr(kIO.size()), std::move(tensor));
    } else {
      all.emplace(name, std::move(tensor));
    }
  }
  for (auto& [name, tensor] : perceiver_io_->to_own_names(std::move(io), origin)) all.emplace(kIO + name, tensor);
  return io::load_into(*this, all, origin);
}

}  // namespace perceive::models::perceiver_pytorch
