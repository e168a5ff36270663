// Pictures of every kind, whole, damaged and hostile.
#include "perceive/data/image.h"

#include <gtest/gtest.h>

#include <cmath>

#include "perceive/core/error.h"
#include "pictures.h"

namespace perceive::data {
namespace {

at::Tensor pixels(std::vector<int64_t> shape, const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong).to(at::kByte).view(shape);
}

void expect_near(const at::Tensor& image, const at::Tensor& expected, int64_t tolerance) {
  ASSERT_EQ(image.sizes(), expected.sizes());
  EXPECT_LE((image.to(at::kInt) - expected.to(at::kInt)).abs().max().item<int64_t>(), tolerance);
}

void expect_refused(const std::string& path, const std::string& part) {
  expect_error<core::DataError>([&] { read_image(path); }, path);
  expect_error<core::DataError>([&] { read_image(path); }, part);
}

class Image : public testing::Test {
 protected:
  std::string png(int width, int height, const PngForm& form, const Bytes& rows) {
    return write_png(folder_ / "picture.png", width, height, form, rows);
  }
  std::string jpeg(int width, int height, const JpegForm& form, const Bytes& rows) {
    return write_jpeg(folder_ / "picture.jpg", width, height, form, rows);
  }
  TemporaryFolder folder_;
};

TEST_F(Image, ReadsGrayAndColourPngExactly) {
  EXPECT_TRUE(read_image(png(3, 2, {}, {0, 1, 2, 253, 254, 255})).equal(pixels({2, 3, 1}, {0, 1, 2, 253, 254, 255})));
  const PngForm rgb{.color = PNG_COLOR_TYPE_RGB};
  EXPECT_TRUE(read_image(png(1, 2, rgb, {9, 8, 7, 200, 100, 0})).equal(pixels({2, 1, 3}, {9, 8, 7, 200, 100, 0})));
}

TEST_F(Image, ReadsAPictureByItsContentWhateverItsName) {
  const auto path = write_png(folder_ / "picture.jpg", 1, 1, {}, {77});
  EXPECT_TRUE(read_image(path).equal(pixels({1, 1, 1}, {77})));
}

TEST_F(Image, SpreadsOneToFourBitsOverTheWholeRange) {
  EXPECT_TRUE(read_image(png(3, 1, {.bits = 1}, {0b1010'0000})).equal(pixels({1, 3, 1}, {255, 0, 255})));
  EXPECT_TRUE(read_image(png(2, 1, {.bits = 4}, {0xf3})).equal(pixels({1, 2, 1}, {255, 51})));
}

TEST_F(Image, ReadsInterlacedPng) {
  Bytes rows(11 * 13);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = i;
  const at::Tensor straight = read_image(png(11, 13, {}, rows));
  EXPECT_TRUE(read_image(png(11, 13, {.interlaced = true}, rows)).equal(straight));
}

TEST_F(Image, LooksUpPaletteColours) {
  const PngForm form{.color = PNG_COLOR_TYPE_PALETTE, .palette = {{1, 2, 3}, {250, 0, 5}}};
  EXPECT_TRUE(read_image(png(2, 1, form, {1, 0})).equal(pixels({1, 2, 3}, {250, 0, 5, 1, 2, 3})));
}

TEST_F(Image, ScalesSixteenBitsToEight) {
  EXPECT_TRUE(
      read_image(png(3, 1, {.bits = 16}, {0, 0, 0x80, 0x80, 0xff, 0xff})).equal(pixels({1, 3, 1}, {0, 128, 255})));
  EXPECT_TRUE(read_image(png(2, 1, {.bits = 16}, {0, 0x7f, 0, 0x81})).equal(pixels({1, 2, 1}, {0, 1})));
}

TEST_F(Image, DropsAlphaAndKeepsTheColourUnderIt) {
  const PngForm rgba{.color = PNG_COLOR_TYPE_RGB_ALPHA};
  EXPECT_TRUE(read_image(png(2, 1, rgba, {9, 8, 7, 0, 1, 2, 3, 99})).equal(pixels({1, 2, 3}, {9, 8, 7, 1, 2, 3})));
  const PngForm gray_alpha{.color = PNG_COLOR_TYPE_GRAY_ALPHA};
  EXPECT_TRUE(read_image(png(2, 1, gray_alpha, {9, 0, 8, 128})).equal(pixels({1, 2, 1}, {9, 8})));
}

TEST_F(Image, ConvertsALinearPngToSrgb) {
  EXPECT_TRUE(read_image(png(1, 1, {.gamma = 1 / 2.2}, {100})).equal(pixels({1, 1, 1}, {100})));
  expect_near(read_image(png(1, 1, {.gamma = 1.0}, {55})), pixels({1, 1, 1}, {127}), 2);
}

TEST_F(Image, ReadsGrayAndColourJpeg) {
  Bytes gray(9 * 7), rgb;
  for (size_t i = 0; i < gray.size(); ++i) gray[i] = 3 * i;
  expect_near(read_image(jpeg(9, 7, {}, gray)), at::arange(63).mul(3).to(at::kByte).view({7, 9, 1}), 2);
  for (int i = 0; i < 16 * 16; ++i) rgb.insert(rgb.end(), {200, 100, 50});
  expect_near(read_image(jpeg(16, 16, {.space = JCS_RGB}, rgb)), pixels({3}, {200, 100, 50}).expand({16, 16, 3}), 2);
}

TEST_F(Image, ConvertsCmykJpegOfEitherSense) {
  // 20 % cyan, 60 % magenta, no yellow, half black: as ink, and as Adobe's inverted values.
  Bytes ink, inverted;
  for (int i = 0; i < 8 * 8; ++i) {
    ink.insert(ink.end(), {51, 153, 0, 127});
    inverted.insert(inverted.end(), {204, 102, 255, 128});
  }
  const at::Tensor expected = pixels({3}, {102, 51, 128}).expand({8, 8, 3});
  expect_near(read_image(jpeg(8, 8, {.space = JCS_CMYK}, inverted)), expected, 2);
  expect_near(read_image(jpeg(8, 8, {.space = JCS_CMYK, .adobe = false}, ink)), expected, 2);
}

Bytes exif(uint8_t orientation, bool little) {
  Bytes bytes{'E', 'x', 'i', 'f', 0, 0};
  if (little) {
    bytes.insert(bytes.end(), {'I', 'I', 42, 0, 8, 0, 0, 0, 2, 0});
    bytes.insert(bytes.end(), {0x00, 0x01, 3, 0, 1, 0, 0, 0, 99, 0, 0, 0});
    bytes.insert(bytes.end(), {0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0});
  } else {
    bytes.insert(bytes.end(), {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 2});
    bytes.insert(bytes.end(), {0x01, 0x00, 0, 3, 0, 0, 0, 1, 0, 99, 0, 0});
    bytes.insert(bytes.end(), {0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0});
  }
  return bytes;
}

// Four fields of 8 x 8 pixels, no two alike, so that a turn shows: 2 rows of fields, 0 and 1 above 2 and 3.
at::Tensor fields(const std::vector<int64_t>& order) {
  return pixels({2, 2, 1}, order).mul(60).repeat_interleave(8, 0).repeat_interleave(8, 1);
}

TEST_F(Image, TurnsAPictureUprightByItsExifOrientation) {
  const at::Tensor upright = fields({0, 1, 2, 3});
  // What is stored where the viewer is to see 0 1 / 2 3: EXIF 2.3, table 6, tag Orientation.
  const std::vector<std::vector<int64_t>> stored{{},           {0, 1, 2, 3}, {1, 0, 3, 2}, {3, 2, 1, 0}, {2, 3, 0, 1},
                                                 {0, 2, 1, 3}, {1, 3, 0, 2}, {3, 1, 2, 0}, {2, 0, 3, 1}};
  for (uint8_t orientation = 1; orientation <= 8; ++orientation) {
    const at::Tensor image = fields(stored[orientation]).contiguous();
    const Bytes rows(image.const_data_ptr<uint8_t>(), image.const_data_ptr<uint8_t>() + image.numel());
    for (const bool little : {false, true}) {
      SCOPED_TRACE(int{orientation});
      expect_near(read_image(jpeg(16, 16, {.exif = exif(orientation, little)}, rows)), upright, 2);
    }
  }
}

TEST_F(Image, SwapsTheSidesOfAPictureTurnedByExif) {
  EXPECT_EQ(read_image(jpeg(5, 3, {.exif = exif(6, false)}, Bytes(15))).sizes(), at::IntArrayRef({5, 3, 1}));
}

TEST_F(Image, SurvivesExifCutOffAnywhere) {
  const Bytes whole = exif(6, true);
  for (size_t length = 1; length < whole.size(); ++length) {
    EXPECT_EQ(read_image(jpeg(5, 3, {.exif = {whole.begin(), whole.begin() + length}}, Bytes(15))).numel(), 15);
  }
  Bytes far = whole;
  far[10] = far[11] = far[12] = far[13] = 0xff;  // the directory's offset
  EXPECT_EQ(read_image(jpeg(5, 3, {.exif = far}, Bytes(15))).sizes(), at::IntArrayRef({3, 5, 1}));
  EXPECT_EQ(read_image(jpeg(5, 3, {.exif = exif(200, true)}, Bytes(15))).sizes(), at::IntArrayRef({3, 5, 1}));
}

TEST_F(Image, RefusesWhatIsNoPicture) {
  expect_refused(folder_.write("empty.png", {}), "the file is empty; expected a PNG or JPEG picture");
  expect_refused(folder_.write("text.png", {'h', 'e', 'l', 'l', 'o'}), "neither a PNG nor a JPEG picture");
  expect_refused(folder_.write("gif.jpg", {'G', 'I', 'F', '8', '9', 'a', 0, 0}), "neither a PNG nor a JPEG picture");
  expect_refused(folder_.path(), "expected a file, and this is a folder");
  expect_refused(folder_ / "absent.png", "No such file or directory");
}

Bytes noise(size_t count) {
  Bytes values(count);
  for (size_t i = 0; i < count; ++i) values[i] = i * i * 7919 >> 3;
  return values;
}

TEST_F(Image, RefusesAPictureCutOffAtAnyByte) {
  for (const auto& path : {png(9, 7, {}, noise(63)), jpeg(9, 7, {}, noise(63))}) {
    const at::Tensor image = read_image(path);
    const Bytes whole = read_bytes(path);
    const size_t without_end_mark = path.ends_with(".png") ? whole.size() - 16 : whole.size();
    for (size_t length = 0; length < whole.size(); ++length) {
      const auto cut = folder_.write("cut", {whole.begin(), whole.begin() + length});
      if (length < without_end_mark) {
        EXPECT_THROW(read_image(cut), core::DataError) << path << " at " << length;
      } else {
        try {
          EXPECT_TRUE(read_image(cut).equal(image));
        } catch (const core::DataError&) {
        }
      }
    }
  }
  const Bytes whole = read_bytes(jpeg(9, 7, {}, noise(63)));
  expect_refused(folder_.write("cut.jpg", {whole.begin(), whole.end() - 20}),
                 "a damaged JPEG picture: Premature end of JPEG file");
}

TEST_F(Image, SurvivesAnyByteBeingWrong) {
  for (const auto& path : {png(9, 7, {}, noise(63)), jpeg(9, 7, {.exif = exif(3, true)}, noise(63))}) {
    const Bytes whole = read_bytes(path);
    for (size_t i = 0; i < whole.size(); ++i) {
      for (const uint8_t flip : {0x01, 0x80, 0xff}) {
        Bytes wrong = whole;
        wrong[i] ^= flip;
        try {
          read_image(folder_.write("wrong", wrong), 1 << 20);
        } catch (const core::DataError&) {
        }
      }
    }
  }
}

TEST_F(Image, RefusesADecompressionBombByItsHeader) {
  Bytes bomb = read_bytes(png(1, 1, {}, {0}));
  const auto put = [&bomb](size_t at, uint32_t value) {
    for (int i = 0; i < 4; ++i) bomb[at + i] = value >> (24 - 8 * i);
  };
  put(16, 100'000);
  put(20, 100'000);
  put(29, crc32(0, bomb.data() + 12, 17));
  expect_refused(folder_.write("bomb.png", bomb),
                 "a picture of 100000 x 100000 pixels; at most 134217728 pixels are accepted");

  bomb = read_bytes(jpeg(1, 1, {}, {0}));
  const Bytes frame{0xff, 0xc0};
  const auto at = std::search(bomb.begin(), bomb.end(), frame.begin(), frame.end()) - bomb.begin();
  put(at + 5, 65'500u << 16 | 65'500u);
  expect_refused(folder_.write("bomb.jpg", bomb), "a picture of 65500 x 65500 pixels; at most 134217728");

  const auto path = png(7, 3, {}, noise(21));
  EXPECT_EQ(read_image(path, 21).numel(), 21);
  expect_error<core::DataError>([&] { read_image(path, 20); }, "7 x 3 pixels; at most 20 pixels");
}

TEST_F(Image, RefusesAJpegOfEndlessScans) {
  std::vector<jpeg_scan_info> scans{{1, {0, 0, 0, 0}, 0, 0, 0, 0}};
  for (int coefficient = 1; coefficient < 64; ++coefficient) {
    scans.push_back({1, {0, 0, 0, 0}, coefficient, coefficient, 0, 9});
    for (int bit = 8; bit >= 0; --bit) scans.push_back({1, {0, 0, 0, 0}, coefficient, coefficient, bit + 1, bit});
  }
  ASSERT_GT(scans.size(), 600);
  expect_refused(jpeg(8, 8, {.scans = scans}, noise(64)), "more than 500 scans");
  scans.resize(400);
  EXPECT_EQ(read_image(jpeg(8, 8, {.scans = scans}, noise(64))).numel(), 64);
}

TEST(FitImage, LeavesAPictureThatFitsAsItIs) {
  const at::Tensor image = at::randint(256, {5, 7, 3}, at::kByte);
  EXPECT_TRUE(fit_image(image, 5, 7, 3).equal(image));
}

TEST(FitImage, RepeatsGrayAndTakesTheLumaOfColour) {
  const at::Tensor gray = at::randint(256, {5, 7, 1}, at::kByte);
  EXPECT_TRUE(fit_image(gray, 5, 7, 3).equal(at::cat({gray, gray, gray}, 2)));
  EXPECT_TRUE(fit_image(fit_image(gray, 5, 7, 3), 5, 7, 1).equal(gray));
  const at::Tensor colours = pixels({1, 4, 3}, {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255});
  EXPECT_TRUE(fit_image(colours, 1, 4, 1).equal(pixels({1, 4, 1}, {76, 150, 29, 255})));
}

// The triangle filter, widened by the factor of reduction, in double.
std::vector<double> row_of_weights(int64_t out, int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double support = std::max(1.0, scale);
  std::vector<double> weights;
  double sum = 0;
  for (int64_t i = 0; i < from; ++i) {
    weights.push_back(std::max(0.0, 1 - std::abs((i + 0.5 - (out + 0.5) * scale) / support)));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}
at::Tensor weights_of(int64_t from, int64_t to) {
  std::vector<at::Tensor> rows;
  for (int64_t out = 0; out < to; ++out) rows.push_back(at::tensor(row_of_weights(out, from, to), at::kDouble));
  return at::stack(rows);
}

TEST(FitImage, ResizesWithAntialiasedBilinearInterpolation) {
  for (const auto& [h, w, to_h, to_w] : std::vector<std::array<int64_t, 4>>{
           {31, 17, 28, 28}, {200, 300, 28, 28}, {5, 7, 28, 28}, {1, 1, 3, 2}, {97, 1, 1, 5}}) {
    for (const int64_t channels : {1, 3}) {
      const at::Tensor image = at::randint(256, {h, w, channels}, at::kByte);
      const at::Tensor planes = image.permute({2, 0, 1}).to(at::kDouble);
      const at::Tensor expected = weights_of(h, to_h).matmul(planes).matmul(weights_of(w, to_w).t());
      expect_near(fit_image(image, to_h, to_w, channels), expected.round().permute({1, 2, 0}), 1);
    }
  }
}

TEST(FitImage, RefusesOtherTensorsAndSizes) {
  const at::Tensor image = at::randint(256, {5, 7, 3}, at::kByte);
  EXPECT_THROW(fit_image(image.to(at::kFloat), 5, 7, 3), c10::Error);
  EXPECT_THROW(fit_image(image[0], 5, 7, 3), c10::Error);
  EXPECT_THROW(fit_image(image, 0, 7, 3), c10::Error);
  EXPECT_THROW(fit_image(image, 5, 7, 4), c10::Error);
}

}  // namespace
}  // namespace perceive::data
