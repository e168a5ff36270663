#include "perceive/core/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "perceive/core/error.h"

namespace perceive::core {
namespace {

std::string refusal(const std::string& text, const JsonLimits& limits = {}) {
  try {
    return "no error: " + parse_json(text, "state.json", limits).dump();
  } catch (const FileError& error) {
    return error.what();
  }
}

TEST(Json, ReadsWhatIsWellFormed) {
  for (const std::string text : {R"({"a":[1,-2,2.5,true,false,null,"é\n"],"b":{"a":{}}})", "[]", "5", "\"\"", "null",
                                 "18446744073709551615", "-9223372036854775808"}) {
    EXPECT_EQ(parse_json(text, "x").dump(), nlohmann::json::parse(text).dump());
  }
  EXPECT_EQ(parse_json("  { \"a\" : 1 }\n", "x"), (nlohmann::json{{"a", 1}}));
}

TEST(Json, RefusesDuplicateKeys) {
  EXPECT_EQ(refusal(R"({"a": 1, "b": {"a": 1}, "a": 2})"),
            "state.json: byte 27: the key 'a' stands twice in one object");
  EXPECT_EQ(refusal(R"({"a": 1, "\u0061": 2})"), "state.json: byte 17: the key 'a' stands twice in one object");
}

TEST(Json, RefusesNumbersThatDoNotFit) {
  EXPECT_EQ(refusal("[18446744073709551616]"),
            "state.json: byte 22: the integer '18446744073709551616' has more than 64 bits");
  EXPECT_EQ(refusal("[-9223372036854775809]"),
            "state.json: byte 22: the integer '-9223372036854775809' has more than 64 bits");
  EXPECT_EQ(refusal("1e999"), "state.json: byte 5: this is not JSON: number overflow parsing '1e999'");
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const std::string text : {"", " ", "{", "[1,]", "{\"a\":1,}", "{a:1}", "nan", "[1] [2]", "01", "'a'", "\"\xFF\"",
                                 "{\"a\" 1}", "\"\\ud800\"", "// x\n1", "[1", "\x00"}) {
    EXPECT_TRUE(refusal(text).starts_with("state.json: byte ")) << refusal(text);
    EXPECT_NE(refusal(text).find("this is not JSON: "), std::string::npos) << refusal(text);
  }
  EXPECT_EQ(refusal("[1 2]"),
            "state.json: byte 5: this is not JSON: parse error at line 1, column 4: syntax error while parsing array - "
            "unexpected number literal; "
            "expected ']'");
  EXPECT_LT(refusal("\"" + std::string(1'000'000, 'x')).size(), 300u) << "never quotes the whole input";
}

TEST(Json, RefusesZeroBytes) {
  EXPECT_EQ(refusal(std::string("{}\0 {", 5)), "state.json: byte 2: a zero byte in JSON");
}

TEST(Json, BoundsWhatItReads) {
  EXPECT_EQ(refusal(std::string(5'000'000, '[')), "state.json: byte 65: nested deeper than 64 levels");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(refusal(objects), "state.json: byte 321: nested deeper than 64 levels");
  EXPECT_EQ(refusal("[1,2,3]", {.values = 3}), "state.json: byte 7: more than 3 values");
  EXPECT_EQ(refusal("[1,2,3]", {.bytes = 6}), "state.json: 7 bytes of JSON; the limit is 6");
}

}  // namespace
}  // namespace perceive::core
