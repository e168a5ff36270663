// Zip archives: what the writer writes, what others write, and damage of every kind.
#include "perceive/io/formats/zip.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include <random>

#include "tests/io/archive.h"

namespace perceive::io::zip {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& bytes) {
  return error_of([&] {
    const Archive archive(bytes_of(bytes, "f"));
    for (const auto& entry : archive.entries()) archive.read(entry);
  });
}

template <class Number>
std::string number(Number value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

TEST(Zip, ReadsWhatItWrote) {
  const Records records{{"a/data.pkl", "pickle"}, {"a/data/0", std::string(1000, 'x')}, {"a/empty", ""}, {"ü", "1"}};
  const std::string bytes = zip_of(records);
  EXPECT_EQ(bytes, zip_of(records));
  const Archive archive(bytes_of(bytes, "f"));
  ASSERT_EQ(archive.entries().size(), records.size());
  for (const auto& [name, content] : records) {
    const Entry* entry = archive.find(name);
    ASSERT_NE(entry, nullptr) << name;
    EXPECT_EQ(archive.read(*entry), content);
    EXPECT_EQ(entry->begin % kAlignment, 0);
  }
  EXPECT_EQ(archive.find("a"), nullptr);
  EXPECT_EQ(refusal(zip_of({})), "(no error)");
}

TEST(Zip, ReadsWhatTorchAndPythonWrite) {
  for (const char* name : {"dtypes.pt", "deflated.pt", "big_endian.pt", "script.pt"}) {
    EXPECT_EQ(refusal(golden_pt(name)), "(no error)") << name;
  }
  const std::string stored = golden_pt("linear_protocol2.pt"), deflated = golden_pt("deflated.pt");
  const Archive a(bytes_of(stored, "a")), b(bytes_of(deflated, "b"));
  const std::string name = "linear_protocol2/data.pkl";
  ASSERT_NE(a.find(name), nullptr);
  ASSERT_NE(b.find(name), nullptr);
  EXPECT_TRUE(b.find(name)->deflated);
  EXPECT_EQ(a.read(*a.find(name)), b.read(*b.find(name)));
}

TEST(Zip, ReadsMoreEntriesThanTheOldFormatCounts) {
  Records records;
  for (int i = 0; i < 66'000; ++i) records.emplace_back(std::to_string(i), "");
  const std::string bytes = zip_of(records);
  EXPECT_EQ(Archive(bytes_of(bytes, "f")).entries().size(), 66'000);
  EXPECT_THAT(refusal(replaced(bytes, "PK\6\6", "PK\6\7")), HasSubstr("expected the zip64 end of the directory"));
}

TEST(Zip, RefusesNamesThatLeadOut) {
  const auto named = [](const std::string& name) { return refusal(zip_of({{name, "x"}})); };
  EXPECT_THAT(named(""), HasSubstr("f: entry '' is empty"));
  EXPECT_THAT(named("/etc/passwd"), HasSubstr("f: entry '/etc/passwd' is not relative"));
  EXPECT_THAT(named("a\\b"), HasSubstr("is not relative"));
  EXPECT_THAT(named("../a"), HasSubstr("leads out of the archive"));
  EXPECT_THAT(named("a/.."), HasSubstr("leads out of the archive"));
  EXPECT_THAT(named("a/../b"), HasSubstr("leads out of the archive"));
  EXPECT_THAT(named(std::string("a\0b", 3)), HasSubstr("holds a zero"));
  EXPECT_EQ(named("a/..b/.c"), "(no error)");
  EXPECT_THAT(refusal(zip_of({{"a", "1"}, {"b", ""}, {"a", "2"}})), HasSubstr("f: entry 'a' comes twice"));
}

TEST(Zip, ComparesChecksums) {
  const std::string bytes = zip_of({{"a", "content"}});
  EXPECT_THAT(refusal(replaced(bytes, "content", "contend")),
              HasSubstr("f: entry 'a' is damaged: expected the checksum"));
}

TEST(Zip, RefusesTwoAccountsOfOneEntry) {
  const std::string bytes = zip_of({{"name", "content"}});
  EXPECT_THAT(refusal(replaced(bytes, "name", "nama")), HasSubstr("contradicts the zip directory"));
  EXPECT_THAT(refusal(replaced(bytes, "name", "nama", 1)), HasSubstr("contradicts the zip directory"));
  // Two entries of the directory with one header.
  const std::string two = zip_of({{"a", std::string(100, 'a')}, {"b", "x"}});
  const uint32_t second = static_cast<uint32_t>(two.find("PK\3\4", 4));
  EXPECT_THAT(refusal(replaced(two, number(second) + "b", number(uint32_t{0}) + "b")), HasSubstr("overlaps"));
}

TEST(Zip, RefusesWhatItDoesNotKnow) {
  const std::string bytes = zip_of({{"a", "content"}});
  const std::string flags_and_method("\0\x08\0\0", 4);
  const auto with = [&](std::string_view other) {
    return refusal(replaced(replaced(bytes, flags_and_method, other), flags_and_method, other));
  };
  EXPECT_THAT(with(std::string_view("\1\x08\0\0", 4)), HasSubstr("entry 'a' is encrypted"));
  EXPECT_THAT(with(std::string_view("\0\x08\x0c\0", 4)), HasSubstr("entry 'a' is packed by method 12"));
  EXPECT_THAT(refusal(replaced(bytes, std::string("PK\5\6\0\0", 6), std::string("PK\5\6\1\0", 6))),
              HasSubstr("several disks"));
}

TEST(Zip, RefusesBombs) {
  std::string packed(2000, '\0');
  z_stream stream{};
  ASSERT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string zeros(1'000'000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(zeros.data());
  stream.avail_in = static_cast<uInt>(zeros.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);

  // As if the writer knew deflation: the method and the size of the content, in the header and in the directory.
  std::string bytes = zip_of({{"a", packed}});
  const auto size = static_cast<uint32_t>(packed.size());
  const auto as = [&](uint32_t content) {
    std::string other = bytes;
    for (int i = 0; i < 2; ++i) {
      other = replaced(other, std::string("\0\x08\0\0", 4), std::string("\0\x08\x08\0", 4));
      other = replaced(other, number(size) + number(size) + std::string("\1\0", 2),
                       number(size) + number(content) + std::string("\1\0", 2));
    }
    return refusal(other);
  };
  EXPECT_THAT(as(1'000'000), HasSubstr("announces 1000000 bytes in " + std::to_string(size) + " deflated ones"));
  EXPECT_THAT(as(4'000'000'000), HasSubstr("more than 100 times as many"));
  EXPECT_THAT(as(1000), HasSubstr("entry 'a' is damaged: its deflated bytes do not give the 1000 expected"));
}

TEST(Zip, IsAnErrorAtEveryLength) {
  for (const std::string& bytes : {zip_of({{"a/b", "content"}, {"c", ""}}), golden_pt("deflated.pt")}) {
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_THAT(refusal(bytes.substr(0, size)), HasSubstr("f: ")) << size;
      EXPECT_THAT(refusal(bytes.substr(bytes.size() - size)), HasSubstr("f: ")) << size;
    }
    EXPECT_THAT(refusal(bytes + "x"), HasSubstr("does not end with the end of a zip directory"));
  }
}

TEST(Zip, SurvivesRandomDamage) {
  const std::string start = golden_pt("deflated.pt");
  std::mt19937 random(1);
  for (int round = 0; round < 5'000; ++round) {
    std::string bytes = start;
    for (int i = 0; i < 1 + round % 4; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    refusal(bytes);
  }
}

}  // namespace
}  // namespace perceive::io::zip
