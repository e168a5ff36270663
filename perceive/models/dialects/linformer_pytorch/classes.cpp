// How forward() of each class is called by names.
#include "perceive/models/dialects/linformer_pytorch/classes.h"

#include <variant>

#include "perceive/models/dialects/linformer_pytorch/padder.h"
#include "perceive/models/dialects/linformer_pytorch/truncated_linformer.h"
#include "perceive/models/dialects/runnable.h"

namespace perceive::models::linformer_pytorch {
namespace {

struct PadderConfig {
  std::variant<LinformerConfig> net;
};
template <class Visitor>
void visit(PadderConfig& o, Visitor&& field) {
  field("net", o.net, "the model to pad inputs for");
}

std::unique_ptr<RunnableModel> make_truncated(const LinformerConfig& config) {
  return std::make_unique<RunnableX<TruncatedLinformer>>(TruncatedLinformer(truncated(config)),
                                                         "[B, input_size, channels]");
}

std::unique_ptr<RunnableModel> make_padder(const PadderConfig& config) {
  Padder<TruncatedLinformer> padder(TruncatedLinformer(truncated(std::get<LinformerConfig>(config.net))));
  return std::make_unique<RunnableX<Padder<TruncatedLinformer>>>(padder, "[B, up to input_size, channels]");
}

}  // namespace

std::vector<ModelClass> classes() {
  return {
      model_class<LinformerConfig>(
          "linformer_pytorch.Linformer", "attention to keys that are projected along the length", {"0.1.0"},
          [](const LinformerConfig& config, const std::string&, const io::Tensors*) { return make_truncated(config); }),
      model_class<PadderConfig>(
          "linformer_pytorch.Padder", "a model for inputs of any length up to its own", {"0.1.0"},
          [](const PadderConfig& config, const std::string&, const io::Tensors*) { return make_padder(config); }),
  };
}

}  // namespace perceive::models::linformer_pytorch
