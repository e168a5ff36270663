// The options of `perceive bench models` and `perceive bench model`, and the model and inputs they come to.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace perceive::cli::bench {

// Named models; what each one is stands in the help of --preset.
enum class Preset {
  native,
  perceiver_pytorch,
  flash_perceiver,
  read_once,
  mnist,
  linformer,
  linformer_attention,
  flash_attention_two
};
constexpr auto enum_names(Preset) {
  return std::array<std::pair<Preset, const char*>, 8>{{{Preset::native, "native"},
                                                        {Preset::perceiver_pytorch, "perceiver_pytorch"},
                                                        {Preset::flash_perceiver, "flash_perceiver"},
                                                        {Preset::read_once, "read_once"},
                                                        {Preset::mnist, "mnist"},
                                                        {Preset::linformer, "linformer"},
                                                        {Preset::linformer_attention, "linformer_attention"},
                                                        {Preset::flash_attention_two, "flash_attention_two"}}};
}

enum class Pass { forward, forward_backward, training_step };
constexpr auto enum_names(Pass) {
  return std::array<std::pair<Pass, const char*>, 3>{{{Pass::forward, "forward"},
                                                      {Pass::forward_backward, "forward_backward"},
                                                      {Pass::training_step, "training_step"}}};
}
const char* name_of(Pass pass);

// What both commands share.
struct ModelWork {
  Preset preset = Preset::native;
  std::optional<int64_t> batch, depth, latents;
  std::string args = "{}";
  bool input_gradients = false;
  std::optional<std::string> model, weights, inputs;
  std::optional<int64_t> threads;
};
template <class Visitor>
void visit(ModelWork& o, Visitor&& field) {
  field("preset", o.preset,
        "native, perceiver_pytorch, flash_perceiver: 8 layers of 256 latents over tokens of 128 channels, as in "
        "flash-perceiver's benchmark; read_once: the same, but tokens are read once; mnist: perceiver-io 0.2.1's "
        "classifier; linformer: linformer-pytorch 0.19.3, 4 layers; linformer_attention: one attention of it; "
        "flash_attention_two: zeta's");
  field("batch", o.batch, "items B; null: 64 for mnist, otherwise 1");
  field("depth", o.depth, "layers, where the preset has such an argument; null: as the preset has it");
  field("latents", o.latents, "the same of its latents");
  field("args", o.args, "JSON object: further arguments of the preset's class, by its own names");
  field("input_gradients", o.input_gradients, "the inputs want gradients too, as behind an embedding that is trained");
  field("model", o.model, "in place of a preset: JSON file with a class and its arguments, as `perceive run` takes it");
  field("weights", o.weights, "of that model; null: those it starts with");
  field("inputs", o.inputs, "of that model: safetensors file of forward()'s arguments");
  field("threads", o.threads, "null: as many as libtorch takes");
}

struct ModelsOptions : ModelWork {
  std::vector<int64_t> lengths;
  std::vector<Pass> passes{Pass::forward, Pass::forward_backward};
  int64_t repeats = 7;
  std::optional<std::string> csv, json;
};
template <class Visitor>
void visit(ModelsOptions& o, Visitor&& field) {
  visit(static_cast<ModelWork&>(o), field);
  field("lengths", o.lengths, "tokens of an item; empty: the preset's own");
  field("passes", o.passes,
        "forward: without gradients; forward_backward: and gradients of all weights, of the output's mean; "
        "training_step: the same and a step of AdamW");
  field("repeats", o.repeats, "timed passes, after the first one");
  field("csv", o.csv, "a file for the results");
  field("json", o.json, "a file for the results");
}

// One measurement.
struct ModelOptions : ModelWork {
  std::optional<int64_t> length;
  Pass pass = Pass::forward;
  std::optional<std::string> save;
};
template <class Visitor>
void visit(ModelOptions& o, Visitor&& field) {
  visit(static_cast<ModelWork&>(o), field);
  field("length", o.length, "tokens of an item; null: the preset's own");
  field("pass", o.pass, "forward, forward_backward or training_step");
  field("save", o.save,
        "a folder for model.json, weights, inputs and outputs (.safetensors), for another program to compute the same");
}

// The words that read back as these options.
std::vector<std::string> words_of(const ModelOptions& options);

struct Workload {
  nlohmann::json description;  // see models/catalog.h
  std::string origin;          // what messages call it
  std::string input;           // the only input's name
  std::vector<int64_t> sizes;  // of that input, the batch first; empty: the inputs come from a file
  std::optional<int64_t> length, batch, depth, latents;  // as the preset has them, where it has them
};
// Throws core::ConfigError for what does not go together, is out of range, or exceeds the memory of this machine;
// core::FileError for a model's file.
Workload workload_of(const ModelOptions& options);

}  // namespace perceive::cli::bench
