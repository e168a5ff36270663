// The models that img_clf trains: their options, and what is linked, made and asked of any of them.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <variant>

#include "perceive/data/image_module.h"
#include "perceive/models/dialects/flash_perceiver/image_classifier.h"
#include "perceive/models/dialects/perceiver_io/image_classifier.h"

namespace perceive::cli {

// With the defaults of perceiver-io's script, not of its configuration classes.
struct ImageClassifierOptions : models::perceiver_io::ImageClassifierConfig {
  static constexpr const char* kName = "ImageClassifier";
  static constexpr std::array kAliases{"LitImageClassifier"};
  ImageClassifierOptions();
};
struct NativeOptions : models::PerceiverIOOptions {
  static constexpr const char* kName = "PerceiverIO";
};
struct FlashPerceiverOptions : models::flash_perceiver::ImageClassifierConfig {
  static constexpr const char* kName = "FlashPerceiver";
};
using ImageModelOptions = std::variant<ImageClassifierOptions, NativeOptions, FlashPerceiverOptions>;

// Fills in what the data decides. Throws core::ConfigError where someone said otherwise.
void link_model(ImageModelOptions& options, const data::ImageDataModule& data);

struct ImageModel {
  std::shared_ptr<torch::nn::Module> module;                               // its parameters' names are a checkpoint's
  std::function<at::Tensor(const at::Tensor&)> forward;                    // images to logits [B, classes]
  std::function<models::AttentionMaps(const at::Tensor&)> attention_maps;  // of images; empty: the model gives none
};
// Throws core::ConfigError.
ImageModel make_model(const ImageModelOptions& options);

}  // namespace perceive::cli
