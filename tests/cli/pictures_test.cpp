// The pictures are written whole, whatever the numbers in them.
#include <cairo.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "cli/pictures/attention.h"
#include "cli/pictures/curves.h"
#include "cli/pictures/heads.h"
#include "cli/pictures/samples.h"
#include "perceive/core/error.h"

namespace perceive::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Pictures : public testing::Test {
 protected:
  Pictures() { std::filesystem::create_directories(folder_); }
  ~Pictures() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file(const std::string& name) const { return folder_ / name; }

  std::filesystem::path metrics(const std::string& text) const {
    std::ofstream(file("metrics.csv")) << text;
    return file("metrics.csv");
  }

 private:
  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
};

struct Loaded {
  explicit Loaded(const std::filesystem::path& png) : surface(cairo_image_surface_create_from_png(png.c_str())) {}
  ~Loaded() { cairo_surface_destroy(surface); }
  int width() const { return cairo_image_surface_get_width(surface); }
  int height() const { return cairo_image_surface_get_height(surface); }
  uint32_t pixel(int x, int y) const {
    return reinterpret_cast<const uint32_t*>(cairo_image_surface_get_data(surface) +
                                             y * cairo_image_surface_get_stride(surface))[x] &
           0xFFFFFF;
  }
  int count(uint32_t color) const {
    int found = 0;
    for (int y = 0; y < height(); ++y) {
      for (int x = 0; x < width(); ++x) found += pixel(x, y) == color;
    }
    return found;
  }
  bool blank_border() const {
    for (int x = 0; x < width(); ++x) {
      if (pixel(x, 0) != 0xFFFFFF || pixel(x, height() - 1) != 0xFFFFFF) return false;
    }
    for (int y = 0; y < height(); ++y) {
      if (pixel(0, y) != 0xFFFFFF || pixel(width() - 1, y) != 0xFFFFFF) return false;
    }
    return true;
  }
  cairo_surface_t* surface;
};

constexpr uint32_t kBlueBits = 0x0072B2, kVermilionBits = 0xD55E00;

RgbImage grey_image(int width, int height, uint8_t value) {
  return {width, height, std::vector<uint8_t>(3 * static_cast<size_t>(width) * height, value)};
}

TEST_F(Pictures, CurvesComeFromTheColumnsOfMetricsCsv) {
  const auto panels =
      panels_of(metrics("epoch,lr-AdamW,step,test_acc,train_acc,train_loss,val_acc,val_loss\n"
                        "0,0.001,1,,,,,\n0,,1,,0.5,2.0,,\n0,,7,,,,0.6,1.5\n0,,7,0.61,,,,\n"));
  ASSERT_EQ(panels.size(), 3u);
  EXPECT_EQ(panels[0].title, "Loss");
  EXPECT_EQ(panels[1].title, "Accuracy");
  EXPECT_EQ(panels[2].title, "Learning rate");
  ASSERT_EQ(panels[0].series.size(), 2u);
  EXPECT_EQ(panels[0].series[0].name, "train");
  EXPECT_THAT(panels[0].series[0].y, ElementsAre(2.0));
  EXPECT_EQ(panels[0].series[1].name, "validation");
  EXPECT_THAT(panels[0].series[1].x, ElementsAre(7.0));
  EXPECT_THAT(panels[0].series[1].y, ElementsAre(1.5));
  EXPECT_EQ(panels[2].series.at(0).name, "AdamW");
}

TEST_F(Pictures, AnAccuracyThatWasNotLoggedGetsNoPanel) {
  const auto panels = panels_of(metrics("step,train_loss\n1,2.0\n"));
  ASSERT_EQ(panels.size(), 1u);
  EXPECT_EQ(panels[0].title, "Loss");
}

TEST_F(Pictures, DamagedMetricsAreDrawnAsFarAsTheyGo) {
  const auto panels = panels_of(metrics("step,train_loss,val_loss\n1,nan,\nx,y,z,too,many\n3\n4,inf,-inf\n\n5,2.5"));
  draw_curves(panels, file("curves.png"));
  EXPECT_GT(Loaded(file("curves.png")).count(kBlueBits), 0);
}

TEST_F(Pictures, MetricsThatAreMissingOrEmptyAreRefusedByName) {
  for (const auto& path : {file("none.csv"), metrics("")}) {
    try {
      panels_of(path);
      FAIL();
    } catch (const core::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
    }
  }
}

TEST_F(Pictures, CurvesAreDrawnInTheirColours) {
  Series train{"train", {}, {}}, validation{"validation", {}, {}, true};
  for (int i = 0; i < 100; ++i) {
    train.x.push_back(i);
    train.y.push_back(std::exp(-i / 20.0));
  }
  validation.x = {33, 66, 99};
  validation.y = {0.5, 0.2, 0.1};
  draw_curves({{"Loss", {train, validation}}, {"Accuracy", {train}}}, file("curves.png"));
  const Loaded picture(file("curves.png"));
  EXPECT_EQ(picture.width(), 2 * 620);
  EXPECT_GT(picture.count(kBlueBits), 500);
  EXPECT_GT(picture.count(kVermilionBits), 100);
  EXPECT_TRUE(picture.blank_border()) << "something is cut off";
}

TEST_F(Pictures, CurvesBearEveryDegenerateSeries) {
  const double nan = std::nan(""), infinity = HUGE_VAL;
  const std::vector<Series> odd{{"none", {}, {}},
                                {"one", {3}, {0.5}},
                                {"nan", {1, 2}, {nan, nan}},
                                {"infinite", {1, 2, infinity}, {infinity, -infinity, 1}},
                                {"constant", {1, 2, 3}, {0, 0, 0}},
                                {"huge", {0, 1e18}, {-1e300, 1e300}},
                                {"tiny", {0, 1}, {1e-300, 2e-300}},
                                {"unequal", {1, 2, 3}, {1}}};
  for (const auto& series : odd) {
    draw_curves({{series.name, {series}}}, file("curves.png"));
    const Loaded picture(file("curves.png"));
    EXPECT_EQ(picture.width(), 620) << series.name;
    EXPECT_TRUE(picture.blank_border()) << series.name;
  }
  draw_curves({}, file("curves.png"));
  EXPECT_EQ(Loaded(file("curves.png")).width(), 620);
}

TEST_F(Pictures, TicksAreRoundAndCoverTheRange) {
  EXPECT_THAT(round_ticks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(round_ticks(0.13, 0.97, 5), ElementsAre(0, 0.2, testing::DoubleEq(0.4), testing::DoubleNear(0.6, 1e-12),
                                                      testing::DoubleEq(0.8), 1.0));
  EXPECT_THAT(round_ticks(-7, 5, 3), ElementsAre(-10, -5, 0, 5));
}

TEST_F(Pictures, WrongSamplesAreFramedAndRightOnesAreNot) {
  const auto image = grey_image(28, 28, 90);
  draw_samples("heading", {{image, "Bag", "Bag", 0.9}}, file("right.png"));
  draw_samples("heading", {{image, "Bag", "Coat", 0.9}}, file("wrong.png"));
  EXPECT_GT(Loaded(file("wrong.png")).count(kVermilionBits), Loaded(file("right.png")).count(kVermilionBits) + 4000);
}

TEST_F(Pictures, SamplesOfAnyNumberAndLengthOfNameFit) {
  for (const size_t count : {0, 1, 6, 7, 24}) {
    const std::string name(300, 'm');
    const std::vector<Sample> samples(count, {grey_image(5, 3, 200), "ä" + name, "ö" + name, 1.0});
    draw_samples(name, samples, file("samples.png"));
    const Loaded picture(file("samples.png"));
    EXPECT_TRUE(picture.blank_border()) << count;
    EXPECT_EQ(picture.width(), 2 * 24 + 6 * 210);
  }
}

TEST_F(Pictures, AttentionIsBrightestWhereTheWeightIsMost) {
  HeatMap map{4, 4, std::vector<float>(16, 0.0f)};
  map.weights[5] = 0.25f;
  draw_attention("heading", {"output query"}, {{grey_image(8, 8, 0), "Bag\n90 %", {map}}}, file("attention.png"));
  const Loaded picture(file("attention.png"));
  EXPECT_TRUE(picture.blank_border());
  // The brightest of viridis over black, once in 16 cells of the map.
  EXPECT_EQ(picture.count(0xBEAD1C), 42 * 42);
}

TEST_F(Pictures, AttentionBearsEmptyMapsAndNoRows) {
  const float nan = std::nanf("");
  draw_attention("heading", {}, {}, file("attention.png"));
  draw_attention("heading", {"a", "b", "c"},
                 {{grey_image(2, 2, 9), "", {{0, 0, {}}, {2, 2, {0, 0, 0, 0}}, {2, 2, {nan, 1, nan, 0}}}},
                  {RgbImage{}, "no image", {{1, 1, {1}}}}},
                 file("attention.png"));
  EXPECT_TRUE(Loaded(file("attention.png")).blank_border());
}

TEST_F(Pictures, AFolderThatIsNotThereIsNamed) {
  try {
    draw_samples("heading", {}, file("missing/samples.png"));
    FAIL();
  } catch (const core::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("missing/samples.png"));
  }
}

TEST_F(Pictures, HeadsStandSideBySideInTheColoursOfTheirWeights) {
  const HeatMap first{2, 1, {1, 0}}, second{1, 2, {0, 0}};
  draw_heads("heads", {{"attention 0", {first, second}}, {"attention 1", {second}}}, file("heads.png"));
  const Loaded drawn(file("heads.png"));
  EXPECT_TRUE(drawn.blank_border());
  EXPECT_GT(drawn.count(0xFDE725), 20000);  // the larger weight of the first map: half a cell
  EXPECT_GT(drawn.count(0x440154), 100000);
}

}  // namespace
}  // namespace perceive::cli
