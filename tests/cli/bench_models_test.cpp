// `perceive bench models` and `perceive bench model`, on tiny models: what they measure, write and refuse. No times are
// asserted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/bench/models/options.h"
#include "perceive/models/catalog.h"
#include "tests/cli/process.h"

namespace perceive::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

const std::vector<std::string> kTiny{"bench",
                                     "models",
                                     "--repeats=1",
                                     "--threads=1",
                                     "--latents=4",
                                     "--depth=1",
                                     "--batch=2",
                                     "--lengths=[8,24]",
                                     "--csv=r.csv",
                                     "--json=r.json",
                                     "--passes=[forward,forward_backward,training_step]"};

TEST(BenchModels, MeasuresEveryLengthAndPassInAProcessOfItsOwn) {
  const Folder folder;
  const auto ended = perceive(kTiny, {.folder = folder});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("extra memory"));
  const auto rows = nlohmann::json::parse(contents(folder / "r.json"));
  ASSERT_EQ(rows.size(), 6);
  std::vector<int64_t> lengths;
  for (const auto& row : rows) {
    lengths.push_back(row["length"]);
    EXPECT_EQ(row["class"], "perceive.Perceiver");
    EXPECT_EQ(row["args"]["num_latents"], 4);
    EXPECT_EQ(row["batch"], 2);
    EXPECT_EQ(row["depth"], 1);
    EXPECT_EQ(row["threads"], 1);
    EXPECT_EQ(row["parameters"], rows[0]["parameters"]);
    EXPECT_GT(row["seconds"].get<double>(), 0);
    EXPECT_LE(row["fastest_seconds"], row["seconds"]);
    EXPECT_NEAR(row["items_per_second"].get<double>() * row["seconds"].get<double>(), 2, 1e-9);
    EXPECT_TRUE(row["extra_bytes"].is_null() || row["extra_bytes"].get<int64_t>() < row["peak_bytes"].get<int64_t>());
  }
  EXPECT_THAT(lengths, ElementsAre(8, 8, 8, 24, 24, 24));
  EXPECT_EQ(rows[1]["pass"], "forward_backward");

  const auto csv = contents(folder / "r.csv");
  EXPECT_THAT(csv, StartsWith("class,version,args,pass,length,batch,"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 7);
  EXPECT_THAT(csv, HasSubstr("\nperceive.Perceiver,1,\"{\"\"cross\"\":"));
}

TEST(BenchModels, WhatItSavesIsWhatItComputed) {
  for (const char* preset : {"native", "perceiver_pytorch", "flash_perceiver", "read_once", "mnist", "linformer",
                             "linformer_attention", "flash_attention_two"}) {
    const Folder folder;
    auto words = std::vector<std::string>{"bench", "model", "--save=saved", std::string("--preset=") + preset};
    if (preset != std::string("mnist")) words.emplace_back("--length=32");
    const auto saved = perceive(words, {.folder = folder});
    ASSERT_EQ(saved.code, 0) << preset << ": " << saved.err;
    const auto again = perceive({"run", "--model=saved/model.json", "--weights=saved/weights.safetensors",
                                 "--inputs=saved/inputs.safetensors", "--check=saved/outputs.safetensors"},
                                {.folder = folder});
    EXPECT_EQ(again.code, 0) << preset << ": " << again.out << again.err;
    const auto measured = perceive({"bench", "model", "--model=saved/model.json", "--weights=saved/weights.safetensors",
                                    "--inputs=saved/inputs.safetensors", "--pass=training_step", "--input_gradients"},
                                   {.folder = folder});
    ASSERT_EQ(measured.code, 0) << preset << ": " << measured.err;
    EXPECT_EQ(nlohmann::json::parse(measured.out)["parameters"], nlohmann::json::parse(saved.out)["parameters"]);
  }
}

TEST(BenchModels, TheNativePresetIsTheSameModelAsThatOfPerceiverPytorch) {
  const auto count = [](cli::bench::Preset preset) {
    int64_t sum = 0;
    cli::bench::ModelOptions options;
    options.preset = preset;
    const auto model = models::load_model(cli::bench::workload_of(options).description, "").model;
    for (const auto& parameter : model->module().parameters()) sum += parameter.numel();
    return sum;
  };
  EXPECT_EQ(count(cli::bench::Preset::native), count(cli::bench::Preset::perceiver_pytorch));
}

TEST(BenchModels, RefusesInWordsBeforeItMeasures) {
  for (const auto& [flag, words] :
       {std::pair{"--preset=mist", "did you mean mnist"}, std::pair{"--batch=0", "--batch expects at least 1, got 0"},
        std::pair{"--lengths=[8,0]", "--length expects at least 1, got 0"},
        std::pair{"--repeats=0", "--repeats expects at least 1"}, std::pair{"--passes=[]", "--passes expects at least"},
        std::pair{"--passes=[back]", "forward_backward"}, std::pair{"--args=[1]", "--args expects a JSON object"},
        std::pair{"--args={", "--args: byte"}, std::pair{"--lengths=[1000000000000]", "of memory; this machine has"},
        std::pair{"--preset=flash_attention_two", "--depth: the preset flash_attention_two has no such argument"},
        std::pair{"--preset=mnist", "the preset mnist has 28 rows, got 8"},
        std::pair{"--inputs=x", "--weights and --inputs belong to a --model"},
        std::pair{"--model=m.json", "--batch is for presets"}, std::pair{"--threads=0", "--threads expects at least"},
        std::pair{"--csv=/", "--csv expects the name of a file"}}) {
    const Folder folder;
    const auto ended = perceive(with(kTiny, {flag}), {.folder = folder});
    EXPECT_EQ(ended.code, 2) << flag << ": " << ended.err;
    EXPECT_THAT(ended.err, HasSubstr(words)) << flag;
    EXPECT_FALSE(std::filesystem::exists(folder / "r.json"));
  }
}

TEST(BenchModels, AnArgumentThatTheClassHasNotEndsWithItsWords) {
  const auto ended = perceive({"bench", "models", "--preset=linformer", "--lengths=[16]", "--args={\"dim_kk\": 3}"});
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("did you mean dim_k?"));
  EXPECT_THAT(ended.err, HasSubstr("the process ended with exit code 2; its own words are above"));
}

}  // namespace
}  // namespace perceive::tests
