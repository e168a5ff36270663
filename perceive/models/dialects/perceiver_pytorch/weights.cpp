// Names and initial draws.
#include "perceive/models/dialects/perceiver_pytorch/weights.h"

#include <algorithm>
#include <map>

namespace perceive::models::perceiver_pytorch {

const Prefixes kAttentionNames{{"query.", "fn.to_q."},    {"key_value.", "fn.to_kv."},
                               {"output.", "fn.to_out."}, {"query_norm.", "norm."},
                               {"norm.", "norm."},        {"context_norm.", "norm_context."}};
const Prefixes kMlpNames{{"hidden.", "fn.net.0."}, {"output.", "fn.net.2."}, {"norm.", "norm."}};

namespace {

std::string number(int64_t i) {
  return std::to_string(i);
}

bool has_words(Version version) {
  return version >= Version::v0_11_0;
}

void add_layer(NameList& names, const std::string& ours, const std::string& attention, const std::string& mlp) {
  names.add(ours + "attention.", attention, kAttentionNames);
  names.add(ours + "mlp.", mlp, kMlpNames);
}

// The norm, where there is one, stands at 0 and moves the two matrices behind it.
void add_residual(NameList& names, const std::string& ours, const std::string& theirs) {
  const int first = names.has(ours + "norm_weight") ? 1 : 0;
  const auto logits = theirs + "to_attn_logits.";
  names.add(ours, logits,
            {{"norm_weight", "0.weight"}, {"reduce.", number(first) + "."}, {"expand.", number(first + 1) + "."}});
}

void draw_layer(Draws& draws, const std::string& layer) {
  draw_attention(draws, layer + "attention.");
  draw_mlp(draws, layer + "mlp.");
}

}  // namespace

std::vector<Name> names_of(const models::PerceiverImpl& model, Version version) {
  const auto& options = model.options();
  const bool words = has_words(version), io = options.read_once;
  NameList names(model);
  names.add("latents", "latents");
  add_layer(names, "encoder.cross.", words ? "cross_attend_block.cross_attn." : "cross_attend_blocks.0.",
            words ? "cross_attend_block.cross_ff." : "cross_attend_blocks.1.");
  for (int64_t i = 0; i < options.stack.depth; ++i) {
    const auto ours = "blocks." + number(i) + ".", theirs = "layers." + number(i) + ".";
    add_layer(names, ours + "cross.", theirs + (words ? "cross_attn." : "0."), theirs + (words ? "cross_ff." : "1."));
    for (int64_t j = 0; j < options.self_per_cross; ++j) {
      const auto self = theirs + (words ? "self_attns." + number(j) + "." : io ? "" : "2." + number(j) + ".");
      add_layer(names, ours + "self." + number(j) + ".", self + "0.", self + "1.");
    }
    if (!words) add_residual(names, "blocks.mix." + number(i) + ".", theirs + (io ? "2." : "3."));
  }
  for (int64_t i = 0; words && i < options.stack.depth; ++i) {
    add_residual(names, "blocks.mix." + number(i) + ".", "attn_residuals." + number(i) + ".");
  }
  add_layer(names, "query.", "decoder_cross_attn.", "decoder_ff.");
  names.add("query.", "decoder_cross_attn.", kAttentionNames);  // where the queries' layer has no MLP
  names.add("norm.", "to_logits.1.");
  names.add("linear.", io ? "to_logits." : "to_logits.2.");
  return names.names();
}

std::vector<Name> names_of(const nn::BlockImpl& block) {
  NameList names(block);
  add_layer(names, "cross.", "cross_attn.", "cross_ff.");
  for (int64_t j = 0; names.has("self." + number(j) + "."); ++j) {
    const auto self = "self_attns." + number(j) + ".";
    add_layer(names, "self." + number(j) + ".", self + "0.", self + "1.");
  }
  return names.names();
}

void draw_attention(Draws& draws, const std::string& attention) {
  for (const char* part : {"query", "key_value", "output"}) draws.linear(attention + part);
}

void draw_mlp(Draws& draws, const std::string& mlp) {
  for (const char* part : {"hidden", "output"}) draws.linear(mlp + part);
}

void draw(models::PerceiverImpl& model, Version version) {
  const auto& options = model.options();
  const auto tying = options.stack.tying;
  const int64_t own = tying == nn::WeightTying::all           ? 1
                      : tying == nn::WeightTying::after_first ? 2
                                                              : options.stack.depth;
  Draws draws(model);
  draws.normal("latents");
  draw_layer(draws, "encoder.cross.");
  for (int64_t i = 0; i < std::min(own, options.stack.depth); ++i) {
    const auto block = "blocks." + number(i) + ".", mix = "blocks.mix." + number(i) + ".";
    if (has_words(version)) draw_layer(draws, block + "cross.");
    for (int64_t j = 0; j < options.self_per_cross; ++j) draw_layer(draws, block + "self." + number(j) + ".");
    if (!has_words(version)) draw_layer(draws, block + "cross.");
    draws.linear(mix + "reduce");
    draws.linear(mix + "expand");
  }
  draw_layer(draws, "query.");
  draw_attention(draws, "query.");
  draws.linear("linear");
}

void draw(nn::BlockImpl& block) {
  Draws draws(block);
  draw_layer(draws, "cross.");
  const NameList names(block);
  for (int64_t j = 0; names.has("self." + number(j) + "."); ++j) draw_layer(draws, "self." + number(j) + ".");
}

Version version_of(const io::Tensors& state_dict, Version otherwise) {
  bool words = false, numbers = false, norm = true;
  for (const auto& [name, tensor] : state_dict) {
    const auto has = [&, &name = name](const char* part) { return name.find(part) != std::string::npos; };
    words = words || has(".cross_ff.") || has(".self_attns.");
    numbers = numbers || has("layers.0.0.") || has("cross_attend_blocks.");
    if (name.ends_with("to_attn_logits.0.weight")) norm = tensor.dim() == 1;
  }
  if (words) return Version::v0_11_0;
  if (!numbers) return otherwise;
  return norm ? Version::v0_10_1 : Version::v0_10_0;
}

io::Tensors renamed(io::Tensors tensors, const std::vector<Name>& from, const std::vector<Name>& to) {
  std::map<std::string, std::string> name_of_ours, new_name;
  for (const auto& name : to) name_of_ours[name.ours] = name.theirs;
  for (const auto& name : from) new_name[name.theirs] = name_of_ours.at(name.ours);
  io::Tensors result;
  for (auto& [name, tensor] : tensors) {
    const auto found = new_name.find(name);
    result.emplace(found == new_name.end() ? name : found->second, std::move(tensor));
  }
  return result;
}

}  // namespace perceive::models::perceiver_pytorch
