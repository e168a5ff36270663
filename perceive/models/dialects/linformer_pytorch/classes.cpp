// How forward() of each class is called by names.
#include "perceive/models/dialects/linformer_pytorch/classes.h"

#include <ATen/ATen.h>

#include <map>
#include <set>
#include <utility>
#include <variant>

#include "perceive/core/error.h"
#include "perceive/io/names.h"
#include "perceive/models/dialects/linformer_pytorch/linformer_lm.h"
#include "perceive/models/dialects/linformer_pytorch/padder.h"
#include "perceive/models/dialects/linformer_pytorch/truncated_linformer.h"
#include "perceive/models/dialects/runnable.h"
#include "perceive/nn/checks.h"

namespace perceive::models::linformer_pytorch {
namespace {

struct PadderConfig {
  std::variant<LinformerConfig, LinformerLMConfig> net;
};
template <class Visitor>
void visit(PadderConfig& o, Visitor&& field) {
  field("net", o.net, "the model to pad inputs for (required); 0.1.0: Linformer only");
}

constexpr const char* kRows = "[B, input_size, channels]";
constexpr const char* kTokens = "tokens, int64 [B, input_size]";
constexpr const char* kShortRows = "[B, up to input_size, channels]";
constexpr const char* kShortTokens = "tokens, int64 [B, up to input_size]";

const std::vector<TensorArgument> kMasks{
    {"input_mask", "[B, input_size]; keys and values become zeros where it is false, but still count"},
    {"embeddings_mask", "[B, input_size]; queries become zeros where it is false"}};

struct Flags {
  bool visualize = false;
};
template <class Visitor>
void visit(Flags& o, Visitor&& field) {
  field("visualize", o.visualize, "give the weights of every attention (C0 only) as P_bar.0, …: [B, nhead, n, k]");
}

bool is_called(const std::string& path, const std::string& name) {
  return path == name || path.ends_with("." + name);
}

// Attribute masks, which a state_dict leaves out, under their paths: of heads, or of the attention that has them.
void take_causal_masks(torch::nn::Module& module, io::Tensors& tensors) {
  const std::string mask = "causal_mask";
  for (const auto& item : module.named_modules()) {
    auto* const attention = dynamic_cast<MaskedAttention*>(item.value().get());
    if (!attention) continue;
    const auto path = item.key().empty() ? "" : item.key() + ".";
    for (auto next = tensors.lower_bound(path); next != tensors.end() && next->first.starts_with(path);) {
      const auto& name = next->first;
      if (is_called(name, mask) && (name == path + mask || name.starts_with(path + "heads."))) {
        attention->set_causal_mask(next->second.to(at::kBool));
        next = tensors.erase(next);
      } else {
        ++next;
      }
    }
  }
}

// In the order of the original's state_dict: a module's own tensors before those of its children.
void list_names(const torch::nn::Module& module, const std::string& prefix,
                std::vector<std::pair<std::string, at::Tensor>>& all) {
  for (const auto& item : module.named_parameters(/*recurse=*/false)) {
    all.emplace_back(prefix + item.key(), item.value());
  }
  for (const auto& item : module.named_buffers(/*recurse=*/false)) all.emplace_back(prefix + item.key(), item.value());
  for (const auto& item : module.named_children()) list_names(*item.value(), prefix + item.key() + ".", all);
}

// The original copies every name's value, one after the other: of a shared tensor's, the last one stays. Returns a
// notice on each tensor whose values differ.
std::vector<std::string> keep_last(const torch::nn::Module& module, io::Tensors& tensors) {
  std::vector<std::pair<std::string, at::Tensor>> all;
  list_names(module, "", all);
  std::map<void*, std::string> last;
  for (const auto& [name, tensor] : all) {
    if (tensors.contains(name)) last[tensor.unsafeGetTensorImpl()] = name;
  }
  std::vector<std::string> notices;
  std::set<std::string> told;
  for (const auto& [name, tensor] : all) {
    const auto given = tensors.find(name);
    if (given == tensors.end()) continue;
    const auto& kept_name = last.at(tensor.unsafeGetTensorImpl());
    const auto& kept = tensors.at(kept_name);
    const bool comparable = given->second.scalar_type() == kept.scalar_type();
    // Another size is refused like everywhere.
    if (given->second.sizes() != kept.sizes() || (comparable && given->second.equal(kept))) continue;
    given->second = kept;
    if (!told.insert(kept_name).second) continue;
    notices.push_back(name + ": differs from " + kept_name +
                      ", which is the same tensor; the latter is the last of its names, whose value is taken, as in "
                      "the original");
  }
  return notices;
}

// The random matrices of no_params, which the original's state_dict leaves out, are buffers called E and F here.
template <class Model>
class RunnableBase : public Runnable<Model, Flags> {
 public:
  using Runnable<Model, Flags>::Runnable;

  std::vector<std::string> load(io::Tensors tensors, const std::string& origin) override {
    take_causal_masks(this->module(), tensors);
    auto notices = keep_last(this->module(), tensors);
    bool draws = false;
    std::map<void*, at::Tensor> given;  // shared ones may have one name only
    for (const auto& [name, matrix] : matrices()) {
      if (const auto found = tensors.find(name); found != tensors.end()) {
        given[matrix.unsafeGetTensorImpl()] = found->second;
      }
    }
    for (const auto& [name, matrix] : matrices()) {
      const auto found = given.find(matrix.unsafeGetTensorImpl());
      if (found == given.end() && !std::exchange(draws, true)) {
        notices.push_back(name + ": not in the weights, as no_params has it; drawn at random");
      }
      tensors.emplace(name, found == given.end() ? matrix : found->second);
    }
    const auto more = io::load_into(this->module(), tensors, origin);
    notices.insert(notices.end(), more.begin(), more.end());
    return notices;
  }
  io::Tensors state_dict() override {
    auto tensors = io::named_tensors(this->module());
    for (const auto& [name, matrix] : matrices()) tensors.erase(name);
    return tensors;
  }

 protected:
  // run(extras): the output.
  template <class Run>
  Outputs outputs(const TensorArguments& arguments, const Run& run) {
    std::vector<at::Tensor> weights;
    Extras extras{{}, arguments.mask("input_mask"), arguments.mask("embeddings_mask")};
    if (this->flags_.visualize) extras.weights = &weights;
    Outputs all{{"output", run(extras)}};
    append(all, "P_bar", weights);
    return all;
  }

 private:
  std::vector<std::pair<std::string, at::Tensor>> matrices() {
    std::vector<std::pair<std::string, at::Tensor>> all;
    for (const auto& item : this->module().named_buffers()) {
      if (is_called(item.key(), "E") || is_called(item.key(), "F")) all.emplace_back(item.key(), item.value());
    }
    return all;
  }
};

template <class Model>
class RunnableLinformer : public RunnableBase<Model> {
 public:
  RunnableLinformer(Model model, const char* help) : RunnableBase<Model>(std::move(model)), help_(help) {}
  std::vector<TensorArgument> tensor_arguments() const override {
    std::vector<TensorArgument> all{{"tensor", help_, TensorArgument::Form::one, true},
                                    {"embeddings", "of the input's sizes: what a decoder reads"}};
    all.insert(all.end(), kMasks.begin(), kMasks.end());
    return all;
  }
  Outputs forward(const TensorArguments& arguments) override {
    return this->outputs(arguments, [&](Extras& extras) {
      extras.embeddings = arguments.one("embeddings");
      return this->model_->forward(arguments.one("tensor"), extras);
    });
  }

 private:
  const char* help_;
};

class RunnableEncDec : public RunnableBase<LinformerEncDec> {
 public:
  using RunnableBase::RunnableBase;
  std::vector<TensorArgument> tensor_arguments() const override {
    std::vector<TensorArgument> all{{"x", kTokens, TensorArgument::Form::one, true},
                                    {"y", "tokens for the decoder; without, those of x"}};
    all.insert(all.end(), kMasks.begin(), kMasks.end());
    return all;
  }
  Outputs forward(const TensorArguments& arguments) override {
    return outputs(arguments,
                   [&](Extras& extras) { return model_->forward(arguments.one("x"), arguments.one("y"), extras); });
  }
};

class RunnableHead : public RunnableBase<LinearAttentionHead> {
 public:
  using RunnableBase::RunnableBase;
  std::vector<TensorArgument> tensor_arguments() const override {
    std::vector<TensorArgument> all{{"Q", "[B, n, dim]", TensorArgument::Form::one, true},
                                    {"K", "[B, input_size, dim]", TensorArgument::Form::one, true},
                                    {"V", "[B, input_size, channels]", TensorArgument::Form::one, true}};
    all.insert(all.end(), kMasks.begin(), kMasks.end());
    return all;
  }
  Outputs forward(const TensorArguments& arguments) override {
    return outputs(arguments, [&](Extras& extras) {
      return model_->forward(arguments.one("Q"), arguments.one("K"), arguments.one("V"), extras);
    });
  }
};

class RunnableEF : public RunnableBase<EFModule> {
 public:
  using RunnableBase::RunnableBase;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {
        {"input", "[..., input_size]; of a convolution [B, head_dim, input_size]", TensorArgument::Form::one, true}};
  }
  core::OptionRef flags() override { return core::reflect(none_); }
  Outputs forward(const TensorArguments& arguments) override {
    return {{"output", model_->forward(arguments.one("input"))}};
  }

 private:
  NoFlags none_;
};

std::unique_ptr<RunnableModel> make_attention(const MHAttentionConfig& config) {
  MHAttentionOptions options;
  options.input_size = config.input_size;
  options.dim = config.dim;
  options.channels = config.channels;
  options.dim_k = config.dim_k;
  options.nhead = config.nhead;
  for (const auto& [key, value] : {std::pair{"input_size", config.input_size},
                                   {"dim", config.dim},
                                   {"channels", config.channels},
                                   {"dim_k", config.dim_k},
                                   {"nhead", config.nhead},
                                   {"w_o_intermediate_dim", config.w_o_intermediate_dim.value_or(1)}}) {
    nn::require_at_least(key, value, 1);
  }
  nn::require_dropout("dropout", config.dropout);
  options.dropout = config.dropout;
  options.checkpoint_level = checkpoint_level_of(config.checkpoint_level);
  options.parameter_sharing = parameter_sharing_of(config.parameter_sharing);
  options.full_attention = config.full_attention;
  if (config.causal_mask.value_or(false)) options.causal_rows = config.dim_k;
  options.w_o_intermediate_dim = config.w_o_intermediate_dim;
  options.decoder_mode = config.decoder_mode;
  options.method = method_of(config.method);
  const EF e = config.E_proj ? EF(*config.E_proj) : EF();
  const EF f = config.F_proj ? EF(*config.F_proj) : e;
  return std::make_unique<RunnableLinformer<MHAttention>>(MHAttention(options, e, f), "[B, n, channels]");
}

std::unique_ptr<RunnableModel> make_head(const LinearAttentionHeadConfig& config) {
  nn::require_at_least("dim", config.dim, 1);
  nn::require_dropout("dropout", config.dropout);
  if (!config.E_proj && (!config.full_attention || config.causal_mask.value_or(false))) {
    throw core::ConfigError("E_proj is missing: the arguments of get_EF()");
  }
  LinearAttentionHeadOptions options{config.dim, config.dropout, config.full_attention, std::nullopt};
  if (config.causal_mask.value_or(false)) {
    options.causal_rows = config.full_attention ? config.E_proj->input_size : config.E_proj->dim;
  }
  const EF e = config.E_proj ? EF(*config.E_proj) : EF();
  const EF f = config.F_proj ? EF(*config.F_proj) : e;
  return std::make_unique<RunnableHead>(LinearAttentionHead(options, e, f));
}

std::unique_ptr<RunnableModel> make_feed_forward(const FeedForwardConfig& config) {
  for (const auto& [key, value] : {std::pair{"input_channels", config.input_channels},
                                   {"output_channels", config.output_channels},
                                   {"ff_dim", config.ff_dim}}) {
    nn::require_at_least(key, value, 1);
  }
  nn::require_dropout("dropout", config.dropout);
  const auto& name = config.activation;
  const bool is_known = name == "gelu" || name == "relu";
  FeedForward made(FeedForwardOptions{.input_channels = config.input_channels,
                                      .output_channels = config.output_channels,
                                      .hidden_channels = config.ff_dim,
                                      .dropout = config.dropout,
                                      .output_dropout = config.dropout,
                                      .activation = is_known ? std::optional(activation_of(*name)) : std::nullopt});
  return std::make_unique<RunnableX<FeedForward>>(made, "[..., input_channels]", "tensor");
}

std::unique_ptr<RunnableModel> make_linformer(const LinformerConfig& config, const std::string& version) {
  if (version == "0.1.0") {
    return std::make_unique<RunnableX<TruncatedLinformer>>(TruncatedLinformer(truncated(config)), kRows, "tensor");
  }
  return std::make_unique<RunnableLinformer<Linformer>>(Linformer(config), kRows);
}

std::unique_ptr<RunnableModel> make_padder(const PadderConfig& config, const std::string& version) {
  const auto* linformer = std::get_if<LinformerConfig>(&config.net);
  if (version == "0.1.0") {
    if (!linformer) throw core::ConfigError("net: Only the Linformer is supported");
    Padder<TruncatedLinformer> padder(TruncatedLinformer(truncated(*linformer)));
    return std::make_unique<RunnableX<Padder<TruncatedLinformer>>>(padder, kShortRows, "tensor");
  }
  if (linformer) {
    return std::make_unique<RunnableLinformer<Padder<Linformer>>>(Padder<Linformer>(Linformer(*linformer)), kShortRows);
  }
  const auto& lm = std::get<LinformerLMConfig>(config.net);
  return std::make_unique<RunnableLinformer<Padder<LinformerLM>>>(Padder<LinformerLM>(LinformerLM(lm)), kShortTokens);
}

}  // namespace

std::vector<ModelClass> classes() {
  const std::vector<std::string> both{"0.19.3", "0.1.0"}, late{"0.19.3"};
  return {
      model_class<LinformerConfig>("linformer_pytorch.Linformer",
                                   "attention to keys and values that are projected along the length", both,
                                   [](const LinformerConfig& config, const std::string& version, const io::Tensors*) {
                                     return make_linformer(config, version);
                                   }),
      model_class<LinformerLMConfig>("linformer_pytorch.LinformerLM", "tokens to their logits", late,
                                     [](const LinformerLMConfig& config, const std::string&, const io::Tensors*) {
                                       return std::make_unique<RunnableLinformer<LinformerLM>>(LinformerLM(config),
                                                                                               kTokens);
                                     }),
      model_class<LinformerEncDecConfig>(
          "linformer_pytorch.LinformerEncDec", "an encoder and a decoder of tokens", late,
          [](const LinformerEncDecConfig& config, const std::string&, const io::Tensors*) {
            return std::make_unique<RunnableEncDec>(LinformerEncDec(config));
          }),
      model_class<MHAttentionConfig>("linformer_pytorch.MHAttention", "the attention of a Linformer's layer", late,
                                     [](const MHAttentionConfig& config, const std::string&, const io::Tensors*) {
                                       return make_attention(config);
                                     }),
      model_class<LinearAttentionHeadConfig>("linformer_pytorch.LinearAttentionHead",
                                             "one head of that attention, of queries, keys and values", late,
                                             [](const LinearAttentionHeadConfig& config, const std::string&,
                                                const io::Tensors*) { return make_head(config); }),
      model_class<FeedForwardConfig>("linformer_pytorch.FeedForward", "the feed-forward part of a Linformer's layer",
                                     late,
                                     [](const FeedForwardConfig& config, const std::string&, const io::Tensors*) {
                                       return make_feed_forward(config);
                                     }),
      model_class<PositionalEmbeddingConfig>(
          "linformer_pytorch.PositionalEmbedding", "sines and cosines of the places of an input", late,
          [](const PositionalEmbeddingConfig& config, const std::string&, const io::Tensors*) {
            return std::make_unique<RunnableX<PositionalEmbedding>>(PositionalEmbedding(config.channels), "[B, n, …]",
                                                                    "tensor");
          }),
      model_class<EFConfig>("linformer_pytorch.get_EF", "a projection along the length; of no_params its product", late,
                            [](const EFConfig& config, const std::string&, const io::Tensors*) {
                              return std::make_unique<RunnableEF>(EFModule(config));
                            }),
      model_class<PadderConfig>("linformer_pytorch.Padder", "a model for inputs of any length up to its own", both,
                                [](const PadderConfig& config, const std::string& version, const io::Tensors*) {
                                  return make_padder(config, version);
                                }),
  };
}

}  // namespace perceive::models::linformer_pytorch
