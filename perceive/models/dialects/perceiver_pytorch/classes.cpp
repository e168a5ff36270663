// How forward() of each class is called by names.
#include "perceive/models/dialects/perceiver_pytorch/classes.h"

#include "perceive/models/dialects/as_native.h"
#include "perceive/models/dialects/perceiver_pytorch/experimental.h"
#include "perceive/models/dialects/perceiver_pytorch/perceiver_block.h"
#include "perceive/models/dialects/perceiver_pytorch/perceiver_io.h"
#include "perceive/models/dialects/perceiver_pytorch/variants.h"
#include "perceive/models/dialects/perceiver_pytorch/weights.h"
#include "perceive/models/dialects/runnable.h"

namespace perceive::models::perceiver_pytorch {
namespace {

using Form = TensorArgument::Form;

struct HiddensFlags {
  bool return_hiddens = false, no_block_outputs = false;
};
template <class Visitor>
void visit(HiddensFlags& o, Visitor&& field) {
  field("return_hiddens", o.return_hiddens, "return the latents after every layer as hiddens.0, … (since 0.10.0)");
  field("no_block_outputs", o.no_block_outputs, "block_outputs is an empty list, which no tensor can say");
}
struct PerceiverFlags : HiddensFlags {
  bool return_embeddings = false;
};
template <class Visitor>
void visit(PerceiverFlags& o, Visitor&& field) {
  field("return_embeddings", o.return_embeddings, "return the latents, whatever the head");
  visit(static_cast<HiddensFlags&>(o), field);
}
struct BlockFlags {
  bool inverted_attention = false;
};
template <class Visitor>
void visit(BlockFlags& o, Visitor&& field) {
  field("inverted_attention", o.inverted_attention, "softmax over the latents in cross-attention");
}

const TensorArgument kMask{"mask", "[B, …], true where an element of the data counts"};
const TensorArgument kBlockOutputs{"block_outputs",
                                   "[B, N, latent_dim], or a list: what attn_residual mixes before the layers' outputs",
                                   Form::either};

// Perceiver and PerceiverIO.
template <class Model, class Flags>
class RunnableTrunk : public Runnable<Model, Flags> {
 public:
  RunnableTrunk(Model model, Version version) : Runnable<Model, Flags>(std::move(model)), version_(version) {}
  std::vector<std::string> load(io::Tensors tensors, const std::string& origin) override {
    return this->model_->load_state_dict(std::move(tensors), origin);
  }

 protected:
  ForwardOptions options(const TensorArguments& arguments) {
    const auto& flags = this->flags_;
    auto history = arguments.list("block_outputs");
    TORCH_CHECK_VALUE(version_ >= Version::v0_10_0 || (history.empty() && !flags.return_hiddens),
                      "block_outputs and return_hiddens came with version 0.10.0");
    ForwardOptions options{.mask = arguments.mask("mask")};
    if (!history.empty() || flags.no_block_outputs) options.block_outputs = std::move(history);
    if (flags.return_hiddens) options.return_hiddens = &hiddens_;
    return options;
  }
  Outputs outputs(const at::Tensor& output) {
    Outputs all{{"output", output}};
    append(all, "hiddens", hiddens_);
    hiddens_.clear();
    return all;
  }

 private:
  Version version_;
  std::vector<at::Tensor> hiddens_;
};

class RunnablePerceiver : public RunnableTrunk<Perceiver, PerceiverFlags> {
 public:
  using RunnableTrunk::RunnableTrunk;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"data", "[B, sizes of the axes…, input_channels]", Form::one, true}, kMask, kBlockOutputs};
  }
  Outputs forward(const TensorArguments& arguments) override {
    auto given = options(arguments);
    given.return_embeddings = flags_.return_embeddings;
    return outputs(model_->forward(arguments.one("data"), given));
  }
};

class RunnablePerceiverIO : public RunnableTrunk<PerceiverIO, HiddensFlags> {
 public:
  using RunnableTrunk::RunnableTrunk;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"data", "[B, S, dim]", Form::one, true},
            kMask,
            {"queries", "[O, queries_dim] or [B, O, queries_dim]; without, the latents are the output"},
            kBlockOutputs};
  }
  Outputs forward(const TensorArguments& arguments) override {
    const auto given = options(arguments);
    return outputs(model_->forward(arguments.one("data"), arguments.one("queries"), given));
  }
  std::optional<Native> native() override {
    if (model_->inverts()) return std::nullopt;  // the native model is told at every call
    return as_native(*model_->native());
  }
};

class RunnablePerceiverLM : public Runnable<PerceiverLM> {
 public:
  using Runnable::Runnable;
  std::vector<std::string> load(io::Tensors tensors, const std::string& origin) override {
    return model_->load_state_dict(std::move(tensors), origin);
  }
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"x", "token ids [B, S], int64", Form::one, true}, kMask};
  }
  Outputs forward(const TensorArguments& arguments) override {
    return {{"output", model_->forward(arguments.one("x"), arguments.mask("mask"))}};
  }
};

class RunnableBlock : public Runnable<PerceiverBlock, BlockFlags> {
 public:
  using Runnable::Runnable;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"x", "[B, N, dim]", Form::one, true},
            {"context", "[B, S, context_dim]; needed unless has_cross_attn is false"},
            {"mask", "[B, S], true where an element of the context counts"}};
  }
  Outputs forward(const TensorArguments& arguments) override {
    const BlockInputs inputs{arguments.one("context"), arguments.mask("mask"), flags_.inverted_attention};
    return {{"output", model_->forward(arguments.one("x"), inputs)}};
  }
};

// gated, mixed_latents and experimental.
template <class Model>
class RunnableVariant : public Runnable<Model> {
 public:
  using Runnable<Model>::Runnable;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"data", "[B, sizes of the axes…, input_channels]", Form::one, true}, kMask};
  }
  Outputs forward(const TensorArguments& arguments) override {
    return {{"output", this->model_->forward(arguments.one("data"), arguments.mask("mask"))}};
  }
};

const std::vector<std::string> kAllVersions{"0.11.0", "0.10.1", "0.10.0", "0.9.0", "0.8.8"};

template <class Config, class Model>
ModelClass variant_class(const char* name, const char* help) {
  return model_class<Config>(name, help, kAllVersions,
                             [](const Config& config, const std::string&, const io::Tensors*) {
                               return std::make_unique<RunnableVariant<Model>>(Model(config));
                             });
}

// make(options, version): a model whose names are those of the weights, where there are any.
template <class Config, class Make>
ModelClass versioned_class(const char* name, const char* help, Make make) {
  return model_class<Config>(name, help, kAllVersions,
                             [make](const Config& config, const std::string& asked,
                                    const io::Tensors* weights) -> std::unique_ptr<RunnableModel> {
                               const auto version = version_of(asked);
                               require_known(config, version);
                               return make(config, weights ? version_of(*weights, version) : version, version);
                             });
}

}  // namespace

std::vector<ModelClass> classes() {
  return {
      versioned_class<PerceiverConfig>("perceiver_pytorch.Perceiver", "layers of cross-attention and self-attentions",
                                       [](const PerceiverConfig& config, Version names, Version asked) {
                                         return std::make_unique<RunnablePerceiver>(Perceiver(config, names), asked);
                                       }),
      model_class<BlockConfig>("perceiver_pytorch.PerceiverBlock",
                               "cross-attention and self-attentions for models of one's own", {"0.11.0"},
                               [](const BlockConfig& config, const std::string&, const io::Tensors*) {
                                 return std::make_unique<RunnableBlock>(PerceiverBlock(config));
                               }),
      versioned_class<PerceiverIOConfig>(
          "perceiver_pytorch.PerceiverIO", "latents that read the data once, and queries that read the latents",
          [](const PerceiverIOConfig& config, Version names, Version asked) {
            return std::make_unique<RunnablePerceiverIO>(PerceiverIO(config, names), asked);
          }),
      versioned_class<PerceiverLMConfig>("perceiver_pytorch.PerceiverLM", "a PerceiverIO from tokens to their logits",
                                         [](const PerceiverLMConfig& config, Version names, Version) {
                                           return std::make_unique<RunnablePerceiverLM>(PerceiverLM(config, names));
                                         }),
      variant_class<GatedConfig, GatedPerceiver>("perceiver_pytorch.gated.Perceiver",
                                                 "GRU cells in place of the attentions' residuals"),
      variant_class<MixedLatentsConfig, MixedLatentsPerceiver>("perceiver_pytorch.mixed_latents.Perceiver",
                                                               "linear layers over the latents, not self-attention"),
      variant_class<ExperimentalConfig, ExperimentalPerceiver>("perceiver_pytorch.experimental.Perceiver",
                                                               "the data read the latents too"),
  };
}

}  // namespace perceive::models::perceiver_pytorch
