// SHA-256 against the vectors of FIPS 180-4 and of Python's hashlib.
#include "perceive/io/sha256.h"

#include <gtest/gtest.h>

#include "perceive/io/files.h"
#include "tests/io/temporary_folder.h"

namespace perceive::io {
namespace {

TEST(Sha256, HashesThePublishedExamples) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnHowTheBytesArrive) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (const size_t size : {54, 55, 56, 63, 64, 65, 119, 120, 128, 300}) {
    const std::string bytes = text.substr(0, size);
    Sha256 one_by_one;
    for (const char c : bytes) one_by_one.update({&c, 1});
    EXPECT_EQ(one_by_one.hex(), sha256(bytes)) << size;
  }
}

TEST(Sha256, HashesFilesLongerThanItsBuffer) {
  const TemporaryFolder folder;
  const std::string bytes(2'500'001, 'a');
  write_file(folder / "long", bytes);
  EXPECT_EQ(sha256_of_file(folder / "long"), sha256(bytes));
}

}  // namespace
}  // namespace perceive::io
