// A data set, a model and options so small that a run of the program is dominated by its start.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace perceive::tests {

// Four IDX files in `folder`: images of 28 x 28 pixels whose brightness tells their label.
inline void write_tiny_mnist(const std::filesystem::path& folder, int train_images = 64, int test_images = 10) {
  const auto number = [](uint32_t n) {
    return std::string{static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
                       static_cast<char>(n)};
  };
  for (const auto& [name, count] : {std::pair{"train", train_images}, std::pair{"t10k", test_images}}) {
    std::string images = number(0x803) + number(static_cast<uint32_t>(count)) + number(28) + number(28);
    std::string labels = number(0x801) + number(static_cast<uint32_t>(count));
    for (int i = 0; i < count; ++i) {
      const int label = (7 * i + 3) % 10;
      for (int pixel = 0; pixel < 28 * 28; ++pixel) images += static_cast<char>(25 * label + (pixel * (i + 1)) % 11);
      labels += static_cast<char>(label);
    }
    write(folder / (std::string(name) + "-images-idx3-ubyte"), images);
    write(folder / (std::string(name) + "-labels-idx1-ubyte"), labels);
  }
}

inline const std::vector<std::string> kTinyModel{"--model.num_latents=2",
                                                 "--model.num_latent_channels=8",
                                                 "--model.encoder.num_frequency_bands=2",
                                                 "--model.encoder.num_self_attention_heads=2",
                                                 "--model.encoder.num_self_attention_layers_per_block=1",
                                                 "--model.encoder.num_self_attention_blocks=1",
                                                 "--model.decoder.num_output_query_channels=8"};

// Tokens of a run on the tiny data in `data`, with its runs below `logs`; four batches of 8 an epoch.
inline std::vector<std::string> tiny(const std::string& stage, const std::filesystem::path& data,
                                     const std::filesystem::path& logs, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"img_clf",
                                 stage,
                                 "--data=MnistDataModule",
                                 "--data.data_dir=" + data.string(),
                                 "--data.val_split=32",
                                 "--data.batch_size=8",
                                 "--data.num_workers=0"};
  words.insert(words.end(), kTinyModel.begin(), kTinyModel.end());
  for (const auto* word : {"--optimizer=AdamW", "--optimizer.lr=1e-3", "--trainer.max_epochs=1",
                           "--trainer.log_every_n_steps=1", "--seed_everything=1"}) {
    words.emplace_back(word);
  }
  words.push_back("--trainer.default_root_dir=" + logs.string());
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace perceive::tests
