// CIFAR-10 of a few made-up images: where it is looked for, what becomes of its pixels, and what is said of faults.
#include "perceive/data/cifar.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "batches.h"
#include "files.h"
#include "perceive/core/error.h"

namespace perceive::data {
namespace {

constexpr int64_t kRecord = 3073, kPlane = 1024;
const std::vector<std::string> kFiles{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                      "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};

// `count` records; the first pixels of each plane tell the number of the record.
Bytes records(int64_t count, int64_t first = 0) {
  Bytes bytes;
  for (int64_t i = 0; i < count; ++i) {
    bytes.push_back((first + i) % 10);
    for (int64_t at = 0; at < 3 * kPlane; ++at) bytes.push_back(at % kPlane == 0 ? first + i : 1 + at * 7 % 250);
  }
  return bytes;
}

// Four images a file: the training images are 0 to 19, the test images 20 to 23.
void write_set(const TemporaryFolder& folder, const std::string& place = "") {
  for (size_t i = 0; i < kFiles.size(); ++i) folder.write(place + kFiles[i], records(4, 4 * i));
}

Cifar10Options options_in(const TemporaryFolder& folder) {
  Cifar10Options options;
  options.data_dir = folder.path();
  options.val_split = 3;
  options.batch_size = 4;
  options.num_workers = 0;
  return options;
}

// Bytes [N, 3, 32, 32] as the files have them.
at::Tensor pixels_of(const Bytes& bytes) {
  return at::tensor(bytes, at::kByte).view({-1, kRecord}).slice(1, 1).reshape({-1, 3, 32, 32});
}

TEST(Cifar10, ReadsItsFilesFromTheirFolderAndFromTheOneAbove) {
  for (const auto* place : {"", "cifar-10-batches-bin/"}) {
    const TemporaryFolder folder;
    write_set(folder, place);
    const Cifar10 module(options_in(folder));
    EXPECT_EQ(module.train()->dataset().size(), 17);
    EXPECT_EQ(module.validation()->dataset().size(), 3);
    EXPECT_EQ(module.test()->dataset().size(), 4);
    EXPECT_EQ(module.predict()->dataset().size(), 4);
  }
}

TEST(Cifar10, GivesTheBytesAsRedGreenAndBlue) {
  const TemporaryFolder folder;
  write_set(folder);
  const at::Tensor unit = pixels_of(records(4, 20)).to(at::kFloat).div(255);
  const at::Tensor mean = at::tensor({0.4914f, 0.4822f, 0.4465f}).view({3, 1, 1});
  const at::Tensor deviation = at::tensor({0.2023f, 0.1994f, 0.2010f}).view({3, 1, 1});
  auto options = options_in(folder);
  const Batch last = all_of(*Cifar10(options).test());
  EXPECT_TRUE(last.at("label").equal(at::tensor({0, 1, 2, 3}, at::kLong)));
  EXPECT_TRUE(last.at("image").equal(unit.sub(mean).div(deviation).permute({0, 2, 3, 1})));
  EXPECT_EQ(Cifar10(options).image_shape(), (std::vector<int64_t>{32, 32, 3}));
  options.channels_last = options.normalize = false;
  EXPECT_TRUE(all_of(*Cifar10(options).test()).at("image").equal(unit));
  EXPECT_EQ(Cifar10(options).image_shape(), (std::vector<int64_t>{3, 32, 32}));
}

TEST(Cifar10, SplitsIntoPartsThatShareNothing) {
  const TemporaryFolder folder;
  write_set(folder);
  auto options = options_in(folder);
  options.augment = options.normalize = false;
  const auto numbers = [](const Batch& batch) {
    return batch.at("image").select(1, 0).select(1, 0).select(1, 0).mul(255).round();
  };
  const Cifar10 module(options);
  const at::Tensor validation = numbers(all_of(*module.validation()));
  EXPECT_TRUE(validation.equal(numbers(all_of(*Cifar10(options).validation()))));
  const at::Tensor seen = at::cat({numbers(all_of(*module.train())), validation});
  EXPECT_TRUE(std::get<0>(seen.sort()).equal(at::arange(20, at::kFloat)));
  options.seed = 1;
  EXPECT_FALSE(validation.equal(numbers(all_of(*Cifar10(options).validation()))));
  options.val_split = 0;
  EXPECT_EQ(Cifar10(options).train()->dataset().size(), 20);
  EXPECT_EQ(Cifar10(options).validation(), nullptr);
}

// Each training image is a 32 x 32 part of the one padded by black, mirrored or not; all parts come, and both ways.
TEST(Cifar10, MovesAndMirrorsTrainingImagesOnly) {
  const TemporaryFolder folder;
  write_set(folder);
  auto options = options_in(folder);
  options.normalize = options.channels_last = options.shuffle = false;
  options.val_split = 0;
  const auto train = Cifar10(options).train();
  options.augment = false;
  const at::Tensor plain = all_of(*Cifar10(options).train()).at("image");
  const at::Tensor padded = at::constant_pad_nd(plain, {4, 4, 4, 4});
  std::set<int64_t> tops, lefts, mirrored;
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    const at::Tensor images = all_of(*train, epoch).at("image");
    for (int64_t i = 0; i < images.size(0); ++i) {
      int found = 0;
      for (int64_t place = 0; place < 2 * 81; ++place) {
        const int64_t top = place / 18, left = place / 2 % 9, mirror = place % 2;
        at::Tensor part = padded[i].slice(1, top, top + 32).slice(2, left, left + 32);
        if (mirror) part = part.flip({2});
        if (!part.equal(images[i])) continue;
        ++found;
        tops.insert(top);
        lefts.insert(left);
        mirrored.insert(mirror);
      }
      EXPECT_EQ(found, 1);
    }
  }
  EXPECT_EQ(tops.size(), 9U);
  EXPECT_EQ(lefts.size(), 9U);
  EXPECT_EQ(mirrored.size(), 2U);
}

TEST(Cifar10, GivesTheSameBatchesWithAnyNumberOfWorkers) {
  const TemporaryFolder folder;
  write_set(folder);
  auto options = options_in(folder);
  const at::Tensor alone = all_of(*Cifar10(options).train(), 3).at("image");
  EXPECT_FALSE(alone.equal(all_of(*Cifar10(options).train(), 4).at("image")));
  options.num_workers = 2;
  EXPECT_TRUE(alone.equal(all_of(*Cifar10(options).train(), 3).at("image")));
}

TEST(Cifar10, TakesNamesFromTheirFileWhereThereIsOne) {
  const TemporaryFolder folder;
  EXPECT_EQ(Cifar10(options_in(folder)).class_names()[9], "truck");
  const std::string names = "a\nb\nc\nd\ne\r\nf\ng\nh\ni\nj\n\n";
  const auto path = folder.write("cifar-10-batches-bin/batches.meta.txt", Bytes(names.begin(), names.end()));
  EXPECT_EQ(Cifar10(options_in(folder)).class_names(),
            (std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}));
  folder.write("cifar-10-batches-bin/batches.meta.txt", {'a', '\n'});
  expect_error<core::DataError>([&] { Cifar10(options_in(folder)).class_names(); },
                                path + ": expected the names of 10 classes, one a line, got 1");
}

TEST(Cifar10, SaysWhereItLookedAndHowToGetWhatIsMissing) {
  const TemporaryFolder folder;
  const Cifar10 module(options_in(folder));
  const auto looked = "no data_batch_1.bin in " + folder.path() + " or " + folder / "cifar-10-batches-bin" + "; ";
  expect_error<core::DataError>([&] { module.train(); }, "Cifar10: " + looked);
  expect_error<core::DataError>([&] { module.train(); }, "cifar-10-binary.tar.gz");
  write_set(folder);
  std::filesystem::remove(folder / "data_batch_4.bin");
  expect_error<core::DataError>([&] { module.train(); }, "no data_batch_4.bin in ");
  EXPECT_EQ(module.test()->dataset().size(), 4);
}

TEST(Cifar10, RefusesFilesThatAreNoRecords) {
  const TemporaryFolder folder;
  write_set(folder);
  const Cifar10 module(options_in(folder));
  Bytes bytes = records(4);
  bytes.pop_back();
  const auto path = folder.write("data_batch_3.bin", bytes);
  expect_error<core::DataError>([&] { module.train(); },
                                path +
                                    ": expected records of 3073 bytes (a label and 3 x 32 x 32 pixels), got 12291 "
                                    "bytes: 3 records and 3072 more");
  folder.write("data_batch_3.bin", {});
  expect_error<core::DataError>([&] { module.train(); }, "got 0 bytes: there are no images in it");
  bytes = records(4);
  bytes[2 * kRecord] = 10;
  folder.write("data_batch_3.bin", bytes);
  expect_error<core::DataError>([&] { module.train(); }, path + ": label 10 of example 2; expected 0 to 9");
}

TEST(Cifar10, RefusesOptionsOutOfRange) {
  const TemporaryFolder folder;
  write_set(folder);
  auto options = options_in(folder);
  options.val_split = 20;
  expect_error<core::DataError>([&] { Cifar10(options).train(); },
                                "val_split: expected less than the 20 training examples, got 20");
  options.val_split = -1;
  expect_error<core::ConfigError>([&] { Cifar10{options}; }, "val_split: expected 0 or more, got -1");
  options = options_in(folder);
  options.batch_size = 0;
  expect_error<core::ConfigError>([&] { Cifar10{options}; }, "batch_size: expected 1 or more, got 0");
}

}  // namespace
}  // namespace perceive::data
