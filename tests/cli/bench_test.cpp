// `perceive bench`: what it measures of a tiny call, its sizes by name, and what it refuses. No times are asserted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/bench/baseline.h"
#include "cli/bench/options.h"
#include "perceive/core/error.h"
#include "perceive/core/options.h"
#include "tests/cli/process.h"

namespace perceive::tests {
namespace {

using cli::bench::read_attention_options;
using cli::bench::sizes_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::vector<std::string> kTiny{"bench",      "attention", "--latents",  "8", "--keys", "64",
                                     "--channels", "4",         "--head_dim", "8", "--json", "results.json"};

nlohmann::json results_of(std::vector<std::string> words, const std::vector<std::string>& more = {}) {
  const Folder folder;
  words.insert(words.end(), more.begin(), more.end());
  const auto ended = perceive(words, {.folder = folder});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("attend forward"));
  return nlohmann::json::parse(contents(folder / "results.json"));
}

void expect_numbers(const nlohmann::json& row) {
  for (const char* name : {"seconds", "gflops", "share_of_peak", "max_error"}) {
    ASSERT_TRUE(row.contains(name) && row[name].is_number()) << name << " in " << row.dump();
    EXPECT_TRUE(std::isfinite(row[name].get<double>())) << name;
  }
  EXPECT_GT(row["seconds"].get<double>(), 0);
  ASSERT_TRUE(row.contains("extra_bytes"));
  EXPECT_TRUE(row["extra_bytes"].is_null() || row["extra_bytes"].get<int64_t>() >= 0);
}

TEST(Bench, MeasuresOursAndItsPeersForwardAndBackward) {
  const auto rows = results_of(kTiny);
  std::vector<std::string> names;
  for (const auto& row : rows) {
    names.push_back(row["name"]);
    expect_numbers(row);
    EXPECT_LT(row["max_error"].get<double>(), 1e-5) << row["name"];
    ASSERT_FALSE(row["ratio_to"].empty());
    for (const auto& [peer, ratio] : row["ratio_to"].items()) {
      EXPECT_GT(ratio.get<double>(), 0) << peer;
      expect_numbers(row["peers"][peer]);
      EXPECT_LT(row["peers"][peer]["max_error"].get<double>(), 1e-5) << row["name"] << " " << peer;
    }
    EXPECT_EQ(row["options"]["latents"], 8);
    EXPECT_EQ(row["machine"]["peak_gflops"].size(), 2);
  }
  EXPECT_THAT(names, ElementsAre("attend forward", "attend backward", "attend_source forward", "attend_source backward",
                                 "attend_source step", "attend_source backward with values"));
  EXPECT_TRUE(rows[0]["plan"].is_null());
  EXPECT_TRUE(rows[0]["ratio_to"].contains("sdpa"));
  EXPECT_TRUE(rows[2]["plan"].is_string());
  EXPECT_TRUE(rows[2]["ratio_to"].contains("composed"));
}

TEST(Bench, MeasuresAGridInHalfPrecisionByOnePlan) {
  const auto rows = results_of(kTiny, {"--grid=6x5", "--bands=2", "--heads=2", "--batch=2", "--dtype=bfloat16",
                                       "--plan=separate", "--threads=1"});
  ASSERT_EQ(rows.size(), 6);
  for (const auto& row : rows) {
    expect_numbers(row);
    EXPECT_LT(row["max_error"].get<double>(), 0.1) << row["name"];
    EXPECT_EQ(row["machine"]["threads"], 1);
  }
  EXPECT_EQ(rows[2]["plan"], "separate");
  EXPECT_FALSE(rows[2]["ratio_to"].contains("plan:absorb"));
}

TEST(Bench, WithoutChannelsThereIsNoSource) {
  EXPECT_EQ(results_of(kTiny, {"--channels=0", "--dtype=float64"}).size(), 2);
}

TEST(Bench, RefusesASuiteItHasNot) {
  const auto ended = perceive({"bench", "atention"});
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("did you mean 'attention'?; perceive bench has attention, model"));
}

TEST(Bench, RefusesInWordsAndBeforeItAllocates) {
  for (const auto& [flag, words] :
       {std::pair{"--latent=3", "did you mean latents?"}, std::pair{"--heads=0", "--heads expects at least 1, got 0"},
        std::pair{"--threads=1e9", "--threads expects at most"},
        std::pair{"--grid=3x", "--grid expects steps such as 224x224, got '3x'"},
        std::pair{"--plan=best", "separable; got 'best'"},
        std::pair{"--plan=separable", "--plan: separable cannot serve these sizes"},
        std::pair{"--dtype=int8", "float32, float64, bfloat16, float16"},
        std::pair{"--shape=F", "A, B, C, D, E, latent, small"}, std::pair{"--keys=1e15", "of memory; this machine has"},
        std::pair{"--json=/", "--json expects the name of a file"}}) {
    auto command = kTiny;
    command.emplace_back(flag);
    const auto ended = perceive(command);
    EXPECT_EQ(ended.code, 2) << flag;
    EXPECT_THAT(ended.err, HasSubstr(words)) << flag;
  }
}

nlohmann::json with_ratios(nlohmann::json rows, double factor) {
  for (auto& row : rows) {
    for (auto& ratio : row["ratio_to"]) ratio = factor * ratio.get<double>();
  }
  return rows;
}

TEST(Bench, FailsWhereARatioHasFallen) {
  const Folder folder;
  const auto rows = results_of(kTiny);
  const auto compare = [&](const nlohmann::json& baseline) {
    write(folder / "then.json", baseline.dump());
    auto words = kTiny;
    words.emplace_back("--baseline=then.json");
    return perceive(words, {.folder = folder});
  };
  const auto slower = compare(with_ratios(rows, 1e6));
  EXPECT_EQ(slower.code, 1);
  EXPECT_THAT(slower.err, HasSubstr("by more than 15 % since then.json"));
  for (const auto& row : rows) {
    EXPECT_THAT(slower.err, HasSubstr("  " + row["name"].get<std::string>() + " against ")) << slower.err;
  }
  EXPECT_THAT(slower.err, HasSubstr("attend forward against sdpa: was "));
  EXPECT_THAT(slower.err, Not(HasSubstr("plan:")));
  const auto faster = compare(with_ratios(rows, 1e-6));
  EXPECT_EQ(faster.code, 0) << faster.err;
}

TEST(Bench, ABaselineOfOtherSizesOrOtherContentIsRefused) {
  const Folder folder;
  auto words = kTiny;
  words.emplace_back("--baseline=then.json");
  EXPECT_EQ(perceive(words, {.folder = folder}).code, 4);
  const auto row = [](int keys) {
    nlohmann::json options = core::to_json(read_attention_options({kTiny.begin() + 2, kTiny.end()}));
    options["keys"] = keys;
    return nlohmann::json::array({{{"name", "attend forward"}, {"options", options}, {"ratio_to", {{"sdpa", 1.0}}}}});
  };
  write(folder / "then.json", row(128).dump());
  const auto other = perceive(words, {.folder = folder});
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, HasSubstr("then.json was measured with --keys 128, this run has 64"));
  for (const char* text : {"[]", "{}", "[1]", R"([{"name": "attend forward"}])", "[{]"}) {
    write(folder / "then.json", text);
    EXPECT_EQ(perceive(words, {.folder = folder}).code, 4) << text;
  }
}

TEST(BenchBaseline, OnlyRatiosThatBothHaveAndThatFellByMoreThanFifteenPercentCount) {
  const auto run = [](double sdpa, double formula, double plan) {
    return nlohmann::json{
        {{"name", "attend forward"}, {"ratio_to", {{"sdpa", sdpa}, {"formula", formula}, {"plan:absorb", plan}}}},
        {{"name", "only here"}, {"ratio_to", {{"sdpa", sdpa}}}}};
  };
  auto now = run(1.71, 1.69, 0.1);
  now.erase(1);
  const auto found = cli::bench::fallen(run(2, 2, 2), now);
  ASSERT_EQ(found.size(), 1);
  EXPECT_EQ(cli::bench::words_of(found), "  attend forward against formula: was 2.00, is 1.69\n");
  EXPECT_TRUE(cli::bench::fallen(run(1, 1, 1), run(2, 2, 2)).empty());
}

TEST(BenchOptions, AShapeSetsSizesThatLaterOptionsOverride) {
  const auto image = sizes_of(read_attention_options({"--keys=5", "--shape=C", "--head_dim=261"}));
  EXPECT_EQ(image.keys, 224 * 224);
  EXPECT_EQ(image.width(), 261);
  EXPECT_EQ(image.head_dim, 261);
  EXPECT_EQ(image.latents, 512);
  const auto many = sizes_of(read_attention_options({"--shape=D"}));
  EXPECT_EQ(many.keys, 1 << 20);
  EXPECT_EQ(many.heads, 8);
  EXPECT_EQ(sizes_of(read_attention_options({"--shape=B"})).latents, 32);
  EXPECT_EQ(sizes_of(read_attention_options({"--shape=E"})).channels, 512);
  EXPECT_EQ(sizes_of(read_attention_options({"--shape=small"})).batch, 64);
  EXPECT_EQ(sizes_of(read_attention_options({"--shape=latent"})).keys, 512);
}

TEST(BenchOptions, TheLaterOfKeysAndGridCounts) {
  EXPECT_EQ(sizes_of(read_attention_options({"--keys=7", "--grid=3x4x5"})).keys, 60);
  const auto sizes = sizes_of(read_attention_options({"--shape=C", "--keys=7"}));
  EXPECT_EQ(sizes.keys, 7);
  EXPECT_TRUE(sizes.grid.empty());
}

}  // namespace
}  // namespace perceive::tests
