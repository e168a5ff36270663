// The .npy header: what numpy writes, and every rule of the format by its message.
#include "perceive/io/formats/npy.h"

#include <gmock/gmock.h>

#include <random>

#include "tests/io/temporary_folder.h"

namespace perceive::io::npy {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string start_of(const std::string& header, int major = 1) {
  std::string start = "\x93NUMPY" + std::string{static_cast<char>(major), '\0'};
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) start += static_cast<char>(header.size() >> (8 * i));
  return start + header;
}
Header parse(const std::string& header, uint64_t data = 0, int major = 1) {
  const std::string start = start_of(header, major);
  return parse_header(start, start.size() + data, "f");
}
std::string refusal(const std::string& header, uint64_t data = 0) {
  return error_of([&] { parse(header, data); });
}
std::string with_shape(const std::string& shape) {
  return "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }";
}

TEST(NpyHeader, ReadsWhatNumpyWrites) {
  const std::string text =
      "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }                                          \n";
  for (const int major : {1, 2, 3}) {
    const auto header = parse(text, 60, major);
    EXPECT_EQ(header.dtype, Dtype::F32);
    EXPECT_EQ(header.shape, (std::vector<int64_t>{3, 5}));
    EXPECT_EQ(header.data, text.size() + (major == 1 ? 10 : 12));
  }
  EXPECT_EQ(parse("{'descr': '<f8', 'fortran_order': False, 'shape': (7,), }\n", 56).dtype, Dtype::F64);
  EXPECT_EQ(parse("{'descr': '<f2', 'fortran_order': False, 'shape': (), }\n", 2).dtype, Dtype::F16);
}

TEST(NpyHeader, TakesTheDictInAnyOrderAndSpacing) {
  EXPECT_EQ(parse("{\"shape\":(2,0,\t4),'fortran_order':False , 'descr':\"<f4\"}").shape,
            (std::vector<int64_t>{2, 0, 4}));
  EXPECT_EQ(parse(with_shape("(3, 4,)"), 48).shape, (std::vector<int64_t>{3, 4}));
}

TEST(NpyHeader, RefusesAnotherKindOfFile) {
  const auto first = [](const std::string& start, uint64_t size) {
    return error_of([&] { parse_header(start, size, "f"); });
  };
  EXPECT_EQ(first("", 0), "f: not an .npy file: expected it to begin with \\x93NUMPY; found nothing");
  EXPECT_THAT(first("PK\x03\x04 zip", 8), HasSubstr("found `PK\\x03\\x04 z`"));
  EXPECT_EQ(first("\x93NUMPY", 6), "f: truncated: an .npy file needs 12 bytes, it has 6");
  EXPECT_THAT(first(std::string("\x93NUMPY\x01\0\x05", 9), 9), HasSubstr("needs 10 bytes, it has 9"));
  EXPECT_THAT(first(std::string("\x93NUMPY\x04\0\0\0\0\0", 12), 12),
              HasSubstr("expected .npy format 1.0, 2.0 or 3.0; found 4.0"));
  EXPECT_THAT(first(std::string("\x93NUMPY\x01\x01\0\0\0\0", 12), 12), HasSubstr("found 1.1"));
  EXPECT_THAT(first(std::string("\x93NUMPY\x01\0\x20\0{}", 12), 12),
              HasSubstr("truncated: the .npy header needs 32 bytes after the first 10, the file has 2"));
  EXPECT_THAT(first(std::string("\x93NUMPY\x02\0\xff\xff\xff\xff{}", 14), 14),
              HasSubstr("announces an .npy header of 4294967295 bytes; at most 65524"));
}

TEST(NpyHeader, RefusesNumbersThatAreNotReadHere) {
  const auto with_descr = [](const std::string& descr) {
    return refusal("{'descr': " + descr + ", 'fortran_order': False, 'shape': (1,), }", 8);
  };
  EXPECT_THAT(with_descr("'>f4'"), HasSubstr("expected one of the dtypes '<f2', '<f4', '<f8'; found `>f4`, which is "
                                             "big-endian"));
  EXPECT_THAT(with_descr("'|O'"), HasSubstr("found `|O`, which is of Python objects"));
  EXPECT_THAT(with_descr("'<i8'"), HasSubstr("found `<i8`"));
  EXPECT_THAT(with_descr("[('x', '<f4'), ('y', '<f4')]"), HasSubstr("the numbers are records"));
  EXPECT_THAT(with_descr("4"), HasSubstr("expected a string that names the dtype at byte 20 of the file; found `4"));
  EXPECT_THAT(refusal("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", 24),
              AllOf(HasSubstr("Fortran order"), HasSubstr("expected C order")));
}

TEST(NpyHeader, RefusesEverythingElseThatPythonCanSay) {
  EXPECT_THAT(refusal(""), HasSubstr("expected a dict, `{` at byte 10 of the file; found its end"));
  EXPECT_THAT(refusal("[]"), HasSubstr("expected a dict, `{` at byte 10 of the file; found `[]`"));
  EXPECT_THAT(refusal("{}"), HasSubstr("the key 'descr' is missing"));
  EXPECT_THAT(refusal("{'descr': '<f4', 'shape': (1,)}"), HasSubstr("the key 'fortran_order' is missing"));
  EXPECT_THAT(refusal("{'descr': '<f4', 'fortran_order': False}"), HasSubstr("the key 'shape' is missing"));
  EXPECT_THAT(refusal("{'descr': '<f4', 'descr': '<f4'}"), HasSubstr("the key 'descr' comes twice"));
  EXPECT_THAT(refusal("{'fortran_order': False, 'fortran_order': False}"), HasSubstr("'fortran_order' comes twice"));
  EXPECT_THAT(refusal("{'shape': (), 'shape': ()}"), HasSubstr("the key 'shape' comes twice"));
  EXPECT_THAT(refusal("{'offset': 3}"), HasSubstr("the key `offset` is none of"));
  EXPECT_THAT(refusal("{'\x1b[31m': 3}"), HasSubstr("the key `\\x1b[31m` is none of"));
  EXPECT_THAT(refusal("{descr: 3}"), HasSubstr("expected one of the keys"));
  EXPECT_THAT(refusal("{'descr' '<f4'}"), HasSubstr("expected `:`"));
  EXPECT_THAT(refusal("{'descr': '<f4' 'shape': ()}"), HasSubstr("expected `,` or `}`"));
  EXPECT_THAT(refusal("{'descr"), HasSubstr("expected the end of a string"));
  EXPECT_THAT(refusal("{'de\\'scr': 1}"), HasSubstr("expected a string without escapes"));
  EXPECT_THAT(refusal("{'fortran_order': 0"), HasSubstr("expected True or False"));
  EXPECT_THAT(refusal(with_shape("(1,)") + "; import os", 4), HasSubstr("expected nothing after the dict"));
  EXPECT_THAT(refusal("{" + std::string(60'000, '(')), AllOf(HasSubstr("expected one of the keys"), HasSubstr("…`")));
}

TEST(NpyHeader, RefusesShapesThatAreNone) {
  const auto shape = [](const std::string& text) { return refusal(with_shape(text), 4); };
  EXPECT_THAT(shape("[1]"), HasSubstr("expected a tuple of sizes"));
  EXPECT_THAT(shape("(1)"), HasSubstr("a tuple of one size is written (n,)"));
  for (const char* text : {"(-1,)", "(1.5,)", "(1e3,)", "(1L,)", "(0x10,)", "(1_0,)", "(1 0,)", "(,)", "((1,),)",
                           "(1;2)", "(1, 2; 3)", "(None,)", "(1,"}) {
    EXPECT_THAT(shape(text), HasSubstr("f: the .npy header: expected")) << text;
  }
  EXPECT_THAT(shape("(007,)"), HasSubstr("a size without zeros in front"));
  EXPECT_THAT(shape("(9223372036854775808,)"), HasSubstr("a size exceeds 2^63 - 1"));
  EXPECT_THAT(shape("(99999999999999999999999999,)"), HasSubstr("a size exceeds 2^63 - 1"));
  EXPECT_THAT(shape("(9223372036854775807, 2)"), HasSubstr("an array of the shape (9223372036854775807, 2) overflows"));
  EXPECT_THAT(shape("(4294967296, 4294967296, 0)"), HasSubstr("overflows"));
  std::string many = "(";
  for (int i = 0; i < 65; ++i) many += "1,";
  EXPECT_THAT(shape(many + ")"), HasSubstr("the shape has more than 64 axes"));
}

TEST(NpyHeader, RefusesAFileOfAnotherSize) {
  EXPECT_THAT(refusal(with_shape("(3, 5)"), 59),
              HasSubstr("f: truncated: (3, 5) numbers of '<f4' need 60 bytes after the header, the file has 59"));
  EXPECT_THAT(refusal(with_shape("(3, 5)"), 61), HasSubstr("f: too long: (3, 5) numbers of '<f4' need 60 bytes"));
  EXPECT_EQ(refusal(with_shape("(0, 5)"), 0), "(no error)");
}

TEST(NpyHeader, SurvivesRandomDamage) {
  const std::string start = start_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }       \n");
  std::mt19937 random(1);
  for (int round = 0; round < 50'000; ++round) {
    std::string bytes = start;
    for (int i = 0; i < 1 + round % 4; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(random() % 3 == 0 ? random() % bytes.size() : bytes.size());
    try {
      const auto header = parse_header(bytes, bytes.size() + 60, "f");
      ASSERT_LE(header.data, bytes.size());
    } catch (const core::FileError&) {
    }
  }
}

}  // namespace
}  // namespace perceive::io::npy
