#include "perceive/core/options.h"

#include <gtest/gtest.h>

#include <clocale>
#include <cmath>
#include <limits>
#include <locale>
#include <nlohmann/json.hpp>

#include "perceive/core/config.h"
#include "perceive/core/error.h"
#include "tests/core/example_options.h"

namespace perceive::core {
namespace {

using example::AdamWOptions;
using example::SgdOptions;
using example::TaskOptions;

const TaskOptions kDefaults;

// Reads `yaml` over the defaults.
TaskOptions read(const std::string& yaml) {
  TaskOptions options;
  assign(options, {parse_yaml(yaml, "test.yaml")});
  return options;
}

// Prints, reads back, and expects the same options and the same text.
void expect_fixed_point(const TaskOptions& options) {
  const std::string yaml = to_yaml(options);
  const TaskOptions again = read(yaml);
  EXPECT_TRUE(same(options, again)) << yaml;
  EXPECT_EQ(to_yaml(again), yaml);
  EXPECT_TRUE(same(options, read(to_yaml(options, true)))) << to_yaml(options, true);

  TaskOptions from_json;
  assign_json(from_json, nlohmann::json::parse(to_json(options).dump()), "test.json");
  EXPECT_TRUE(same(options, from_json)) << to_json(options).dump(2);
}

TaskOptions unusual() {
  TaskOptions options;
  options.trainer = {
      .max_steps = std::numeric_limits<int64_t>::min(), .max_epochs = 7, .logger = "", .deterministic = true};
  options.activation = example::Activation::relu;
  options.optimizer = SgdOptions{.lr = 1e-5, .warmup = std::numeric_limits<int64_t>::max()};
  options.second = AdamWOptions{.lr = 3, .betas = {}, .amsgrad = true};
  options.ensemble = {example::NoOptimizer{}, SgdOptions{.lr = 0.30000000000000004}, AdamWOptions{}};
  options.sizes = {};
  options.probe.emplace().logger = std::nullopt;
  return options;
}

TEST(Options, ArePrintedAsYaml) {
  EXPECT_EQ(to_yaml(kDefaults),
            "name: run\n"
            "trainer:\n"
            "  max_steps: -1\n"
            "  max_epochs: null\n"
            "  logger: csv\n"
            "  deterministic: false\n"
            "activation: gelu\n"
            "optimizer:\n"
            "  class_path: AdamW\n"
            "  init_args:\n"
            "    lr: 0.001\n"
            "    betas: [0.9, 0.999]\n"
            "    amsgrad: false\n"
            "second: null\n"
            "ensemble: []\n"
            "sizes: [3, 5]\n"
            "words: []\n"
            "probe: null\n");
  EXPECT_EQ(to_yaml(unusual()),
            "name: run\n"
            "trainer:\n"
            "  max_steps: -9223372036854775808\n"
            "  max_epochs: 7\n"
            "  logger: \"\"\n"
            "  deterministic: true\n"
            "activation: relu\n"
            "optimizer:\n"
            "  class_path: SGD\n"
            "  init_args:\n"
            "    lr: 1.0e-05\n"
            "    warmup: 9223372036854775807\n"
            "second:\n"
            "  class_path: AdamW\n"
            "  init_args:\n"
            "    lr: 3.0\n"
            "    betas: []\n"
            "    amsgrad: true\n"
            "ensemble: [NoOptimizer, {class_path: SGD, init_args: {lr: 0.30000000000000004, warmup: 0}}, "
            "{class_path: AdamW, init_args: {lr: 0.001, betas: [0.9, 0.999], amsgrad: false}}]\n"
            "sizes: []\n"
            "words: []\n"
            "probe:\n"
            "  max_steps: -1\n"
            "  max_epochs: null\n"
            "  logger: null\n"
            "  deterministic: false\n");
}

TEST(Options, ArePrintedWithTheirHelpAsComments) {
  EXPECT_EQ(to_yaml(SgdOptions{}, true),
            "# learning rate\n"
            "lr: 0.1\n"
            "# steps of linear warm-up\n"
            "warmup: 0\n");
}

TEST(Options, ReadBackWhatTheyPrint) {
  expect_fixed_point(kDefaults);
  expect_fixed_point(unusual());
}

TEST(Options, ReadBackEveryText) {
  TaskOptions options;
  options.words = {"",
                   " ",
                   "1",
                   "1e3",
                   "-",
                   "true",
                   "False",
                   "null",
                   "~",
                   "none",
                   "yes",
                   ".inf",
                   "nan",
                   "a: b",
                   "a #b",
                   "#",
                   "[a]",
                   "{",
                   "*x",
                   "&x",
                   "!t",
                   "|",
                   "%",
                   "@",
                   "`",
                   "'",
                   "\"",
                   "\\",
                   "a,b",
                   "a b ",
                   "\n",
                   "a\nb",
                   "\t",
                   "\r\n",
                   "é😀",
                   "…",
                   "\u0085",
                   "\u2028",
                   "\uFEFFx",
                   "\x01",
                   "\x7F",
                   "/a/b.c",
                   "a/../b",
                   "?",
                   "a:",
                   ":a",
                   "<<",
                   "=",
                   "0x10",
                   "010",
                   "2026-10-04",
                   "--x",
                   std::string(1, '\0')};
  for (const std::string& word : options.words) {
    options.name = word;
    options.trainer.logger = word;
    expect_fixed_point(options);
  }
}

TEST(Options, ReadBackEveryNumber) {
  for (const double number :
       {0.0, -0.0, 1.0, 1e-3, 0.1 + 0.2, 1e22, 1e23, 123456789.125, 5e-324, 1.7976931348623157e308, -2.5,
        std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), std::nan("")}) {
    TaskOptions options;
    options.optimizer = SgdOptions{.lr = number};
    expect_fixed_point(options);
    const double again = std::get<SgdOptions>(read(to_yaml(options)).optimizer).lr;
    EXPECT_EQ(std::signbit(again), std::signbit(number));
    EXPECT_TRUE(again == number || (std::isnan(again) && std::isnan(number)));
  }
}

TEST(Options, RefuseToPrintATextThatIsNotUtf8) {
  TaskOptions options;
  options.name = "a\xFF";
  try {
    to_yaml(options);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "the option 'a\\xff' cannot be printed: it is not UTF-8");
  }
}

struct OnlyOptions {
  static constexpr const char* kName = "only";
  int64_t size = 1;
};
template <class Visitor>
void visit(OnlyOptions& o, Visitor&& field) {
  field("size", o.size, "size");
}
struct OneClassOptions {
  std::variant<OnlyOptions> choice;
};
template <class Visitor>
void visit(OneClassOptions& o, Visitor&& field) {
  field("choice", o.choice, "the only class there is");
}

TEST(Options, MayChooseFromOneClass) {
  OneClassOptions options;
  assign(options, {parse_yaml("choice: {class_path: only, init_args: {size: 3}}", "test.yaml")});
  EXPECT_EQ(std::get<OnlyOptions>(options.choice).size, 3);
}

TEST(Options, BecomeJson) {
  TaskOptions options = unusual();
  options.optimizer = SgdOptions{.lr = std::numeric_limits<double>::infinity()};
  const nlohmann::json json = to_json(options);
  EXPECT_EQ(json["optimizer"], (nlohmann::json{{"class_path", "SGD"}, {"init_args", {{"lr", "inf"}, {"warmup", 0}}}}));
  EXPECT_EQ(json["trainer"]["max_steps"], std::numeric_limits<int64_t>::min());
  EXPECT_EQ(json["sizes"], nlohmann::json::array());
  EXPECT_TRUE(json["probe"]["logger"].is_null());
}

TEST(Options, AreTheSameOrNot) {
  TaskOptions options;
  options.optimizer = AdamWOptions{.lr = std::nan("")};
  const TaskOptions copy = options;
  EXPECT_TRUE(same(options, copy));
  EXPECT_FALSE(same(options, kDefaults));
  TaskOptions other = options;
  other.words = {""};
  EXPECT_FALSE(same(options, other));
}

TEST(Options, AreListedWithThoseOfEveryClass) {
  TaskOptions options;
  options.optimizer = SgdOptions{.lr = 0.5};
  std::vector<std::string> lines;
  for (const OptionLine& line : list_options(options)) {
    lines.push_back(line.path + " (" + line.type + ") = " + line.value + ", " + line.help +
                    (line.of_class.empty() ? "" : " [" + line.of_class + "]"));
  }
  const std::vector<std::string> head(lines.begin(), lines.begin() + 14);
  EXPECT_EQ(head, (std::vector<std::string>{
                      "name (text) = run, of the run",
                      "trainer (group) = , how to train",
                      "trainer.max_steps (int) = -1, optimizer steps; -1: no limit",
                      "trainer.max_epochs (int or null) = null, passes over the data",
                      "trainer.logger (text or null) = csv, where scalars go",
                      "trainer.deterministic (bool) = false, same bits every time",
                      "activation (relu | gelu) = gelu, between the layers",
                      "optimizer (AdamW | SGD | NoOptimizer) = SGD, what steps",
                      "optimizer.lr (float) = 0.001, learning rate [AdamW]",
                      "optimizer.betas ([float]) = [0.9, 0.999], decay of the two moments [AdamW]",
                      "optimizer.amsgrad (bool) = false, keep the largest second moment [AdamW]",
                      "optimizer.lr (float) = 0.5, learning rate [SGD]",
                      "optimizer.warmup (int) = 0, steps of linear warm-up [SGD]",
                      "second (AdamW | SGD | NoOptimizer or null) = null, what else steps",
                  }));
  EXPECT_EQ(lines.back(), "probe.deterministic (bool) = false, same bits every time");
}

struct Commas : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

TEST(Options, PrintThePointInALocaleWithCommas) {
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Commas));
  std::setlocale(LC_ALL, "de_DE.UTF-8");  // for printf and strtod, on machines that have it
  const std::string yaml = to_yaml(SgdOptions{.lr = 0.25, .warmup = 1234567});
  const std::string json = to_json(SgdOptions{.lr = 0.25, .warmup = 1234567}).dump();
  SgdOptions from_flag, from_yaml, from_json;
  assign(from_flag, read_arguments({"--lr=0.125"}));
  assign(from_yaml, {parse_yaml("lr: 0.125", "test.yaml")});
  assign_json(from_json, nlohmann::json::parse(R"({"lr": 0.125})"), "test.json");
  std::locale::global(before);
  EXPECT_EQ(yaml, "lr: 0.25\nwarmup: 1234567\n");
  EXPECT_EQ(json, R"({"lr":0.25,"warmup":1234567})");
  EXPECT_EQ(from_flag.lr, 0.125);
  EXPECT_EQ(from_yaml.lr, 0.125);
  EXPECT_EQ(from_json.lr, 0.125);
}

}  // namespace
}  // namespace perceive::core
