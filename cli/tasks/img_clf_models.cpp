// The models that img_clf trains.
#include "cli/tasks/img_clf_models.h"

#include <fmt/format.h>

#include "cli/tasks/link.h"
#include "perceive/core/error.h"

namespace perceive::cli {
namespace {

void link(ImageClassifierOptions& model, const data::ImageDataModule& data) {
  const ImageClassifierOptions standard;
  link_option("model.encoder.image_shape", model.encoder.image_shape, standard.encoder.image_shape, data.image_shape());
  link_option("model.decoder.num_classes", model.decoder.num_classes, standard.decoder.num_classes, data.num_classes());
}

void link(NativeOptions& model, const data::ImageDataModule& data) {
  auto* const image = std::get_if<nn::ImageInputOptions>(&model.input);
  auto* const output = std::get_if<nn::ClassificationOutputOptions>(&model.output);
  if (!image || !output) {
    throw core::ConfigError(
        "model: this task reads images and gives classes; leave out model.input and model.output, "
        "or choose the classes image and classification");
  }
  link_option("model.input.shape", image->shape, nn::ImageInputOptions{}.shape, data.image_shape());
  link_option("model.output.num_classes", output->num_classes, nn::ClassificationOutputOptions{}.num_classes,
              data.num_classes());
}

// Told before the data is read rather than by the first batch.
void require_whole_patches(const core::OneOrMany<int64_t>& patch, int64_t height, int64_t width) {
  if (patch.is_list && patch.many.size() != 2) return;  // the model refuses this
  const int64_t rows = patch.is_list ? patch.many[0] : patch.one, columns = patch.is_list ? patch.many[1] : patch.one;
  if (rows < 1 || columns < 1 || (height % rows == 0 && width % columns == 0)) return;
  throw core::ConfigError(fmt::format("model.adapter.patch_size: expected what divides images of {} x {}, got {} x {}",
                                      height, width, rows, columns));
}

void link(FlashPerceiverOptions& model, const data::ImageDataModule& data) {
  const FlashPerceiverOptions standard;
  const auto shape = data.image_shape();
  const size_t channels = data.channels_last() ? 2 : 0, height = data.channels_last() ? 0 : 1;
  link_option("model.adapter.num_channels", model.adapter.num_channels, standard.adapter.num_channels, shape[channels]);
  link_option("model.adapter.channel_first", model.adapter.channel_first, standard.adapter.channel_first,
              !data.channels_last());
  if (model.adapter.patch_size) require_whole_patches(*model.adapter.patch_size, shape[height], shape[height + 1]);
  int64_t classes = model.output_dim.value_or(data.num_classes());
  link_option("model.output_dim", classes, data.num_classes(), data.num_classes());
  model.output_dim = classes;
  try {
    static_cast<models::flash_perceiver::ImageClassifierConfig&>(model) =
        models::flash_perceiver::with_input_dim(model);
  } catch (const core::ConfigError& error) {
    throw core::ConfigError(fmt::format("model.{}", error.what()));
  }
}

void require_one_query(const char* key, int64_t queries) {
  if (queries != 1) {
    throw core::ConfigError(fmt::format("{}: expected 1, since an image has one label; got {}", key, queries));
  }
}

// `module` has the parameters of `native`, which computes.
ImageModel model_of(std::shared_ptr<torch::nn::Module> module, models::PerceiverIO native) {
  return {std::move(module), [native](const at::Tensor& images) mutable { return native->forward(images); },
          [native](const at::Tensor& images) mutable { return native->attention_maps(images); }};
}

ImageModel make(const ImageClassifierOptions& options) {
  require_one_query("decoder.num_output_queries", options.decoder.num_output_queries);
  models::perceiver_io::ImageClassifier model(options);
  return model_of(model.ptr(), model->native());
}
ImageModel make(const NativeOptions& options) {
  require_one_query("output.num_queries", std::get<nn::ClassificationOutputOptions>(options.output).num_queries);
  models::PerceiverIO model(options);
  return model_of(model.ptr(), model);
}
ImageModel make(const FlashPerceiverOptions& options) {
  models::flash_perceiver::ImageClassifier model(options);
  return {model.ptr(), [model](const at::Tensor& images) mutable { return model->forward(images); }, {}};
}

}  // namespace

ImageClassifierOptions::ImageClassifierOptions() {
  num_latents = 32;
  num_latent_channels = 128;
  encoder.num_frequency_bands = 32;
  encoder.num_cross_attention_heads = 1;
  encoder.num_self_attention_heads = 4;
  encoder.num_self_attention_layers_per_block = 3;
  encoder.num_self_attention_blocks = 3;
  encoder.first_self_attention_block_shared = false;
  decoder.num_output_query_channels = 128;
  decoder.num_cross_attention_heads = 1;
}

void link_model(ImageModelOptions& options, const data::ImageDataModule& data) {
  std::visit([&](auto& model) { link(model, data); }, options);
}

ImageModel make_model(const ImageModelOptions& options) {
  return std::visit([](const auto& model) { return make(model); }, options);
}

}  // namespace perceive::cli
