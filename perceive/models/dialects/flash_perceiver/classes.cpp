// How forward() of each class is called by names.
#include "perceive/models/dialects/flash_perceiver/classes.h"

#include "perceive/models/dialects/as_native.h"
#include "perceive/models/dialects/flash_perceiver/image_classifier.h"
#include "perceive/models/dialects/flash_perceiver/perceiver.h"
#include "perceive/models/dialects/runnable.h"

namespace perceive::models::flash_perceiver {
namespace {

struct PerceiverFlags {
  bool return_embeddings = false, return_attn_weights = false;
};
template <class Visitor>
void visit(PerceiverFlags& o, Visitor&& field) {
  field("return_embeddings", o.return_embeddings, "return the latents, whatever the head");
  field("return_attn_weights", o.return_attn_weights, "return the weights of every attention as attn_weights.0, …");
}
struct PerceiverIOFlags {
  bool return_attn_weights = false;
};
template <class Visitor>
void visit(PerceiverIOFlags& o, Visitor&& field) {
  field("return_attn_weights", o.return_attn_weights, "return the weights of every attention as attn_weights.0, …");
}
Data data_of(const TensorArguments& arguments) {
  if (arguments.is_list("data")) {
    TORCH_CHECK_VALUE(arguments.is_list("mask") || !arguments.one("mask").defined(),
                      "If a list of data tensors is provided, mask must have the same format");
    return {arguments.list("data"), arguments.masks("mask")};
  }
  TORCH_CHECK_VALUE(!arguments.is_list("mask"), "mask is a list where data is one tensor; give one mask");
  return {arguments.one("data"), arguments.mask("mask")};
}

std::vector<TensorArgument> data_arguments() {
  return {{"data", "[B, M, input_dim], or one such tensor for each block", TensorArgument::Form::either, true},
          {"mask", "[B, M], true where a token counts; one for each of several inputs", TensorArgument::Form::either},
          {"latents", "[N, latent_dim] or [B, N, latent_dim], in place of the learned ones"}};
}

template <class Model, class Flags>
class RunnableBase : public Runnable<Model, Flags> {
 public:
  using Runnable<Model, Flags>::Runnable;
  std::vector<std::string> load(io::Tensors tensors, const std::string& origin) override {
    return this->model_->load_state_dict(std::move(tensors), origin);
  }

  std::optional<RunnableModel::Native> native() override {
    const auto& model = *this->model_->native();
    // One input for all blocks stands behind the first one's zero tokens, there; natively each block has its own.
    return as_native(model, !model.options().input_channels.is_list);
  }

 protected:
  ForwardOptions options(const TensorArguments& arguments) {
    return {.latents = arguments.one("latents"),
            .return_attn_weights = this->flags_.return_attn_weights ? &weights_ : nullptr};
  }
  Outputs outputs(const at::Tensor& output) {
    Outputs all{{"output", output}};
    append(all, "attn_weights", weights_);
    weights_.clear();
    return all;
  }

 private:
  std::vector<at::Tensor> weights_;
};

class RunnablePerceiver : public RunnableBase<Perceiver, PerceiverFlags> {
 public:
  using RunnableBase::RunnableBase;
  std::vector<TensorArgument> tensor_arguments() const override { return data_arguments(); }
  Outputs forward(const TensorArguments& arguments) override {
    auto given = options(arguments);
    given.return_embeddings = flags_.return_embeddings;
    return outputs(model_->forward(data_of(arguments), given));
  }
};

class RunnablePerceiverIO : public RunnableBase<PerceiverIO, PerceiverIOFlags> {
 public:
  using RunnableBase::RunnableBase;
  std::vector<TensorArgument> tensor_arguments() const override {
    auto all = data_arguments();
    all.push_back({"queries", "[O, query_dim] or [B, O, query_dim]; without, the latents are the output"});
    all.push_back({"query_mask", "not supported, as in the original; perceive.Perceiver takes one"});
    return all;
  }
  Outputs forward(const TensorArguments& arguments) override {
    const auto queries = arguments.one("queries");
    TORCH_CHECK_VALUE(!queries.defined() || !arguments.one("query_mask").defined(),
                      "query_mask is not supported yet: leave it out");
    return outputs(model_->forward(data_of(arguments), queries, options(arguments)));
  }
};

template <class Config>
ModelClass encoding_class(std::string help) {
  return model_class<Config>(std::string("flash_perceiver.") + Config::kName, std::move(help), {"0.2.0"},
                             [](const Config& config, const std::string&, const io::Tensors*) {
                               return std::make_unique<RunnableX<std::shared_ptr<Encoding>>>(make_encoding(config),
                                                                                             "positions [..., in_dim]");
                             });
}

int64_t hidden_in(const io::Tensors* weights) {
  return weights ? gated_hidden_of(*weights) : 0;
}

}  // namespace

std::vector<ModelClass> classes() {
  return {
      model_class<FastPerceiverConfig>(
          "fast_perceiver.Perceiver", "flash_perceiver.Perceiver by its older name and arguments",
          {"0.1.7", "0.1.5", "0.1.2", "0.1.0"},
          [](const FastPerceiverConfig& config, const std::string&, const io::Tensors* weights) {
            return std::make_unique<RunnablePerceiver>(Perceiver(config.renamed(), hidden_in(weights)));
          }),
      model_class<PerceiverConfig>("flash_perceiver.Perceiver", "blocks of cross-attention and self-attentions",
                                   {"0.2.0"},
                                   [](const PerceiverConfig& config, const std::string&, const io::Tensors* weights) {
                                     return std::make_unique<RunnablePerceiver>(Perceiver(config, hidden_in(weights)));
                                   }),
      model_class<PerceiverBaseConfig>(
          "flash_perceiver.PerceiverBase", "the same without a head", {"0.2.0"},
          [](const PerceiverBaseConfig& base, const std::string&, const io::Tensors* weights) {
            PerceiverConfig config;
            static_cast<PerceiverBaseConfig&>(config) = base;
            return std::make_unique<RunnablePerceiver>(Perceiver(config, hidden_in(weights)));
          }),
      model_class<PerceiverIOConfig>(
          "flash_perceiver.PerceiverIO", "latents that read the input once, and queries that read the latents",
          {"0.2.0"},
          [](const PerceiverIOConfig& config, const std::string&, const io::Tensors* weights) {
            return std::make_unique<RunnablePerceiverIO>(PerceiverIO(config, hidden_in(weights)));
          }),
      model_class<ImageAdapterConfig>("flash_perceiver.ImageAdapter", "a picture as a row of tokens", {"0.2.0"},
                                      [](const ImageAdapterConfig& config, const std::string&, const io::Tensors*) {
                                        return std::make_unique<RunnableX<ImageAdapter>>(
                                            ImageAdapter(config), "pictures [B, C, H, W] (or channels last)");
                                      }),
      model_class<ImageClassifierConfig>(
          "perceive.FlashPerceiver", "flash_perceiver.ImageAdapter and Perceiver: pictures to class scores", {"1"},
          [](const ImageClassifierConfig& config, const std::string&, const io::Tensors* weights) {
            return std::make_unique<RunnableX<ImageClassifier>>(ImageClassifier(config, hidden_in(weights)),
                                                                "pictures [B, C, H, W] (or channels last)");
          }),
      encoding_class<IdentityConfig>("positions as they are"),
      encoding_class<FourierConfig>("sin(2 pi x P) of a given matrix P"),
      encoding_class<GaussianConfig>("sin(2 pi x P) of a random matrix P"),
      encoding_class<NeRFConfig>("sines and cosines of doubling frequencies"),
  };
}

}  // namespace perceive::models::flash_perceiver
