// What an image classifier says of test images, and where it looks, as pictures.
#include "cli/tasks/img_clf_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "cli/pictures/attention.h"
#include "cli/pictures/samples.h"
#include "perceive/train/evaluation.h"

namespace perceive::cli {
namespace {

constexpr int64_t kSamples = 24, kAttentionRows = 6, kLatents = 5;
constexpr int64_t kLookedThrough = 200;  // test images among which rows of different classes are found

data::Batch first(const data::Dataset& dataset, int64_t count) {
  std::vector<int64_t> indices(static_cast<size_t>(std::min(count, dataset.size())));
  std::iota(indices.begin(), indices.end(), 0);
  return dataset.batch(indices, 0);
}

data::Batch in_model_precision(data::Batch batch, train::Learner& learner) {
  auto& images = batch.at("image");
  images = images.to(learner.module().parameters().front().scalar_type());
  return batch;
}

// image [H, W, C] or [C, H, W], C being 1 or 3
RgbImage picture_of(at::Tensor image, const ImageNames& names) {
  if (!names.channels_last) image = image.permute({1, 2, 0});
  std::vector<float> mean, deviation;
  for (const auto& scale : names.normalization.scales()) {
    mean.push_back(scale.mean);
    deviation.push_back(scale.deviation);
  }
  image = image * at::tensor(deviation, image.options()) + at::tensor(mean, image.options());
  const auto height = image.size(0), width = image.size(1);
  const auto bytes = (image * 255).round().clamp(0, 255).to(at::kByte).expand({height, width, 3}).contiguous();
  const auto* data = bytes.const_data_ptr<uint8_t>();
  return {static_cast<int>(width), static_cast<int>(height), {data, data + bytes.numel()}};
}

std::vector<Sample> samples_of(train::Learner& learner, const data::Batch& batch, const ImageNames& names) {
  const at::NoGradGuard no_grad;
  const auto [most, label] = learner.predict(batch).at("probabilities").max(-1);
  std::vector<Sample> samples;
  for (int64_t i = 0; i < label.size(0); ++i) {
    samples.push_back(
        {picture_of(batch.at("image")[i], names), names.classes.at(static_cast<size_t>(label[i].item<int64_t>())),
         names.classes.at(static_cast<size_t>(batch.at("label")[i].item<int64_t>())), most[i].item<double>()});
  }
  return samples;
}

// The weights [M] of the pixels of an image.
HeatMap map_of(const at::Tensor& weights, const RgbImage& image) {
  const auto values = weights.to(at::kFloat).contiguous();
  const auto* data = values.const_data_ptr<float>();
  return {image.width, image.height, {data, data + values.numel()}};
}

// One image of each class, in the order they come, then more.
std::vector<int64_t> various(const at::Tensor& labels, int64_t count) {
  std::set<int64_t> seen;
  std::vector<int64_t> chosen, rest;
  for (int64_t i = 0; i < labels.size(0); ++i) {
    (seen.insert(labels[i].item<int64_t>()).second ? chosen : rest).push_back(i);
  }
  chosen.insert(chosen.end(), rest.begin(), rest.end());
  chosen.resize(std::min(chosen.size(), static_cast<size_t>(count)));
  return chosen;
}

}  // namespace

ImageClassifierPictures::ImageClassifierPictures(train::Learner& learner, ImageNames names)
    : learner_(learner), names_(std::move(names)) {}

void ImageClassifierPictures::draw_samples(const data::Dataset& test, const std::filesystem::path& png) {
  const train::EvaluationMode evaluation(learner_.module());
  const auto samples = samples_of(learner_, in_model_precision(first(test, kSamples), learner_), names_);
  const auto right =
      std::count_if(samples.begin(), samples.end(), [](const Sample& s) { return s.predicted == s.truth; });
  cli::draw_samples(fmt::format("The first {} test images: {} right, {} wrong", samples.size(), right,
                                static_cast<int64_t>(samples.size()) - right),
                    samples, png);
}

void ImageClassifierPictures::draw_attention(const std::function<models::AttentionMaps(const at::Tensor&)>& maps_of,
                                             const data::Dataset& test, const std::filesystem::path& png) {
  const train::EvaluationMode evaluation(learner_.module());
  const auto candidates = first(test, kLookedThrough);
  const auto batch = in_model_precision(test.batch(various(candidates.at("label"), kAttentionRows), 0), learner_);
  const auto maps = maps_of(batch.at("image"));
  const auto latents = maps.latents_to_input.mean(1);                        // [B, N, M]
  const auto read = maps.queries_to_latents.mean(at::IntArrayRef{0, 1, 2});  // [N]
  const auto [share, chosen] = read.topk(std::min(kLatents, read.size(0)));

  std::vector<std::string> columns{"output query"};
  for (int64_t i = 0; i < chosen.size(0); ++i) {
    columns.push_back(fmt::format("latent {} ({:.0f} %)", chosen[i].item<int64_t>(), 100 * share[i].item<double>()));
  }
  std::vector<AttentionRow> rows;
  const auto samples = samples_of(learner_, batch, names_);
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto& sample = samples[i];
    const auto b = static_cast<int64_t>(i);
    const bool right = sample.predicted == sample.truth;
    AttentionRow row{sample.image,
                     fmt::format("{} {}\n{:.0f} %{}", right ? "✓" : "✗", sample.predicted, 100 * sample.probability,
                                 right ? "" : fmt::format("\n({})", sample.truth)),
                     {map_of(maps.queries_to_input[b], sample.image)}};
    for (int64_t j = 0; j < chosen.size(0); ++j) {
      row.maps.push_back(map_of(latents[b][chosen[j].item<int64_t>()], sample.image));
    }
    rows.push_back(std::move(row));
  }
  cli::draw_attention("Where the output query looks, and the latents it reads most (its share of each)", columns, rows,
                      png);
}

}  // namespace perceive::cli
