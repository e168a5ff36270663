// Reviews and models so small that a run of the program is dominated by its start.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace perceive::tests {

// The folders of aclImdb below `folder`: 24 reviews to train on and 8 to test with, of words that tell their class.
inline void write_tiny_reviews(const std::filesystem::path& folder) {
  const std::array<std::vector<std::string>, 2> words{
      {{"dull", "awful", "boring", "poor"}, {"great", "lovely", "funny", "fine"}}};
  for (const auto& [split, count] : {std::pair{"train", 12}, std::pair{"test", 4}}) {
    for (const size_t label : {0, 1}) {
      for (int i = 0; i < count; ++i) {
        const auto& word = words[label];
        const auto text = "I have watched this movie and it was " + word[i % 4] + ".<br />A " +
                          word[(i + 1 + i / 4) % 4] + " film, number " + std::to_string(i) + ".";
        write(folder / "aclImdb" / split / (label == 0 ? "neg" : "pos") / (std::to_string(i) + "_1.txt"), text);
      }
    }
  }
}

// Options of the encoder that mlm and seq_clf share.
inline const std::vector<std::string> kTinyTextModel{"--model.num_latents=4",
                                                     "--model.num_latent_channels=8",
                                                     "--model.encoder.num_input_channels=8",
                                                     "--model.encoder.num_cross_attention_heads=2",
                                                     "--model.encoder.num_self_attention_heads=2",
                                                     "--model.encoder.num_self_attention_layers_per_block=1",
                                                     "--model.encoder.num_self_attention_blocks=1"};

// Words of a run on the reviews in `data`, with its runs below `logs`; three batches of 8 an epoch.
inline std::vector<std::string> tiny_text(const std::string& task, const std::filesystem::path& data,
                                          const std::filesystem::path& logs,
                                          const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{task,
                                 "fit",
                                 "--data=ImdbDataModule",
                                 "--data.data_dir=" + data.string(),
                                 "--data.vocab_size=120",
                                 "--data.max_seq_len=32",
                                 "--data.batch_size=8",
                                 "--data.num_workers=2",
                                 "--trainer.log_every_n_steps=1",
                                 "--seed_everything=1",
                                 "--trainer.default_root_dir=" + logs.string()};
  words.insert(words.end(), kTinyTextModel.begin(), kTinyTextModel.end());
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace perceive::tests
