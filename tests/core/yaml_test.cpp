#include <gtest/gtest.h>

#include <chrono>

#include "perceive/core/error.h"
#include "perceive/core/value.h"

namespace perceive::core {
namespace {

std::string repeated(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

// The value in a notation of its own: q'…' for quoted, and places where asked for.
std::string shown(const Value& value) {
  std::string text;
  switch (value.kind) {
    case Value::Kind::null:
      return "null";
    case Value::Kind::scalar:
      return (value.style == Value::Style::quoted ? "q" : "") + ("'" + value.text + "'");
    case Value::Kind::list:
      for (const Value& item : value.items) text += (text.empty() ? "" : ", ") + shown(item);
      return "[" + text + "]";
    case Value::Kind::map:
      for (const auto& entry : value.entries)
        text += (text.empty() ? "" : ", ") + entry.key + ": " + shown(entry.value);
      return "{" + text + "}";
  }
  return text;
}
std::string read(const std::string& yaml) {
  return shown(parse_yaml(yaml, "run.yaml"));
}
std::string refusal(const std::string& yaml) {
  try {
    return "no error: " + read(yaml);
  } catch (const ConfigError& error) {
    return error.what();
  }
}

TEST(Yaml, ReadsMappingsListsAndScalars) {
  EXPECT_EQ(read("a: 1\nb:\n- x\n- 'y'\nc: {d: \"z\", e: }\n"), "{a: '1', b: ['x', q'y'], c: {d: q'z', e: null}}");
  EXPECT_EQ(read("{\n\t\"a\": [1,\n\t2]}\n"), "{a: ['1', '2']}") << "JSON, indented with tabs";
}

TEST(Yaml, KnowsWhereThingsStand) {
  const Value value = parse_yaml("a: 1\nb:\n  c: [5,\n    6]\n", "run.yaml");
  const Value::Entry& c = value.entries[1].value.entries[0];
  EXPECT_EQ(c.origin.text(), "run.yaml:3:3");
  EXPECT_EQ(c.value.origin.text(), "run.yaml:3:6");
  EXPECT_EQ(c.value.items[1].origin.text(), "run.yaml:4:5");
}

TEST(Yaml, ReadsNothingAsNothing) {
  for (const char* text : {"", "\n", "# only this\n", "---\n", "{}", "\xEF\xBB\xBF"})
    EXPECT_EQ(read(text), "{}") << text;
}

TEST(Yaml, AcceptsByteOrderMarksAndWindowsLines) {
  EXPECT_EQ(read("\xEF\xBB\xBF"
                 "a: 1\n"),
            "{a: '1'}");
  EXPECT_EQ(read("a: 1\r\nb:\r\n  c: |\r\n    x\r\n    y\r\n"), "{a: '1', b: {c: q'x\ny\n'}}");
}

TEST(Yaml, RefusesDuplicateKeysWithBothPlaces) {
  EXPECT_EQ(refusal("a: 1\nb: 2\na: 3\n"),
            "run.yaml:3:1: the key 'a' stands here a second time; the first is at run.yaml:1:1");
  EXPECT_EQ(refusal("x:\n  a: 1\n  \"a\": 1\n"),
            "run.yaml:3:3: the key 'a' stands here a second time; the first is at run.yaml:2:3");
  EXPECT_EQ(refusal("x: {a: 1, a: 1}"),
            "run.yaml:1:11: the key 'a' stands here a second time; the first is at run.yaml:1:5");
}

TEST(Yaml, RefusesWhatIsNotAMapping) {
  const std::string message = ": a configuration is a mapping, with lines such as 'name: value'";
  EXPECT_EQ(refusal("a"), "run.yaml:1:1" + message);
  EXPECT_EQ(refusal("a:1"), "run.yaml:1:1" + message);
  EXPECT_EQ(refusal("- a\n"), "run.yaml:1:1" + message);
  EXPECT_EQ(refusal("a: 1\nb\n"), "run.yaml:2:1: 'b' has no value; write 'name: value'");
  EXPECT_EQ(refusal("a: 1\n---\nb: 2\n"), "run.yaml:2:1: a second document begins where one is expected");
  EXPECT_EQ(refusal("a: 1\n...\nb: 2\n"), "run.yaml:3:1: a second document begins where one is expected");
}

TEST(Yaml, RefusesTabsAsIndentation) {
  EXPECT_EQ(refusal("a:\n\tb: 1\n"), "run.yaml:2:3: this is not YAML: illegal map value");
  EXPECT_EQ(refusal("a:\n  b: 1\n\tc: 2\n"),
            "run.yaml:3:1: this is not YAML: illegal tab when looking for indentation");
}

TEST(Yaml, RefusesWhatIsNotText) {
  EXPECT_EQ(refusal("a: 1\nb: \xFF\n"), "run.yaml:2:4: this is not UTF-8 text");
  EXPECT_EQ(refusal("a: \xC3"), "run.yaml:1:4: this is not UTF-8 text");
  EXPECT_EQ(refusal(std::string("\xFF\xFE"
                                "a\0:\0",
                                6)),
            "run.yaml:1:1: this is not UTF-8 text");
  EXPECT_EQ(refusal("a: \xED\xA0\x80"), "run.yaml:1:4: this is not UTF-8 text") << "a surrogate";
  EXPECT_EQ(refusal("a: \xC0\xAF"), "run.yaml:1:4: this is not UTF-8 text") << "overlong";
  EXPECT_EQ(refusal(std::string("a: 1\nb\0: 2\n", 11)), "run.yaml:2:2: a NUL byte does not belong in a text");
  EXPECT_EQ(refusal("a: 1\rb: 2\r"), "run.yaml:1:5: a carriage return without a line feed");
  EXPECT_EQ(refusal("a: \"\\N\"\n"), "run.yaml:1:4: '\\x85' is not UTF-8") << "yaml-cpp's reading of \\N";
  EXPECT_TRUE(refusal("a: \"\\ud800\"\n").starts_with("run.yaml:1:11: this is not YAML: "))
      << refusal("a: \"\\ud800\"\n");
}

TEST(Yaml, RefusesTagsAndKeysThatAreNoNames) {
  EXPECT_EQ(refusal("a: !!int 5\n"),
            "run.yaml:1:4: the tag 'tag:yaml.org,2002:int' is not supported; the option decides what a text means");
  EXPECT_EQ(refusal("a: !python/object []\n"),
            "run.yaml:1:4: the tag '!python/object' is not supported; the option decides what a text means");
  EXPECT_EQ(refusal("? [a]\n: 1\n"), "run.yaml:1:3: a key must be a name, not a list, a mapping or null");
  EXPECT_EQ(refusal(": 1\n"), "run.yaml:1:1: a key must be a name, not a list, a mapping or null");
  EXPECT_EQ(refusal("~: 1\n"), "run.yaml:1:1: a key must be a name, not a list, a mapping or null");
}

TEST(Yaml, ExpandsAliases) {
  EXPECT_EQ(read("a: &x [1, &y 2]\nb: *x\nc: *y\n"), "{a: ['1', '2'], b: ['1', '2'], c: '2'}");
  EXPECT_EQ(refusal("a: *x\n"), "run.yaml:1:4: this is not YAML: the referenced anchor is not defined");
  EXPECT_EQ(refusal("a: &x [*x]\n"), "run.yaml:1:8: an alias stands inside of what it is an alias of");
}

TEST(Yaml, BoundsWhatItReads) {
  const std::string too_deep = "the configuration is nested deeper than 64 levels";
  const std::string too_many = "the configuration has more than 100000 values";
  const std::string too_long = "run.yaml: the configuration has more than 1048576 bytes";
  EXPECT_TRUE(refusal(repeated("[", 200'000)).ends_with(too_deep));
  EXPECT_TRUE(refusal(repeated("[", 200'000) + repeated("]", 200'000)).ends_with(too_deep));
  EXPECT_EQ(refusal(repeated("{a: ", 200'000)), "run.yaml:1:253: " + too_deep);
  EXPECT_EQ(refusal(repeated("- ", 200'000)), "run.yaml:1:129: " + too_deep);
  EXPECT_TRUE(refusal(repeated("? ", 200'000)).ends_with(too_deep));
  EXPECT_TRUE(refusal("a: [" + repeated(",", 500'000)).ends_with(too_many));
  EXPECT_EQ(refusal("a: [" + repeated("1,", 200'000) + "]"), "run.yaml:1:200003: " + too_many);
  EXPECT_EQ(refusal(std::string(2 << 20, ' ')), too_long);
  EXPECT_EQ(read("a: '" + std::string(1'000'000, 'x') + "'").size(), 1'000'000u + 8);

  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 20; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + repeated(before + ", ", 9) + "]\n";
  }
  EXPECT_TRUE(refusal(bomb).ends_with(too_many)) << refusal(bomb);
  std::string tower = "a0: &a0 [x]\n";
  for (int i = 1; i < 200; ++i) {
    tower += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
  }
  EXPECT_TRUE(refusal(tower).ends_with(too_deep)) << refusal(tower);
}

TEST(Yaml, SurvivesRandomDamage) {
  const std::string good =
      "name: é\ntrainer: &t\n  max_steps: 5\n  list: [1, {a: 'b'}, \"c\\n\"]\nmore: *t\nblock: |\n  x\n";
  uint64_t random = 1;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = good;
    for (int changes = 0; changes < 3; ++changes) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      constexpr char kBytes[] = " \t\n\r:-?[]{},&*!|>'\"%@#a~\x80\xC3\\";
      damaged[(random >> 33) % damaged.size()] = kBytes[(random >> 20) % (sizeof(kBytes) - 1)];
    }
    const std::string outcome = refusal(damaged);
    EXPECT_TRUE(outcome.starts_with("no error: {") || outcome.starts_with("run.yaml:")) << outcome;
  }
}

}  // namespace
}  // namespace perceive::core
