// The safetensors header: every rule of the format, by its message, and its layout.
#include "perceive/io/formats/safetensors.h"

#include <gmock/gmock.h>

#include <random>

#include "tests/io/temporary_folder.h"

namespace perceive::io::safetensors {
namespace {

using testing::HasSubstr;

// Reads a file of this header and so many bytes of data.
Header parse(const std::string& json, uint64_t data = 0) {
  return parse_header(json, 8 + json.size() + data, "f");
}
std::string refusal(const std::string& json, uint64_t data = 0) {
  return error_of([&] { parse(json, data); });
}
std::string one(const std::string& entry) {
  return R"({"a":{)" + entry + "}}";
}

TEST(SafetensorsHeader, ReadsTensorsInTheOrderOfTheirBytes) {
  const auto header = parse(
      R"({"b":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},"__metadata__":{"k":"v","":"é"},)"
      R"("a":{"data_offsets":[0,8],"shape":[],"dtype":"I64"},"none":{"dtype":"U8","shape":[0,5],"data_offsets":[8,8]}} )",
      32);
  ASSERT_EQ(header.entries.size(), 3);
  EXPECT_EQ(header.entries[0].name, "a");
  EXPECT_TRUE(header.entries[0].shape.empty());
  EXPECT_EQ(header.entries[1].name, "none");
  EXPECT_EQ(header.entries[2].name, "b");
  EXPECT_EQ(header.entries[2].dtype, Dtype::F32);
  EXPECT_EQ(header.entries[2].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(header.metadata, (std::map<std::string, std::string>{{"k", "v"}, {"", "é"}}));
}

TEST(SafetensorsHeader, TakesNoTensorsAtAll) {
  EXPECT_TRUE(parse("{}").entries.empty());
  EXPECT_TRUE(parse("{}  \n\t ").entries.empty());
  EXPECT_TRUE(parse(R"({"__metadata__":{}})").metadata.empty());
}

TEST(SafetensorsHeader, PassesOverUnknownKeysOfAnEntryAsTheReferenceDoes) {
  const auto header = parse(one(R"("x":[1,{"shape":[null]},-2.5],"dtype":"F32","y":{"a":{}},"shape":[1],"z":true,)"
                                R"("data_offsets":[0,4])"),
                            4);
  EXPECT_EQ(header.entries.at(0).shape, (std::vector<int64_t>{1}));
}

TEST(SafetensorsHeader, ListsEveryDtype) {
  for (const auto& dtype : kDtypes) {
    const auto header = parse(one(std::string(R"("dtype":")") + dtype.name + R"(","shape":[2,4],"data_offsets":[0,)" +
                                  std::to_string(dtype.bits) + "]"),
                              dtype.bits);
    EXPECT_EQ(header.entries.at(0).dtype, dtype.dtype) << dtype.name;
  }
}

TEST(SafetensorsHeader, RefusesLengthsThatCannotBe) {
  const auto length = [](std::string first, uint64_t size) {
    return error_of([&] { header_bytes(first, size, "f"); });
  };
  for (uint64_t size = 0; size < 8; ++size) {
    EXPECT_EQ(length(std::string(size, '\0'), size),
              "f: not a safetensors file: expected at least 8 bytes, found " + std::to_string(size));
  }
  EXPECT_EQ(header_bytes(std::string(8, '\0'), 8, "f"), 0);
  EXPECT_THAT(length(std::string("\x09\0\0\0\0\0\0\0", 8), 16),
              HasSubstr("the header needs 9 bytes after the first 8, the file has 8"));
  EXPECT_THAT(length(std::string("\0\0\0\0\0\0\0\x80", 8), 16),
              HasSubstr("announce a header of 9223372036854775808 bytes"));
  EXPECT_THAT(length(std::string("\x01\xe1\xf5\x05\0\0\0\0", 8), 200'000'000),
              HasSubstr("a header of 100000001 bytes; at most 100000000"));
  EXPECT_EQ(header_bytes(std::string("\x00\xe1\xf5\x05\0\0\0\0", 8), 200'000'000, "f"), 100'000'000);
}

TEST(SafetensorsHeader, RefusesWhatIsNotAJsonObject) {
  EXPECT_THAT(refusal(""), HasSubstr("the header must start with '{' at byte 8; found nothing"));
  EXPECT_THAT(refusal(" {}"), HasSubstr("the header must start with '{' at byte 8; found \" \""));
  EXPECT_THAT(refusal("[]"), HasSubstr("found \"[\""));
  EXPECT_THAT(refusal("{"), HasSubstr("f: the header is not valid JSON, at byte 9 of the file"));
  EXPECT_THAT(refusal("{}{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal(std::string("{}\0{", 4)), HasSubstr("the header is not valid JSON: it holds a zero at byte 10"));
  EXPECT_THAT(refusal("{/**/}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"\xff\":{}}"), HasSubstr("f: the header is not valid UTF-8, at byte 10 of the file"));
  EXPECT_THAT(refusal("{\"a\":" + std::string(200'000, '[')), HasSubstr("\"a\" must be an object; found a list"));
  EXPECT_THAT(refusal(R"({"a":{"x":)" + std::string(200'000, '[')), HasSubstr("not valid JSON"));
  for (const char* value : {"1", "-1", "1.5", "\"x\"", "true", "null", "[]"}) {
    EXPECT_THAT(refusal(std::string(R"({"a":)") + value + "}"), HasSubstr("tensor \"a\" must be an object; found"));
  }
}

TEST(SafetensorsHeader, RefusesMetadataThatIsNotStrings) {
  for (const char* value : {"1", "-1", "1.5", "true", "null", "[]", "{}"}) {
    EXPECT_THAT(refusal(std::string(R"({"__metadata__":{"k":)") + value + "}}"),
                HasSubstr("\"__metadata__\" must hold strings only; found"));
  }
  EXPECT_THAT(refusal(R"({"__metadata__":null})"), HasSubstr("\"__metadata__\" must be an object; found null"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"k":"a","k":"b"}})"), HasSubstr("has \"k\" twice"));
  EXPECT_THAT(refusal(R"({"__metadata__":{},"__metadata__":{}})"), HasSubstr("\"__metadata__\" comes twice"));
}

TEST(SafetensorsHeader, RefusesEntriesThatLackOrRepeatSomething) {
  EXPECT_THAT(refusal(one(R"("shape":[1],"data_offsets":[0,4])"), 4), HasSubstr("tensor \"a\" has no \"dtype\""));
  EXPECT_THAT(refusal(one(R"("dtype":"F32","data_offsets":[0,4])"), 4), HasSubstr("tensor \"a\" has no \"shape\""));
  EXPECT_THAT(refusal(one(R"("dtype":"F32","shape":[1])"), 4), HasSubstr("tensor \"a\" has no \"data_offsets\""));
  EXPECT_THAT(refusal(one(R"("dtype":"F32","dtype":"F32")")), HasSubstr("tensor \"a\" has \"dtype\" twice"));
  EXPECT_THAT(refusal(one(R"("shape":[],"shape":[])")), HasSubstr("tensor \"a\" has \"shape\" twice"));
  EXPECT_THAT(refusal(one(R"("dtype":"F33")")), HasSubstr("tensor \"a\" has the unknown dtype \"F33\""));
  const std::string entry = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  EXPECT_EQ(refusal(R"({"a":)" + entry + R"(,"b":)" + entry + R"(,"a":)" + entry + "}"), "f: tensor \"a\" comes twice");
}

TEST(SafetensorsHeader, RefusesValuesOfTheWrongType) {
  for (const char* value : {"1", "null", "[]", "{}", "true", "-1", "1.5"}) {
    EXPECT_THAT(refusal(one(std::string(R"("dtype":)") + value)),
                HasSubstr("tensor \"a\" \"dtype\" must be a string; found"));
  }
  for (const char* value : {"1", "null", "\"x\"", "{}", "true", "-1", "1.5"}) {
    EXPECT_THAT(refusal(one(std::string(R"("shape":)") + value)),
                HasSubstr("\"shape\" must be a list of numbers; found"));
  }
  for (const char* value : {"-1", "-0", "1.5", "1e3", "18446744073709551616", "null", "\"1\"", "[1]", "{}", "false"}) {
    EXPECT_THAT(refusal(one(std::string(R"("shape":[)") + value + "]")),
                HasSubstr("tensor \"a\" \"shape\" must hold whole numbers from 0; found"))
        << value;
    EXPECT_THAT(refusal(one(std::string(R"("data_offsets":[0,)") + value + "]")),
                HasSubstr("tensor \"a\" \"data_offsets\" must hold whole numbers from 0; found"))
        << value;
  }
  EXPECT_THAT(refusal(one(R"("shape":[9223372036854775808])")), HasSubstr("numbers end at 2^63 - 1"));
  EXPECT_THAT(refusal(one(R"("dtype":"F32","shape":[1],"data_offsets":[0])")),
              HasSubstr("must be two numbers; found 1"));
  EXPECT_THAT(refusal(one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4])")),
              HasSubstr("must be two numbers; found 3"));
}

// Two U8 tensors at these offsets of a file with `data` bytes.
std::string refusal_of_ranges(int a0, int a1, int b0, int b1, int data) {
  const auto entry = [](int begin, int end) {
    return R"({"dtype":"U8","shape":[)" + std::to_string(std::abs(end - begin)) + R"(],"data_offsets":[)" +
           std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  return refusal(R"({"a":)" + entry(a0, a1) + R"(,"b":)" + entry(b0, b1) + "}", static_cast<uint64_t>(data));
}

TEST(SafetensorsHeader, RefusesHolesOverlapsAndBytesThatBelongToNobody) {
  EXPECT_EQ(refusal_of_ranges(0, 4, 4, 9, 9), "(no error)");
  EXPECT_EQ(refusal_of_ranges(5, 9, 0, 5, 9), "(no error)");
  EXPECT_THAT(refusal_of_ranges(0, 4, 5, 9, 9),
              HasSubstr("tensor \"b\", bytes 5 to 9 of the data: leaves a hole: expected to begin at 4"));
  EXPECT_THAT(refusal_of_ranges(1, 4, 4, 9, 9),
              HasSubstr("tensor \"a\", bytes 1 to 4 of the data: leaves a hole: expected to begin at 0"));
  EXPECT_THAT(refusal_of_ranges(0, 4, 3, 9, 9),
              HasSubstr("tensor \"b\", bytes 3 to 9 of the data: overlaps another: expected to begin at 4"));
  EXPECT_THAT(refusal_of_ranges(0, 4, 4, 2, 4),
              HasSubstr("tensor \"b\", bytes 4 to 2 of the data: ends before it begins"));
  EXPECT_THAT(refusal_of_ranges(0, 4, 4, 9, 8), HasSubstr("truncated: the file has 8 bytes of data"));
  EXPECT_EQ(refusal_of_ranges(0, 4, 4, 9, 13),
            "f: the tensors fill 9 bytes, the file has 13 bytes of data: 4 too many at its end");
  EXPECT_EQ(refusal("{}", 1), "f: the tensors fill 0 bytes, the file has 1 bytes of data: 1 too many at its end");
}

TEST(SafetensorsHeader, RefusesSizesThatDoNotFit) {
  EXPECT_THAT(refusal(one(R"("dtype":"F32","shape":[2,3],"data_offsets":[0,20])"), 20),
              HasSubstr("its shape and dtype F32 need 24 bytes, it has 20"));
  const char* overflowing[] = {"[4294967296,4294967296]", "[9223372036854775807]", "[9223372036854775807,0]",
                               "[0,9223372036854775807,9223372036854775807]", "[288230376151711744]"};
  for (const char* shape : overflowing) {
    EXPECT_THAT(refusal(one(std::string(R"("dtype":"U64","shape":)") + shape + R"(,"data_offsets":[0,0])")),
                HasSubstr("overflows"))
        << shape;
  }
  EXPECT_THAT(refusal(one(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])"), 2),
              HasSubstr("3 elements of F4 do not fill whole bytes"));
  EXPECT_EQ(refusal(one(R"("dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3])"), 3), "(no error)");
}

TEST(SafetensorsHeader, ShortensLongNamesInMessages) {
  const std::string message = refusal(R"({")" + std::string(1'000'000, 'n') + R"(":1})");
  EXPECT_LT(message.size(), 300);
  EXPECT_THAT(message, HasSubstr("(1000000 bytes)"));
  EXPECT_THAT(refusal(R"({"a\u0000/\u001b[31m":1})"), HasSubstr(R"(tensor "a\u0000/\u001b[31m" must be)"));
}

TEST(SafetensorsHeader, ReadsAMillionTensors) {
  Header header;
  for (int i = 0; i < 1'000'000; ++i) header.entries.push_back({std::to_string(i), Dtype::U8, {1}});
  const std::string start = lay_out(header, "f");
  EXPECT_EQ(parse(start.substr(8), 1'000'000).entries.size(), 1'000'000);
}

TEST(SafetensorsHeader, LaysOutByDtypeThenNamePaddedToEightBytes) {
  Header header{{{"zz", Dtype::U8, {3}}, {"b", Dtype::F32, {2}}, {"a", Dtype::F32, {}}, {"q/é\"", Dtype::I64, {1, 1}}},
                {{"k", "v"}}};
  const std::string start = lay_out(header, "f");
  EXPECT_EQ(start.size() % 8, 0);
  EXPECT_EQ(header_bytes(start, start.size() + 23, "f"), start.size() - 8);
  EXPECT_EQ(
      start.substr(8),
      R"({"__metadata__":{"k":"v"},"q/é\"":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]},)"
      R"("a":{"dtype":"F32","shape":[],"data_offsets":[8,12]},"b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]},)"
      R"("zz":{"dtype":"U8","shape":[3],"data_offsets":[20,23]}}       )");
}

TEST(SafetensorsHeader, RefusesToWriteWhatNobodyCouldRead) {
  const auto refused = [](const std::string& name, std::map<std::string, std::string> metadata = {}) {
    Header header{{{name, Dtype::U8, {}}}, std::move(metadata)};
    return error_of([&] { lay_out(header, "f"); });
  };
  EXPECT_EQ(refused("__metadata__"), "f: no tensor can be named __metadata__");
  EXPECT_THAT(refused("\xff"), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(refused("a", {{"k", "\xff"}}), HasSubstr("cannot write the metadata: not valid UTF-8"));
}

TEST(SafetensorsHeader, SurvivesRandomDamage) {
  Header header{{{"weight", Dtype::F32, {3, 5}}, {"bias", Dtype::BF16, {7}}, {"n", Dtype::I64, {}}},
                {{"format", "pt"}}};
  const std::string start = lay_out(header, "f");
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = start;
    for (int i = 0; i < 1 + round % 4; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(random() % 3 == 0 ? random() % bytes.size() : bytes.size());
    const uint64_t size = bytes.size() + 82;
    try {
      const auto n = header_bytes(std::string_view(bytes).substr(0, 8), size, "f");
      const auto text = std::string_view(bytes).substr(8, n);
      for (const auto& entry : parse_header(text, size, "f").entries) {
        ASSERT_LE(entry.end, size - 8 - text.size());
      }
    } catch (const core::FileError&) {
    }
  }
}

}  // namespace
}  // namespace perceive::io::safetensors
