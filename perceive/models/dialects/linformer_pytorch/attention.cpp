// All heads at once, over keys and values that are projected before they are made.
#include "perceive/models/dialects/linformer_pytorch/attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "perceive/io/names.h"
#include "perceive/nn/heads.h"
#include "perceive/nn/seed.h"
#include "perceive/ops/linear.h"

namespace perceive::models::linformer_pytorch {
namespace {

at::Tensor weight_of(const std::vector<nn::Linear>& linears) {
  std::vector<at::Tensor> weights;
  for (const auto& linear : linears) weights.push_back(linear->weight);
  return at::cat(weights);
}

std::vector<nn::LengthProjection> projections(const std::vector<EF>& all) {
  std::vector<nn::LengthProjection> result;
  for (const auto& each : all) result.push_back(each.projection());
  return result;
}

// [n, k] for all samples and heads of q.
at::Tensor as_mask(const at::Tensor& mask, const at::Tensor& q) {
  return mask.defined() ? mask.to(q.device()).view({1, 1, mask.size(0), mask.size(1)}) : mask;
}

// Not from the log-sum-exp: gradients go through these weights there.
at::Tensor weights_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& mask, int64_t dim) {
  auto scores = at::matmul(q, k.mT()) / std::sqrt(static_cast<double>(dim));
  if (mask.defined()) scores = scores.masked_fill(mask.logical_not(), -std::numeric_limits<double>::infinity());
  return scores.softmax(-1);
}

// [n, k], query i sees the first i + 1 keys.
at::Tensor triangle(int64_t queries, int64_t keys, at::Device device) {
  return at::ones({queries, keys}, at::TensorOptions(device).dtype(at::kBool)).tril();
}

// Rows of zeros stay so through the projections to heads, which have no bias.
at::Tensor zero_rows(const at::Tensor& x, const at::Tensor& mask, const char* name) {
  if (!mask.defined()) return x;
  const auto fits = [&](int64_t axis) { return mask.size(axis) == 1 || mask.size(axis) == x.size(axis); };
  TORCH_CHECK_VALUE(mask.scalar_type() == at::kBool && mask.dim() == 2 && fits(0) && fits(1), name, ": expected bool ",
                    x.sizes().slice(0, 2), ", or 1 in place of either; got ", mask.scalar_type(), " ", mask.sizes());
  return x.masked_fill(mask.logical_not().unsqueeze(2), 0);
}

}  // namespace

void MaskedAttention::set_causal_mask(const at::Tensor& mask) {
  TORCH_CHECK_VALUE(mask.scalar_type() == at::kBool && mask.dim() == 2, "causal_mask: expected bool [n, k]; got ",
                    mask.scalar_type(), " ", mask.sizes());
  causal_mask_ = mask;
}

MHAttentionImpl::MHAttentionImpl(const MHAttentionOptions& options, const EF& e, const EF& f) : options_(options) {
  using Sharing = ParameterSharing;
  const auto sharing = options.parameter_sharing;
  const auto make = [&] {
    EFConfig config;
    config.input_size = options.input_size;
    config.dim = options.dim_k;
    config.method = name_of(options.method);
    config.head_dim = options.dim;
    return EF(config);
  };
  EF shared_e = e, shared_f = f;
  if (sharing != Sharing::layerwise) {
    shared_e = make();  // drawn there even where each head then makes its own
    shared_f = sharing == Sharing::kv ? shared_e : make();
  }
  TORCH_CHECK_VALUE(options.full_attention || (shared_e && shared_f),
                    "E_proj and F_proj must be given with layerwise sharing");

  const auto heads = register_module("heads", std::make_shared<torch::nn::Module>());
  const auto linear = [&] { return nn::Linear(torch::nn::LinearOptions(options.channels, options.dim).bias(false)); };
  for (int64_t j = 0; j < options.nhead; ++j) {
    const auto head = heads->register_module(std::to_string(j), std::make_shared<torch::nn::Module>());
    const bool own = sharing == Sharing::none;
    if (own || j == 0) {
      e_.push_back(own ? make() : shared_e);
      f_.push_back(own ? make() : shared_f);
    }
    if (e_.back()) e_.back().register_in(*head, "E");
    if (f_.back()) f_.back().register_in(*head, "F");
    to_q_.push_back(linear());
    to_k_.push_back(linear());
    to_v_.push_back(linear());
  }
  for (const auto& [name, linears] : {std::pair{"to_q", to_q_}, {"to_k", to_k_}, {"to_v", to_v_}}) {
    const auto list = register_module(name, std::make_shared<torch::nn::Module>());
    for (size_t j = 0; j < linears.size(); ++j) list->register_module(std::to_string(j), linears[j].ptr());
  }
  const int64_t width = options.dim * options.nhead;
  if (const auto between = options.w_o_intermediate_dim) {
    w_o_1_ = register_module("w_o_1", nn::Linear(width, *between));
    w_o_2_ = register_module("w_o_2", nn::Linear(*between, options.channels));
  } else {
    w_o_ = register_module("w_o", nn::Linear(width, options.channels));
  }
}

at::Tensor MHAttentionImpl::attend_full(const at::Tensor& q, const at::Tensor& context, ops::AttendOptions options,
                                        Weights* weights) {
  if (weights || causal_mask_.defined()) {
    const auto k = nn::split_heads(ops::linear(context, weight_of(to_k_)), options_.nhead);
    const auto v = nn::split_heads(ops::linear(context, weight_of(to_v_)), options_.nhead);
    const bool triangular = options_.causal_rows.has_value() && !causal_mask_.defined();
    const auto mask = as_mask(triangular ? triangle(q.size(2), k.size(2), q.device()) : causal_mask_, q);
    if (weights) weights->push_back(weights_of(q, k, mask, options_.dim));
    return ops::attend(q, k, v, mask, options).out;
  }
  options.causal = options_.causal_rows.has_value();
  ops::Projection projection;
  projection.key_weight = weight_of(to_k_);
  projection.value_weight = weight_of(to_v_);
  projection.heads = options_.nhead;
  return ops::attend_source(q, ops::Source::of(context), projection, options).out;
}

// Keys and values [B, h, k, d].
std::vector<at::Tensor> MHAttentionImpl::project(const at::Tensor& context) {
  if (e_.size() == 1 && e_.front().is(f_.front())) {
    const auto both = at::cat({weight_of(to_k_), weight_of(to_v_)});
    return nn::project_heads(context, both, 2 * options_.nhead, projections(e_)).chunk(2, 1);
  }
  return {nn::project_heads(context, weight_of(to_k_), options_.nhead, projections(e_)),
          nn::project_heads(context, weight_of(to_v_), options_.nhead, projections(f_))};
}

// [1, n, k], undefined where every query sees every key. Of a mask of one row, that row counts for every query.
at::Tensor MHAttentionImpl::projected_mask(const at::Tensor& x, int64_t keys) const {
  auto mask = causal_mask_;
  if (!mask.defined() && options_.causal_rows) mask = triangle(x.size(1), *options_.causal_rows, x.device());
  TORCH_CHECK_VALUE(!mask.defined() || mask.size(-1) == keys,
                    "causal: the mask is made for dim_k = ", mask.defined() ? mask.size(-1) : 0,
                    " rows of keys, but here are ", keys,
                    "; k_reduce_by_layer must be 0 with causal, and a convolution must give dim_k rows");
  if (!mask.defined()) return mask;
  TORCH_CHECK_VALUE(mask.size(0) == x.size(1) || mask.size(0) == 1, "causal_mask: expected bool [", x.size(1), ", ",
                    keys, "]; got ", mask.sizes());
  return mask.to(x.device()).expand({x.size(1), keys}).unsqueeze(0);
}

at::Tensor MHAttentionImpl::forward(const at::Tensor& x, const Extras& extras) {
  return forward(x, extras, nullptr, options_.checkpoint_level == CheckpointLevel::C2);
}

at::Tensor MHAttentionImpl::forward(const at::Tensor& x, const Extras& extras,
                                    const std::shared_ptr<ResidualImpl>& behind, bool again) {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == options_.channels, "MHAttention: expected x [B, n, ",
                    options_.channels, "]; got ", x.sizes());
  TORCH_CHECK_VALUE(!options_.decoder_mode || extras.embeddings.defined(), "Embeddings must be supplied if decoding");
  TORCH_CHECK_VALUE(!extras.embeddings.defined() || extras.embeddings.sizes() == x.sizes(),
                    "Embeddings size must be the same as the input tensor: expected ", x.sizes(), ", got ",
                    extras.embeddings.defined() ? extras.embeddings.sizes() : x.sizes());
  auto context = options_.decoder_mode ? extras.embeddings : x;
  at::Tensor queries;  // where they are not x
  // Neither masks nor the wish for weights reach a checkpointed head there.
  auto* const weights = again ? nullptr : extras.weights;
  if (!again) {
    if (extras.embeddings_mask.defined()) queries = zero_rows(x, extras.embeddings_mask, "embeddings_mask");
    context = zero_rows(context, extras.input_mask, "input_mask");
  }

  RowMap rows;
  rows.by_row = {x};
  if (queries.defined()) rows.by_row.push_back(queries);
  at::Tensor mask;
  if (options_.full_attention) {
    rows.whole = {context};
  } else {
    rows.whole = project(context);
    mask = projected_mask(x, rows.whole[0].size(2));
    if (mask.defined()) rows.by_row.push_back(mask);
  }
  rows.parameters = io::distinct_parameters(behind ? static_cast<torch::nn::Module&>(*behind) : *this);
  rows.map = [this, keep = shared_from_this(), behind, weights, own_queries = queries.defined(),
              masked = mask.defined()](const std::vector<at::Tensor>& given) {
    auto next = given.begin();
    const auto& block = *next++;
    const auto& asking = own_queries ? *next++ : block;
    const auto seen = masked ? *next++ : at::Tensor();
    const auto y = attend(asking, seen, {next, given.end()}, weights);
    return behind ? behind->forward(block, y) : y;
  };
  std::optional<int64_t> width = std::max(options_.channels, options_.nhead * options_.dim);
  // Weights are as large as those of all rows, and a block of full attention would read the whole input again.
  if (weights || options_.full_attention) width.reset();
  return in_blocks(rows, width, again);
}

// Of rows x [B, rows, C], with all maps behind the heads. `to`: keys and values, or what those of full attention are
// made of; mask [1, rows, k] or undefined.
at::Tensor MHAttentionImpl::attend(const at::Tensor& x, const at::Tensor& mask, const std::vector<at::Tensor>& to,
                                   Weights* weights) {
  ops::AttendOptions options;
  if (is_training() && options_.dropout > 0) {
    options.dropout = options_.dropout;
    options.seed = nn::draw_seed();
  }
  const auto q = nn::split_heads(ops::linear(x, weight_of(to_q_)), options_.nhead);
  at::Tensor output;
  if (options_.full_attention) {
    output = attend_full(q, to[0], options, weights);
  } else {
    const auto of_heads = mask.defined() ? mask.unsqueeze(1) : mask;
    if (weights) weights->push_back(weights_of(q, to[0], of_heads, options_.dim));
    output = ops::attend(q, to[0], to[1], of_heads, options).out;
  }
  output = nn::merge_heads(output);
  output = w_o_ ? w_o_->forward(output) : w_o_2_->forward(w_o_1_->forward(output));
  return at::dropout(output, options_.dropout, is_training());
}

LinearAttentionHeadImpl::LinearAttentionHeadImpl(const LinearAttentionHeadOptions& options, EF e, EF f)
    : options_(options), e_(std::move(e)), f_(std::move(f)) {
  TORCH_CHECK_VALUE(options.full_attention || (e_ && f_), "E_proj and F_proj must be given without full_attention");
  if (e_) e_.register_in(*this, "E");
  if (f_) f_.register_in(*this, "F");
}

at::Tensor LinearAttentionHeadImpl::forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                            const Extras& extras) {
  TORCH_CHECK_VALUE(q.dim() == 3 && k.dim() == 3 && v.dim() == 3 && k.size(0) == q.size(0) && v.size(0) == q.size(0) &&
                        k.size(2) == q.size(2),
                    "LinearAttentionHead: expected Q [B, n, d], K [B, m, d] and V [B, m, c]; got ", q.sizes(), ", ",
                    k.sizes(), " and ", v.sizes());
  const auto queries = zero_rows(q, extras.embeddings_mask, "embeddings_mask").unsqueeze(1);
  const auto projected = [&](const at::Tensor& x, const EF& by) {
    const auto zeroed = zero_rows(x, extras.input_mask, "input_mask");
    return (options_.full_attention ? zeroed : by.forward(zeroed.mT()).mT()).unsqueeze(1);
  };
  const auto keys = projected(k, e_), values = projected(v, f_);
  const int64_t rows = keys.size(2);
  TORCH_CHECK_VALUE(values.size(2) == rows, "LinearAttentionHead: expected as many values as keys, ", rows, "; got ",
                    values.size(2));

  auto mask = causal_mask_;
  if (!mask.defined() && options_.causal_rows) mask = triangle(q.size(1), *options_.causal_rows, q.device());
  TORCH_CHECK_VALUE(!mask.defined() || (mask.size(1) == rows && (mask.size(0) == q.size(1) || mask.size(0) == 1)),
                    "causal_mask: expected bool [", q.size(1), ", ", rows, "]; got ",
                    mask.defined() ? mask.sizes() : at::IntArrayRef());
  mask = as_mask(mask, queries);
  if (extras.weights) extras.weights->push_back(weights_of(queries, keys, mask, options_.dim));
  ops::AttendOptions options;
  options.scale = 1 / std::sqrt(static_cast<double>(options_.dim));
  if (is_training() && options_.dropout > 0) {
    options.dropout = options_.dropout;
    options.seed = nn::draw_seed();
  }
  return ops::attend(queries, keys, values, mask, options).out.squeeze(1);
}

}  // namespace perceive::models::linformer_pytorch
