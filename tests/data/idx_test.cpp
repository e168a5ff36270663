// IDX files, whole and damaged, plain and gzip.
#include "perceive/data/idx.h"

#include <gtest/gtest.h>

#include <numeric>

#include "files.h"
#include "perceive/core/error.h"

namespace perceive::data {
namespace {

Bytes counting(size_t count) {
  Bytes values(count);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

void expect_refused(const std::string& path, int64_t dimensions, const std::string& part) {
  expect_error<core::DataError>([&] { read_idx(path, dimensions); }, path);
  expect_error<core::DataError>([&] { read_idx(path, dimensions); }, part);
}

TEST(Idx, ReadsPlainAndGzipAlikeWhateverTheirNames) {
  const TemporaryFolder folder;
  const Bytes whole = idx({2, 3, 5}, counting(30));
  const at::Tensor expected = at::arange(30, at::kByte).view({2, 3, 5});
  EXPECT_TRUE(read_idx(folder.write("a.gz", whole), 3).equal(expected));
  EXPECT_TRUE(read_idx(folder.write("b", gzip(whole)), 3).equal(expected));
}

TEST(Idx, ReadsAFileLargerThanItsBuffer) {
  const TemporaryFolder folder;
  const Bytes values = counting(200'003);
  const at::Tensor read = read_idx(folder.write("a", gzip(idx({200'003}, values))), 1);
  EXPECT_TRUE(std::equal(values.begin(), values.end(), read.const_data_ptr<uint8_t>()));
}

TEST(Idx, ReadsAnEmptySet) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_idx(folder.write("a", idx({0, 28, 28}, {})), 3).sizes(), at::IntArrayRef({0, 28, 28}));
}

TEST(Idx, RefusesAWrongMagicNumber) {
  const TemporaryFolder folder;
  Bytes floats = idx({2}, counting(8));
  floats[2] = 0x0d;
  expect_refused(folder.write("floats", floats), 1,
                 "expected the magic number 0x00000801 (IDX of unsigned bytes, dimensions: 1), got 0x00000d01");
  expect_refused(folder.write("labels", idx({8}, counting(8))), 3, "0x00000803 (IDX of unsigned bytes, dimensions: 3)");
  expect_refused(folder.write("noise", Bytes(100, 'x')), 3, "got 0x78787878");
}

TEST(Idx, RefusesAFileCutOffAtAnyByte) {
  const TemporaryFolder folder;
  const Bytes whole = idx({7}, counting(7));
  const Bytes packed = gzip(whole);
  for (size_t length = 0; length < whole.size(); ++length) {
    const auto path = folder.write("plain", {whole.begin(), whole.begin() + length});
    EXPECT_THROW(read_idx(path, 1), core::DataError) << length;
  }
  for (size_t length = 0; length < packed.size(); ++length) {
    const auto path = folder.write("packed", {packed.begin(), packed.begin() + length});
    EXPECT_THROW(read_idx(path, 1), core::DataError) << length;
  }
  expect_refused(folder.write("plain", {}), 1, "begins with 8 bytes of sizes; there are 0 bytes");
  expect_refused(folder.write("plain", {whole.begin(), whole.end() - 1}), 1,
                 "announces 7 values = 7 bytes, and holds 6");
  expect_refused(folder.write("packed", {packed.begin(), packed.end() - 9}), 1,
                 "the gzip stream is cut off after " + std::to_string(packed.size() - 9) + " bytes");
}

TEST(Idx, RefusesTrailingBytes) {
  const TemporaryFolder folder;
  Bytes whole = idx({7}, counting(7));
  Bytes packed = gzip(whole);
  whole.push_back(0);
  packed.push_back(0);
  expect_refused(folder.write("plain", whole), 1, "there are bytes behind the 7 values = 7 bytes");
  expect_refused(folder.write("inside", gzip(whole)), 1, "there are bytes behind the 7 values = 7 bytes");
  expect_refused(folder.write("behind", packed), 1, "there are bytes behind the 7 values = 7 bytes");
}

TEST(Idx, RefusesADamagedGzipStream) {
  const TemporaryFolder folder;
  Bytes packed = gzip(idx({300}, counting(300)));
  packed[packed.size() - 6] ^= 1;  // of the checksum
  expect_refused(folder.write("packed", packed), 1, "the gzip stream is damaged (incorrect data check)");
}

TEST(Idx, RefusesSizesThatTheFileCannotHoldBeforeTakingMemory) {
  const TemporaryFolder folder;
  const uint32_t most = 0xffffffff;
  expect_refused(folder.write("a", idx({most, most, most}, {})), 3,
                 "announces 4294967295 x 4294967295 x 4294967295 values, more than its 16 bytes can hold");
  expect_refused(folder.write("b", idx({most}, counting(9))), 1, "announces 4294967295 values, more than its 17 bytes");
  expect_refused(folder.write("c", gzip(idx({most, 28, 28}, {}))), 3, "announces 4294967295 x 28 x 28 values");
}

TEST(Idx, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  expect_refused(folder / "absent", 1, "No such file or directory");
  expect_refused(folder.path(), 1, "expected a file, and this is a folder");
  expect_refused("/dev/zero", 1, "expected a file, and this is not a regular file");
  expect_refused(folder / std::string(300, 'x'), 1, "File name too long");
}

}  // namespace
}  // namespace perceive::data
