// How forward() of each native class is called by names.
#include "perceive/models/native_classes.h"

#include "perceive/models/dialects/runnable.h"
#include "perceive/models/flash_attention.h"
#include "perceive/models/named_perceiver.h"
#include "perceive/models/perceiver_io.h"

namespace perceive::models {
namespace {

struct PerceiverFlags {
  bool return_embeddings = false, return_attn_weights = false, return_hiddens = false;
};
template <class Visitor>
void visit(PerceiverFlags& o, Visitor&& field) {
  field("return_embeddings", o.return_embeddings, "return the latents, whatever the head");
  field("return_attn_weights", o.return_attn_weights, "return the weights of every attention as attn_weights.0, …");
  field("return_hiddens", o.return_hiddens, "return the latents after each block as hiddens.0, …");
}

class RunnablePerceiver : public Runnable<NamedPerceiver, PerceiverFlags> {
 public:
  using Runnable::Runnable;

  std::vector<TensorArgument> tensor_arguments() const override {
    std::vector<TensorArgument> all;
    for (const auto& name : model_->input_names()) {
      all.push_back({name, "what the adapter of that name reads", TensorArgument::Form::one, true});
      all.push_back({name + "_mask", "bool, true where an element counts"});
    }
    all.push_back({"latents", "[N, latent_channels] or [B, N, latent_channels], in place of the learned ones"});
    all.push_back({"queries", "[O, query_channels] or [B, O, query_channels]"});
    all.push_back({"query_mask", "[B, O], true where a query counts; the others give zeros"});
    return all;
  }

  Outputs forward(const TensorArguments& arguments) override {
    std::map<std::string, NamedInputTensors> inputs;
    for (const auto& name : model_->input_names()) inputs[name] = {arguments.one(name), arguments.mask(name + "_mask")};
    std::vector<at::Tensor> weights, hiddens;
    const nn::Trace trace{.weights = flags_.return_attn_weights ? &weights : nullptr,
                          .hiddens = flags_.return_hiddens ? &hiddens : nullptr};
    const auto latents = model_->encode(inputs, arguments.one("latents"), trace);
    const auto queries = arguments.one("queries");
    const auto& options = model_->perceiver()->options();
    const bool head = !flags_.return_embeddings;
    Outputs outputs{{"output", head && queries.defined()
                                   ? model_->perceiver()->decode(latents, queries, arguments.mask("query_mask"))
                               : head && options.pool ? model_->perceiver()->pool(latents)
                                                      : latents}};
    append(outputs, "attn_weights", weights);
    append(outputs, "hiddens", hiddens);
    return outputs;
  }
};

class RunnablePerceiverIO : public Runnable<PerceiverIO> {
 public:
  using Runnable::Runnable;
  std::vector<TensorArgument> tensor_arguments() const override {
    return {{"x", "images [B, height, width, channels], or token ids [B, M]", TensorArgument::Form::one, true},
            {"mask", "[B, height, width] or [B, M], true where a pixel or token counts"}};
  }
  Outputs forward(const TensorArguments& arguments) override {
    return {{"output", model_->forward(arguments.one("x"), arguments.mask("mask"))}};
  }
};

}  // namespace

std::vector<ModelClass> native_classes() {
  const std::vector<std::string> version{"1"};
  return {
      model_class<NamedPerceiverOptions>(
          "perceive.Perceiver", "one or several inputs read again and again; pooled, or read by queries", version,
          [](const NamedPerceiverOptions& options, const std::string&, const io::Tensors*) {
            return std::make_unique<RunnablePerceiver>(NamedPerceiver(options));
          }),
      model_class<PerceiverIOOptions>(
          "perceive.PerceiverIO", "images or tokens to scores of classes or tokens, by learned output queries", version,
          [](const PerceiverIOOptions& options, const std::string&, const io::Tensors*) {
            return std::make_unique<RunnablePerceiverIO>(PerceiverIO(options));
          }),
      model_class<nn::FlashAttentionOptions>(
          "perceive.FlashAttention", "one multi-head attention in tiles, of x over itself or over a context", version,
          [](const nn::FlashAttentionOptions& options, const std::string&, const io::Tensors*) {
            return std::make_unique<RunnableFlashAttention>(std::make_shared<nn::FlashAttentionImpl>(options));
          })};
}

}  // namespace perceive::models
