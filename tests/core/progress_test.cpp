#include "perceive/core/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <clocale>
#include <cmath>
#include <limits>
#include <locale>

#include "perceive/core/terminal.h"
#include "tests/core/captured_output.h"

namespace perceive::core {
namespace {

using example::CapturedOutput;
using example::Environment;
using Kind = CapturedOutput::Kind;

double fake_time = 0;

class ProgressTest : public testing::Test {
 protected:
  ProgressTest() { fake_time = 1000; }

  static ProgressOptions to(const CapturedOutput& output) {
    ProgressOptions options;
    options.fd = output.fd;
    options.now = [] { return fake_time; };
    return options;
  }
  static void pass(Progress* progress, int steps, double seconds_each) {
    for (int i = 0; i < steps; ++i) {
      fake_time += seconds_each;
      progress->advance();
    }
  }

  const Environment term_{"TERM", "xterm"};
};

TEST_F(ProgressTest, WritesPlainLinesNowAndThenWhereThereIsNoTerminal) {
  CapturedOutput output(Kind::pipe);
  Progress progress("fit 1/2", 100, to(output));
  progress.set("loss", 0.123456);
  pass(&progress, 39, 0.25);
  EXPECT_EQ(output.take(), "");
  pass(&progress, 1, 0.25);
  EXPECT_EQ(output.take(), "fit 1/2:  40% 40/100, 4/s, 0:15 left, loss=0.1235\n");
  progress.set("loss", 2e-7);
  progress.set("acc", 0.5);
  pass(&progress, 60, 0.25);
  EXPECT_EQ(output.take(), "fit 1/2:  80% 80/100, 4/s, 0:05 left, loss=2e-07, acc=0.5\n");
  progress.finish();
  EXPECT_EQ(output.take(), "fit 1/2: 100% 100/100, 4/s, 0:25, loss=2e-07, acc=0.5\n");
  progress.finish();
  progress.advance();
  EXPECT_EQ(output.take(), "");
}

TEST_F(ProgressTest, WritesALineEverySoManySteps) {
  CapturedOutput output(Kind::pipe);
  ProgressOptions options = to(output);
  options.line_steps = 2;
  Progress progress("fit", 5, options);
  pass(&progress, 5, 0.5);
  EXPECT_EQ(output.take(), "fit:  40% 2/5, 2/s, 0:01 left\nfit:  80% 4/5, 2/s, 0:00 left\n");
}

TEST_F(ProgressTest, RedrawsOneLineOnATerminalAtMostTenTimesASecond) {
  CapturedOutput output(Kind::terminal);
  Progress progress("fit", 1000, to(output));
  EXPECT_EQ(output.take(), "\rfit:   0% [>                             ] 0/1000\x1b[K");
  pass(&progress, 512, 1.0 / 64);
  const std::string text = output.take();
  EXPECT_NEAR(std::count(text.begin(), text.end(), '\r'), 75, 5);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  fake_time += 1;
  progress.advance(0);
  EXPECT_EQ(output.take(), "\rfit:  51% [=========>         ] 512/1000, 45.1/s, 0:10 left\x1b[K");
  progress.finish();
  EXPECT_EQ(output.take(), "\r\x1b[Kfit:  51% 512/1000, 56.9/s, 0:09\n");
}

TEST_F(ProgressTest, IsCutToTheWidthOfTheTerminal) {
  for (const unsigned short width : {1, 2, 13, 40}) {
    CapturedOutput output(Kind::terminal, width);
    Progress progress("épreuve longue", 1000, to(output));
    std::string text = output.take();
    ASSERT_TRUE(text.starts_with('\r') && text.ends_with("\x1b[K"));
    text = text.substr(1, text.size() - 4);
    const auto points = std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
    EXPECT_LE(points, std::max(1, width - 1)) << text;
  }
}

TEST_F(ProgressTest, WritesPlainLinesOnADumbTerminal) {
  const Environment dumb("TERM", "dumb");
  CapturedOutput output(Kind::terminal);
  Progress progress("fit", 10, to(output));
  pass(&progress, 10, 1.5);
  progress.finish();
  EXPECT_EQ(output.take(), "fit:  70% 7/10, 0.667/s, 0:04 left\nfit: 100% 10/10, 0.667/s, 0:15\n");
}

TEST_F(ProgressTest, HasNoColour) {
  const Environment no_colour("NO_COLOR", "1");
  CapturedOutput output(Kind::terminal);
  { Progress progress("fit", 10, to(output)); }
  const std::string text = output.take();
  EXPECT_EQ(text.find('m'), std::string::npos) << "no sequence that ends in m, such as \\x1b[31m";
}

TEST_F(ProgressTest, MayBeOff) {
  CapturedOutput output(Kind::terminal);
  ProgressOptions options = to(output);
  options.enabled = false;
  Progress progress("fit", 10, options);
  pass(&progress, 10, 100);
  progress.finish();
  EXPECT_EQ(output.take(), "");
}

TEST_F(ProgressTest, FallsSilentWhereNobodyReads) {
  CapturedOutput output(Kind::pipe);
  Progress progress("fit", 10, to(output));
  output.close_reader();
  pass(&progress, 10, 100);
  progress.finish();
}

TEST_F(ProgressTest, CountsFromWhereAnEarlierRunStopped) {
  CapturedOutput output(Kind::pipe);
  Progress progress("fit", 100, to(output), 90);
  pass(&progress, 10, 1);
  progress.finish();
  EXPECT_EQ(output.take(), "fit: 100% 100/100, 1/s, 0:00 left\nfit: 100% 100/100, 1/s, 0:10\n");
}

TEST_F(ProgressTest, CopesWithUnknownTotalsAndExtremeNumbers) {
  CapturedOutput output(Kind::pipe);
  {
    Progress progress("read", 0, to(output));
    progress.set("loss", std::nan(""));
    pass(&progress, 1, 10);
  }
  EXPECT_EQ(output.take(), "read: 1, 0.1/s, loss=nan\nread: 1, 0.1/s, 0:10, loss=nan\n");
  {
    Progress progress("fit", std::numeric_limits<int64_t>::max(), to(output));
    progress.set("loss", -HUGE_VAL);
    pass(&progress, 1, 10);
    fake_time += 200'000;
  }
  EXPECT_EQ(output.take(),
            "fit:   0% 1/9223372036854775807, 0.1/s, over 1000 days left, loss=-inf\n"
            "fit:   0% 1/9223372036854775807, 5e-06/s, 2d 07:33, loss=-inf\n");
  {
    Progress progress("more", 2, to(output));
    progress.advance(5);
    fake_time += 3723;
  }
  EXPECT_EQ(output.take(), "more: 100% 5/2, 0.00134/s, 1:02:03\n");
  { Progress progress("nothing", 3, to(output)); }
  EXPECT_EQ(output.take(), "nothing:   0% 0/3, 0:00\n");
}

struct Commas : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
};

TEST_F(ProgressTest, WritesThePointInALocaleWithCommas) {
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Commas));
  std::setlocale(LC_ALL, "de_DE.UTF-8");  // for printf, on machines that have it
  CapturedOutput output(Kind::pipe);
  {
    Progress progress("fit", 2, to(output));
    progress.set("loss", 0.5);
    pass(&progress, 1, 0.4);
  }
  std::locale::global(before);
  EXPECT_EQ(output.take(), "fit:  50% 1/2, 2.5/s, 0:00, loss=0.5\n");
}

}  // namespace
}  // namespace perceive::core
