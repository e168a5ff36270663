// Pictures in files and folders, as predict takes them.
#include "perceive/data/image_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "perceive/core/error.h"
#include "perceive/data/loader.h"
#include "pictures.h"

namespace perceive::data {
namespace {

namespace fs = std::filesystem;

TEST(ListImages, TakesFilesAsNamedAndFoldersSorted) {
  const TemporaryFolder folder;
  for (const auto* name : {"b/2.png", "b/10.JPG", "b/deeper/x.jpeg", "b/notes.txt", "b/none", "a/1.png"})
    folder.write(name, {1});
  const auto list = list_images({folder / "b", folder / "a/1.png", folder / "a"});
  EXPECT_THAT(list.files, testing::ElementsAre(folder / "b/10.JPG", folder / "b/2.png", folder / "b/deeper/x.jpeg",
                                               folder / "a/1.png", folder / "a/1.png"));
  EXPECT_EQ(list.skipped, 2);
}

TEST(ListImages, SurvivesLoopsOfLinksAndOddFiles) {
  const TemporaryFolder folder;
  folder.write("a/1.png", {1});
  fs::create_directory_symlink(folder.path(), folder / "a/up.png");
  fs::create_directory_symlink(folder / "a", folder / "again");
  fs::create_symlink(folder / "self.png", folder / "self.png");
  fs::create_symlink(folder / "gone", folder / "nowhere.png");
  ASSERT_EQ(mkfifo((folder / "pipe.png").c_str(), 0600), 0);
  const auto list = list_images({folder.path()});
  ASSERT_EQ(list.files.size(), 1);
  EXPECT_TRUE(fs::equivalent(list.files.front(), folder / "a/1.png"));
  EXPECT_EQ(list.skipped, 3);
}

TEST(ListImages, TakesNamesThatAreNotUtf8) {
  const TemporaryFolder folder;
  write_png(folder / "caf\xe9.png", 1, 1, {}, {7});
  const ImageFiles files(list_images({folder.path()}).files, {});
  EXPECT_TRUE(files.file(0).ends_with("caf\xe9.png"));
  EXPECT_EQ(files.batch({0}, 0).at("image").numel(), 28 * 28);
}

TEST(ListImages, RefusesWhatIsNotThere) {
  const TemporaryFolder folder;
  folder.write("notes.txt", {1});
  expect_error<core::DataError>([&] { list_images({folder / "gone"}); }, folder / "gone" + ": no such file or folder");
  expect_error<core::DataError>([&] { list_images({folder.path()}); },
                                "no .png, .jpg or .jpeg file in " + folder.path() + " (1 other files there)");
  expect_error<core::DataError>([&] { list_images({}); }, "no .png");
}

TEST(ImageFiles, GivesPicturesAsTheDataModulesDo) {
  const TemporaryFolder folder;
  Bytes gray(28 * 28);
  for (size_t i = 0; i < gray.size(); ++i) gray[i] = i;
  Bytes black(40 * 30 * 3);
  const std::vector<std::string> paths{write_png(folder / "gray.png", 28, 28, {}, gray),
                                       write_png(folder / "colour.png", 40, 30, {.color = PNG_COLOR_TYPE_RGB}, black)};
  const at::Tensor unit = at::arange(28 * 28, at::kLong).to(at::kByte).to(at::kFloat).div(255).view({28, 28, 1});

  const ImageFiles files(paths, {});
  EXPECT_EQ(files.size(), 2);
  EXPECT_EQ(files.file(1), paths[1]);
  const at::Tensor images = files.batch({1, 0}, 0).at("image");
  EXPECT_EQ(images.sizes(), at::IntArrayRef({2, 28, 28, 1}));
  EXPECT_TRUE(images[0].equal(at::full({28, 28, 1}, -1.0f)));
  EXPECT_TRUE(images[1].equal(unit.sub(0.5).div(0.5)));

  const ImageFiles first(paths, {.image_shape = {3, 28, 28}, .channels_last = false, .normalize = false});
  EXPECT_TRUE(first.batch({0}, 0).at("image").equal(unit.permute({2, 0, 1}).expand({1, 3, 28, 28})));
}

TEST(ImageFiles, ScalesEachChannelByItsOwn) {
  const TemporaryFolder folder;
  Bytes pixels(28 * 28 * 3);
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = i * 7 % 251;
  const std::vector<std::string> paths{write_png(folder / "colour.png", 28, 28, {.color = PNG_COLOR_TYPE_RGB}, pixels)};
  const at::Tensor unit = at::tensor(pixels, at::kByte).view({1, 28, 28, 3}).to(at::kFloat).div(255);
  const at::Tensor expected = unit.sub(at::tensor({0.1f, 0.2f, 0.3f})).div(at::tensor({0.5f, 0.6f, 0.7f}));
  const Normalization normalize(std::vector<PixelScale>{{0.1f, 0.5f}, {0.2f, 0.6f}, {0.3f, 0.7f}});
  const ImageFiles last(paths, {.image_shape = {28, 28, 3}, .normalize = normalize});
  EXPECT_TRUE(last.batch({0}, 0).at("image").equal(expected));
  const ImageFiles first(paths, {.image_shape = {3, 28, 28}, .channels_last = false, .normalize = normalize});
  EXPECT_TRUE(first.batch({0}, 0).at("image").equal(expected.permute({0, 3, 1, 2})));
}

TEST(ImageFiles, NamesADamagedFileThroughTheLoader) {
  const TemporaryFolder folder;
  for (int i = 0; i < 5; ++i) write_png(folder / (std::to_string(i) + ".png"), 3, 3, {}, Bytes(9));
  folder.write("3.png", {});
  Loader loader(std::make_shared<ImageFiles>(list_images({folder.path()}).files, ImageFilesOptions{}),
                {.batch_size = 2, .num_workers = 2});
  loader.start(0);
  EXPECT_EQ(loader.next()->at("image").size(0), 2);
  expect_error<core::DataError>([&] { loader.next(); }, folder / "3.png: the file is empty");
}

TEST(ImageFiles, IsKnownByNamesAndSizes) {
  const TemporaryFolder folder;
  folder.write("a.png", {1});
  folder.write("b.png", {1});
  const auto fingerprint = [&](const std::string& name) { return ImageFiles({folder / name}, {}).fingerprint(); };
  const auto before = fingerprint("a.png");
  EXPECT_EQ(fingerprint("a.png"), before);
  EXPECT_NE(fingerprint("b.png"), before);
  folder.write("a.png", {1, 2});
  EXPECT_NE(fingerprint("a.png"), before);
}

TEST(ImageFiles, RefusesShapesThatPicturesDoNotHave) {
  expect_error<core::ConfigError>(
      [] {
        check(ImageFilesOptions{.image_shape = {28, 28}});
      },
      "image_shape: expected [H, W, C] with 1 or 3 channels for picture files, got [28, 28]");
  expect_error<core::ConfigError>([] { check(ImageFilesOptions{.image_shape = {3, 28, 28}}); }, "got [3, 28, 28]");
  expect_error<core::ConfigError>(
      [] {
        ImageFiles({}, {.image_shape = {28, 28, 3}, .channels_last = false});
      },
      "expected [C, H, W] with 1 or 3 channels");
  expect_error<core::ConfigError>([] { check(ImageFilesOptions{.image_shape = {0, 28, 1}}); }, "got [0, 28, 1]");
}

}  // namespace
}  // namespace perceive::data
