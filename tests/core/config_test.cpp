#include "perceive/core/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "perceive/core/error.h"
#include "tests/core/example_options.h"

namespace perceive::core {
namespace {

using example::AdamWOptions;
using example::SgdOptions;
using example::TaskOptions;
using Words = std::vector<std::string>;

const TaskOptions kDefaults;

class Config : public testing::Test {
 protected:
  ~Config() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("perceive config é " + std::to_string(getpid()));
};

TaskOptions read(const Words& arguments) {
  TaskOptions options;
  assign(options, read_arguments(arguments));
  return options;
}
TaskOptions read_text(const std::string& yaml) {
  TaskOptions options;
  assign(options, {parse_yaml(yaml, "run.yaml")});
  return options;
}

template <class Function>
std::string message_of(Function function) {
  try {
    function();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "no error";
}
std::string refusal(const Words& arguments) {
  return message_of([&] { read(arguments); });
}
std::string refusal_of_text(const std::string& yaml) {
  return message_of([&] { read_text(yaml); });
}

TEST_F(Config, TakesFlagsWithAnEqualsSignOrASpace) {
  const TaskOptions options = read({"--trainer.max_steps=5", "--name", "a b", "--optimizer.lr", "-1.5",
                                    "--trainer.max_epochs", "-3", "--sizes=[7, 11]", "--words", "[]"});
  EXPECT_EQ(options.trainer.max_steps, 5);
  EXPECT_EQ(options.name, "a b");
  EXPECT_EQ(std::get<AdamWOptions>(options.optimizer).lr, -1.5);
  EXPECT_EQ(options.trainer.max_epochs, -3);
  EXPECT_EQ(options.sizes, (std::vector<int64_t>{7, 11}));
  EXPECT_TRUE(options.words.empty());
}

TEST_F(Config, LeavesTheDefaultsWhereNothingIsSaid) {
  EXPECT_TRUE(same(read({}), kDefaults));
  EXPECT_TRUE(same(read_text(""), kDefaults));
  EXPECT_TRUE(same(read_text("# nothing\n"), kDefaults));
  EXPECT_TRUE(same(read_text("---\n"), kDefaults));
  EXPECT_TRUE(same(read_text("trainer:\noptimizer:\n  init_args:\n"), kDefaults)) << "headings with nothing below";
}

TEST_F(Config, ReadsABareFlagAsTrueForABoolOnly) {
  EXPECT_TRUE(read({"--trainer.deterministic"}).trainer.deterministic);
  EXPECT_TRUE(read({"--trainer.deterministic", "--name=x"}).trainer.deterministic);
  EXPECT_FALSE(read({"--trainer.deterministic", "false"}).trainer.deterministic);
  EXPECT_EQ(refusal({"--trainer.max_steps"}),
            "--trainer.max_steps: trainer.max_steps expects a whole number, got a flag without a value; "
            "write --trainer.max_steps=VALUE");
  EXPECT_EQ(refusal({"--name", "--trainer.max_steps=1"}),
            "--name: name expects a text, got a flag without a value; write --name=VALUE");
  EXPECT_EQ(refusal({"--trainer"}),
            "--trainer: trainer is a group of options, got a flag without a value; set them one by one, such as "
            "trainer.max_steps");
  EXPECT_EQ(refusal({"--optimizer"}),
            "--optimizer: optimizer expects one of AdamW, SGD, NoOptimizer, got a flag without a value; "
            "write --optimizer=VALUE");
  EXPECT_EQ(refusal({"--activation"}),
            "--activation: activation expects one of relu, gelu, got a flag without a value; "
            "write --activation=VALUE");
  EXPECT_EQ(refusal({"--sizes"}),
            "--sizes: sizes expects a list such as [1, 2], got a flag without a value; write --sizes=VALUE");
}

TEST_F(Config, MergesFilesAndFlagsFromLeftToRight) {
  const std::string a = write("a.yaml", "name: a\ntrainer:\n  max_steps: 1\n  max_epochs: 1\nsizes: [1, 2, 3]\n");
  const std::string b = write("b.yaml", "trainer:\n  max_steps: 2\nsizes: [9]\n");
  const TaskOptions first = read({"--trainer.max_steps=7", "--config", a, "--trainer.max_epochs=8", "--config=" + b});
  EXPECT_EQ(first.name, "a");
  EXPECT_EQ(first.trainer.max_steps, 2);
  EXPECT_EQ(first.trainer.max_epochs, 8);
  EXPECT_EQ(first.sizes, (std::vector<int64_t>{9}));
  const TaskOptions second = read({"--config", b, "--config", a, "--trainer.max_steps=7"});
  EXPECT_EQ(second.trainer.max_steps, 7);
  EXPECT_EQ(second.trainer.max_epochs, 1);
  EXPECT_EQ(second.sizes, (std::vector<int64_t>{1, 2, 3}));
}

TEST_F(Config, IsAFixedPointOfItsOwnPrint) {
  const TaskOptions options =
      read({"--optimizer=SGD", "--optimizer.lr=1e-7", "--second=AdamW", "--name=null", "--trainer.logger=null",
            "--probe.max_steps=5", "--ensemble=[SGD, {class_path: SGD}]"});
  const std::string printed = to_yaml(options);
  EXPECT_EQ(to_yaml(read({"--config", write("printed.yaml", printed)})), printed);
  EXPECT_EQ(options.name, "null");
  EXPECT_EQ(options.trainer.logger, std::nullopt);
}

TEST_F(Config, RefusesUnknownOptionsWithTheNearestName) {
  EXPECT_EQ(refusal({"--trainer.max_step=5"}),
            "--trainer.max_step=5: trainer.max_step is not an option; did you mean trainer.max_steps?");
  EXPECT_EQ(refusal({"--max_steps", "5"}),
            "--max_steps 5: max_steps is not an option; did you mean trainer.max_steps?");
  EXPECT_EQ(refusal({"--trainer.max-steps=5"}),
            "--trainer.max-steps=5: trainer.max-steps is not an option; did you mean trainer.max_steps?");
  EXPECT_EQ(refusal({"--optimizer.lrr=5"}),
            "--optimizer.lrr=5: optimizer.lrr is not an option of AdamW; did you mean optimizer.lr?");
  EXPECT_EQ(refusal({"--optimizer.warmup=5"}),
            "--optimizer.warmup=5: optimizer.warmup is not an option of AdamW; it is one of SGD");
  EXPECT_EQ(refusal_of_text("trainer:\n  max_steps: 5\n  quux: 1\n"),
            "run.yaml:3:3: trainer.quux is not an option; the options here are max_steps, max_epochs, logger, "
            "deterministic");
  EXPECT_EQ(refusal({"--optimizer=NoOptimizer", "--optimizer.zz=5"}),
            "--optimizer.zz=5: optimizer.zz is not an option of NoOptimizer; there are none");
  EXPECT_EQ(refusal({"--trainer.max_steps.x=5"}),
            "--trainer.max_steps.x=5: trainer.max_steps.x is not an option; trainer.max_steps expects a whole number");
  EXPECT_EQ(refusal_of_text("base: &x {lr: 1}\noptimizer:\n  <<: *x\n"),
            "run.yaml:1:1: base is not an option; the options here are name, trainer, activation, optimizer, second, "
            "ensemble, sizes, words, probe");
}

TEST_F(Config, ReadsWholeNumbersAsPeopleWriteThem) {
  const auto steps = [](const std::string& text) { return read({"--trainer.max_steps=" + text}).trainer.max_steps; };
  EXPECT_EQ(steps("5e4"), 50000);
  EXPECT_EQ(steps("1_000"), 1000);
  EXPECT_EQ(steps("50000.0"), 50000);
  EXPECT_EQ(steps("1.5e1"), 15);
  EXPECT_EQ(steps("150e-1"), 15);
  EXPECT_EQ(steps("+7"), 7);
  EXPECT_EQ(steps("-0"), 0);
  EXPECT_EQ(steps("0e999999999999999999999"), 0);
  EXPECT_EQ(steps("9223372036854775807"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(steps("-9223372036854775808"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(read_text("trainer:\n  max_steps: 5e4\n").trainer.max_steps, 50000);
}

TEST_F(Config, RefusesWhatIsNoWholeNumber) {
  const auto message = [](const std::string& text) {
    const std::string start = "--trainer.max_steps=" + text + ": trainer.max_steps expects a whole number, got ";
    const std::string whole = refusal({"--trainer.max_steps=" + text});
    return whole.starts_with(start) ? whole.substr(start.size()) : whole;
  };
  for (const std::string text : {"fast", "1.5", "", "1e-1", "1__0", "_1", "1_", "--", "1e", "e5", ".", "1 ", "5k",
                                 "+-1", "inf", "nan", "true"}) {
    EXPECT_EQ(message(text), "'" + text + "'");
  }
  EXPECT_EQ(message("010"), "'010'; drop the leading zero, which means octal elsewhere");
  EXPECT_EQ(message("0x10"), "'0x10'; write it in decimal");
  EXPECT_EQ(message("9223372036854775808"), "'9223372036854775808'; it must lie in [-2^63, 2^63)");
  EXPECT_EQ(message("-9223372036854775809"), "'-9223372036854775809'; it must lie in [-2^63, 2^63)");
  EXPECT_EQ(message("1e99999999999999999999"), "'1e99999999999999999999'; it must lie in [-2^63, 2^63)");
  EXPECT_EQ(refusal_of_text("trainer:\n  max_steps: '5'\n"),
            "run.yaml:2:14: trainer.max_steps expects a whole number, got the quoted text '5'; remove the quotes");
  EXPECT_EQ(refusal_of_text("trainer:\n  max_steps: [5]\n"),
            "run.yaml:2:14: trainer.max_steps expects a whole number, got a list");
  EXPECT_EQ(refusal_of_text("trainer:\n  max_steps: ~\n"),
            "run.yaml:2:3: trainer.max_steps expects a whole number, got null");
}

TEST_F(Config, ReadsNumbers) {
  const auto lr = [](const std::string& text) {
    return std::get<AdamWOptions>(read({"--optimizer.lr=" + text}).optimizer).lr;
  };
  EXPECT_EQ(lr("1e-3"), 0.001);
  EXPECT_EQ(lr(".5"), 0.5);
  EXPECT_EQ(lr("5."), 5);
  EXPECT_EQ(lr("1_000.25"), 1000.25);
  EXPECT_EQ(lr("0.1"), 0.1);
  EXPECT_EQ(lr("5e-324"), 5e-324);
  EXPECT_EQ(lr("1.7976931348623157e308"), 1.7976931348623157e308);
  EXPECT_TRUE(std::signbit(lr("-0")));
  for (const std::string text : {"inf", ".inf", ".Inf", "+.INF"}) EXPECT_EQ(lr(text), HUGE_VAL) << text;
  EXPECT_EQ(lr("-.inf"), -HUGE_VAL);
  for (const std::string text : {"nan", ".nan", ".NaN"}) EXPECT_TRUE(std::isnan(lr(text))) << text;
  EXPECT_EQ(std::get<AdamWOptions>(read_text("optimizer: {lr: .inf}").optimizer).lr, HUGE_VAL);
}

TEST_F(Config, RefusesWhatIsNoNumber) {
  EXPECT_EQ(refusal_of_text("optimizer:\n  lr: fast\n"), "run.yaml:2:7: optimizer.lr expects a number, got 'fast'");
  for (const std::string text : {"0,5", "1.2.3", "1e", "infinity", "0x1p3", "1e-3f", "00.5", "1e999", "1e-999"}) {
    EXPECT_TRUE(refusal({"--optimizer.lr=" + text})
                    .starts_with("--optimizer.lr=" + text + ": optimizer.lr expects a number, got '" + text + "'"))
        << refusal({"--optimizer.lr=" + text});
  }
  EXPECT_EQ(refusal({"--optimizer.lr=1e999"}),
            "--optimizer.lr=1e999: optimizer.lr expects a number, got '1e999'; a double cannot hold it");
  EXPECT_EQ(refusal_of_text("optimizer: {lr: \"1e-3\"}"),
            "run.yaml:1:17: optimizer.lr expects a number, got the quoted text '1e-3'; remove the quotes");
}

TEST_F(Config, ReadsTrueAndFalseAndNothingElse) {
  EXPECT_TRUE(read_text("trainer: {deterministic: true}").trainer.deterministic);
  EXPECT_FALSE(read({"--trainer.deterministic=false"}).trainer.deterministic);
  for (const std::string text : {"yes", "on", "True", "TRUE", "1", "y"}) {
    EXPECT_EQ(refusal_of_text("trainer:\n  deterministic: " + text + "\n"),
              "run.yaml:2:18: trainer.deterministic expects true or false, got '" + text + "'; write true");
  }
  for (const std::string text : {"no", "off", "False", "0", "N"}) {
    EXPECT_EQ(refusal({"--trainer.deterministic", text}), "--trainer.deterministic " + text +
                                                              ": trainer.deterministic expects true or false, got '" +
                                                              text + "'; write false");
  }
  EXPECT_EQ(refusal({"--trainer.deterministic=maybe"}),
            "--trainer.deterministic=maybe: trainer.deterministic expects true or false, got 'maybe'");
  EXPECT_EQ(refusal_of_text("trainer: {deterministic: 'true'}"),
            "run.yaml:1:26: trainer.deterministic expects true or false, got the quoted text 'true'");
}

TEST_F(Config, ReadsTextsAsTheyStand) {
  EXPECT_EQ(read_text("name: 010").name, "010");
  EXPECT_EQ(read_text("name: yes").name, "yes");
  EXPECT_EQ(read_text("name: 'it''s'").name, "it's");
  EXPECT_EQ(read({"--name="}).name, "");
  EXPECT_EQ(read({"--name=[not a list"}).name, "[not a list");
  EXPECT_EQ(read({"--name=a=b: c"}).name, "a=b: c");
  EXPECT_EQ(read({"--name", "é 😀"}).name, "é 😀");
  EXPECT_EQ(read_text("name: |\n  a\n  b\n").name, "a\nb\n");
  EXPECT_EQ(refusal_of_text("name:\n"),
            "run.yaml:1:1: name expects a text, got null; write \"\" for an empty one, or \"null\" if that text is "
            "meant");
  EXPECT_EQ(refusal_of_text("name: {a: 1}\n"), "run.yaml:1:8: name.a is not an option; name expects a text");
}

TEST_F(Config, TakesNullForNoValue) {
  for (const std::string text : {"null", "Null", "NULL", "none", "None", "~", ""}) {
    EXPECT_EQ(read_text("trainer: {logger: " + text + "}").trainer.logger, std::nullopt) << text;
    EXPECT_EQ(read_text("trainer: {max_epochs: " + text + "}").trainer.max_epochs, std::nullopt) << text;
  }
  EXPECT_EQ(read({"--trainer.logger=null"}).trainer.logger, std::nullopt);
  EXPECT_EQ(read({"--trainer.logger="}).trainer.logger, "");
  EXPECT_EQ(read_text("trainer: {logger: 'null'}").trainer.logger, "null");
  EXPECT_EQ(read({"--probe.max_steps=3"}).probe->max_steps, 3);
  EXPECT_EQ(read({"--probe.max_steps=3", "--probe=null"}).probe, std::nullopt);
  EXPECT_EQ(read({"--second=SGD", "--second=null"}).second, std::nullopt);
}

TEST_F(Config, RefusesUnknownNamesOfAnEnum) {
  EXPECT_EQ(read({"--activation=relu"}).activation, example::Activation::relu);
  EXPECT_EQ(refusal({"--activation=gleu"}),
            "--activation=gleu: activation expects one of relu, gelu, got 'gleu'; did you mean gelu?");
  EXPECT_EQ(refusal_of_text("activation: 1\n"), "run.yaml:1:13: activation expects one of relu, gelu, got '1'");
}

TEST_F(Config, RefusesWhatIsNoList) {
  EXPECT_EQ(refusal({"--sizes=1,2"}), "--sizes=1,2: sizes expects a list such as [1, 2], got '1,2'");
  EXPECT_EQ(refusal({"--sizes=[1, x]"}), "--sizes=[1, x]: sizes[1] expects a whole number, got 'x'");
  EXPECT_EQ(refusal({"--sizes=[1] 2"}), "--sizes=[1] 2: a second document begins where one is expected");
  EXPECT_EQ(refusal({"--sizes=[1"}), "--sizes=[1: this is not YAML: end of sequence flow not found");
  EXPECT_EQ(refusal_of_text("sizes:\n- 1\n- 2.5\n"), "run.yaml:3:3: sizes[1] expects a whole number, got '2.5'");
  EXPECT_EQ(refusal_of_text("sizes:\n"), "run.yaml:1:1: sizes expects a list such as [1, 2], got null");
}

TEST_F(Config, SetsWholeGroupsFromOneFlag) {
  const TaskOptions options = read({"--trainer={max_steps: 5, logger: null}", "--trainer.max_epochs=2"});
  EXPECT_EQ(options.trainer.max_steps, 5);
  EXPECT_EQ(options.trainer.max_epochs, 2);
  EXPECT_EQ(
      refusal({"--trainer=fast"}),
      "--trainer=fast: trainer is a group of options, got 'fast'; set them one by one, such as trainer.max_steps");
}

TEST_F(Config, ChoosesAClass) {
  for (const Words& arguments : {Words{"--optimizer=SGD", "--optimizer.lr=0.5"},
                                 {"--optimizer", "torch.optim.SGD", "--optimizer.init_args.lr", "0.5"},
                                 {"--optimizer.class_path=StochasticGradientDescent", "--optimizer.lr=0.5"},
                                 {"--optimizer={class_path: SGD, init_args: {lr: 0.5}}"},
                                 {"--optimizer={lr: 0.5, class_path: SGD}"}}) {
    EXPECT_EQ(std::get<SgdOptions>(read(arguments).optimizer).lr, 0.5) << arguments[0];
  }
  EXPECT_EQ(read_text("optimizer: SGD").optimizer.index(), 1u);
  EXPECT_EQ(read_text("optimizer:\n  init_args:\n    warmup: 3\n  class_path: torch.optim.SGD\n").optimizer.index(),
            1u);
  EXPECT_EQ(std::get<AdamWOptions>(read({"--optimizer.lr=3"}).optimizer).lr, 3) << "the default class";
}

TEST_F(Config, StartsAnotherClassFromItsDefaultsAndKeepsTheOptionsOfTheSame) {
  const auto again = read({"--optimizer=AdamW", "--optimizer.lr=3", "--optimizer=AdamW", "--optimizer.amsgrad"});
  EXPECT_EQ(std::get<AdamWOptions>(again.optimizer).lr, 3);
  const auto other = read({"--optimizer.lr=3", "--optimizer=SGD"});
  EXPECT_EQ(std::get<SgdOptions>(other.optimizer).lr, 0.1);
  const auto back = read({"--optimizer.lr=3", "--optimizer=SGD", "--optimizer=AdamW"});
  EXPECT_EQ(std::get<AdamWOptions>(back.optimizer).lr, 0.001);
}

TEST_F(Config, RefusesUnknownClasses) {
  EXPECT_EQ(refusal({"--optimizer=AdmW"}),
            "--optimizer=AdmW: optimizer expects one of AdamW, SGD, NoOptimizer, got 'AdmW'; did you mean AdamW?");
  EXPECT_EQ(refusal_of_text("optimizer:\n  class_path: torch.optim.LBFGS\n"),
            "run.yaml:2:15: optimizer expects one of AdamW, SGD, NoOptimizer, got 'torch.optim.LBFGS'");
  EXPECT_EQ(refusal_of_text("optimizer: [SGD]\n"),
            "run.yaml:1:12: optimizer expects one of AdamW, SGD, NoOptimizer, got a list");
  EXPECT_EQ(refusal_of_text("optimizer: {class_path: SGD, init_args: 5}\n"),
            "run.yaml:1:41: optimizer.init_args expects a mapping of options of SGD, got '5'");
  EXPECT_EQ(refusal_of_text("optimizer: {class_path: SGD, init_args: {betas: [1]}}\n"),
            "run.yaml:1:42: optimizer.betas is not an option of SGD; it is one of AdamW");
  EXPECT_EQ(refusal({"--second.lr=5"}),
            "--second.lr=5: second has no class yet that could have options; choose one of AdamW, SGD, NoOptimizer "
            "first, such as second=AdamW");
}

TEST_F(Config, ReadsListsOfClasses) {
  const auto options = read_text("ensemble:\n- SGD\n- class_path: AdamW\n  init_args: {lr: 2}\n- NoOptimizer\n");
  ASSERT_EQ(options.ensemble.size(), 3u);
  EXPECT_EQ(options.ensemble[0].index(), 1u);
  EXPECT_EQ(std::get<AdamWOptions>(options.ensemble[1]).lr, 2);
  EXPECT_EQ(refusal_of_text("ensemble:\n- {lr: 2}\n"),
            "run.yaml:2:3: ensemble[0] has no class yet that could have options; choose one of AdamW, SGD, "
            "NoOptimizer first, such as ensemble[0]=AdamW");
}

TEST_F(Config, RefusesArgumentsThatAreNoFlags) {
  const std::string advice = "; options look like --name=VALUE or --group.name=VALUE";
  EXPECT_EQ(refusal({"fast"}), "unexpected argument 'fast'" + advice);
  EXPECT_EQ(refusal({"-n", "5"}), "unexpected argument '-n'" + advice);
  EXPECT_EQ(refusal({""}), "unexpected argument ''" + advice);
  EXPECT_EQ(refusal({"--name", "a", "b"}), "unexpected argument 'b'" + advice);
  for (const std::string flag : {"--", "--=5", "--trainer.=5", "--.name=5", "--trainer..max_steps=5"}) {
    EXPECT_EQ(refusal({flag}), "'" + flag + "' is not an option" + advice);
  }
  EXPECT_EQ(refusal({"--name=\xFF"}), "the argument '--name=\\xff' is not UTF-8");
  EXPECT_EQ(refusal({"--name", "\xC3"}), "the value of --name is not UTF-8: '\\xc3'");
  EXPECT_EQ(refusal({"--config"}), "--config expects the name of a file");
  EXPECT_EQ(refusal({"--config="}), "--config expects the name of a file");
  std::string deep = "--a";
  for (int i = 0; i < 100'000; ++i) deep += ".a";
  EXPECT_TRUE(refusal({deep}).ends_with("is not an option" + advice));
}

TEST_F(Config, NamesFilesThatCannotBeReadByTheirAbsolutePath) {
  const std::string missing = (folder_ / "missing.yaml").string();
  EXPECT_EQ(refusal({"--config", missing}), "cannot read the configuration " + missing + ": No such file or directory");
  EXPECT_EQ(refusal({"--config", "no/such.yaml"}), "cannot read the configuration " +
                                                       (std::filesystem::current_path() / "no/such.yaml").string() +
                                                       ": No such file or directory");
  write("x.yaml", "");
  EXPECT_EQ(refusal({"--config", folder_.string()}),
            "cannot read the configuration " + folder_.string() + ": it is a directory");
  const std::string locked = write("locked.yaml", "name: a\n");
  chmod(locked.c_str(), 0);
  if (!std::ifstream(locked)) {  // root reads it all the same
    EXPECT_EQ(refusal({"--config", locked}), "cannot read the configuration " + locked + ": Permission denied");
  }
  EXPECT_EQ(refusal({"--config", "/dev/zero"}), "/dev/zero: the configuration has more than 1048576 bytes");
}

TEST_F(Config, NamesTheFileOfAnError) {
  const std::string file = write("bad.yaml", "name: a\ntrainer:\n  max_step: 5\n");
  EXPECT_EQ(refusal({"--config", file}),
            file + ":3:3: trainer.max_step is not an option; did you mean trainer.max_steps?");
}

TEST_F(Config, LeavesTheOptionsAloneWhereItThrows) {
  TaskOptions options;
  EXPECT_THROW(assign(options, read_arguments({"--name=b", "--sizes=[1, x]"})), ConfigError);
  EXPECT_TRUE(same(options, kDefaults));
}

TEST_F(Config, ReadsJson) {
  TaskOptions options;
  assign_json(options, {{"trainer", {{"max_steps", 5}}}, {"optimizer", {{"class_path", "SGD"}}}}, "state.json");
  EXPECT_EQ(options.trainer.max_steps, 5);
  EXPECT_EQ(options.optimizer.index(), 1u);
  const auto message = [&](const nlohmann::json& json) {
    return message_of([&] { assign_json(options, json, "state.json"); });
  };
  EXPECT_EQ(message({{"trainer", {{"max_steps", "5"}}}}),
            "state.json: trainer.max_steps expects a whole number, got the quoted text '5'; remove the quotes");
  EXPECT_EQ(message({{"trainer", {{"max_steps", 18446744073709551615u}}}}),
            "state.json: trainer.max_steps expects a whole number, got '18446744073709551615'; it must lie in "
            "[-2^63, 2^63)");
  EXPECT_EQ(message({{"trainer", 5}}),
            "state.json: trainer is a group of options, got '5'; set them one by one, such as trainer.max_steps");
  EXPECT_EQ(message(5), "state.json: the configuration is a group of options, got '5'; set them one by one");
  nlohmann::json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = nlohmann::json::array({std::move(deep)});
  EXPECT_EQ(message(deep), "state.json: the configuration is nested deeper than 64 levels");
  EXPECT_EQ(message(std::vector<int>(200'000)), "state.json: the configuration has more than 100000 values");
}

}  // namespace
}  // namespace perceive::core
