// metrics.csv: columns over time, resuming, and disks that fail.
#include "perceive/train/csv_logger.h"

#include <gmock/gmock.h>

#include <clocale>
#include <cmath>
#include <locale>

#include "tests/io/temporary_folder.h"

namespace perceive::train {
namespace {

using io::FaultAtCall;
using io::put;
using io::read_file;
using io::TemporaryFolder;

struct Warnings : std::vector<std::string> {
  Logger::Warn sink() {
    return [this](const std::string& message) { push_back(message); };
  }
};

TEST(CsvLogger, WritesOneRowForEachCall) {
  const TemporaryFolder folder;
  CsvLogger logger(folder / "run/metrics.csv", nullptr);
  logger.log_scalars(1, {{"epoch", 0}, {"train_loss", 2.5}});
  logger.log_scalars(2, {{"epoch", 0}, {"train_loss", 0.1}});
  logger.log_scalars(2, {});
  EXPECT_EQ(read_file(folder / "run/metrics.csv"), "step,epoch,train_loss\n1,0,2.5\n2,0,0.1\n");
}

TEST(CsvLogger, AddsAColumnWhenANameIsNew) {
  const TemporaryFolder folder;
  CsvLogger logger(folder / "m.csv", nullptr);
  logger.log_scalars(1, {{"train_loss", 2}});
  logger.log_scalars(2, {{"val_loss", 3}, {"val_acc", 0.5}});
  logger.log_scalars(3, {{"train_loss", 1}});
  EXPECT_EQ(read_file(folder / "m.csv"), "step,train_loss,val_acc,val_loss\n1,2,,\n2,,0.5,3\n3,1,,\n");
}

// As in de_DE, which not every machine has.
struct Comma : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

TEST(CsvLogger, WritesNumbersThatReadBackTheSameInEveryLocale) {
  const TemporaryFolder folder;
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new Comma));
  std::setlocale(LC_ALL, "de_DE.UTF-8");
  CsvLogger logger(folder / "m.csv", nullptr);
  logger.log_scalars(12345, {{"a", 0.1}, {"b", 1.0 / 3}, {"c", 1e300}, {"d", NAN}, {"e", -INFINITY}, {"f", 1e-5}});
  std::locale::global(before);
  std::setlocale(LC_ALL, "C");
  EXPECT_EQ(read_file(folder / "m.csv"), "step,a,b,c,d,e,f\n12345,0.1,0.3333333333333333,1e+300,nan,-inf,1e-05\n");
}

TEST(CsvLogger, GoesOnAfterTheResumedStepWithoutDoubleRows) {
  const TemporaryFolder folder;
  {
    CsvLogger logger(folder / "m.csv", nullptr);
    for (int step = 1; step <= 5; ++step) logger.log_scalars(step, {{"loss", step}});
  }
  put(folder / "m.csv", read_file(folder / "m.csv") + "6,0.1234");  // cut by a crash
  CsvLogger logger(folder / "m.csv", nullptr, 3);
  EXPECT_EQ(read_file(folder / "m.csv"), "step,loss\n1,1\n2,2\n3,3\n");
  logger.log_scalars(4, {{"loss", 40}, {"lr", 1}});
  EXPECT_EQ(read_file(folder / "m.csv"), "step,loss,lr\n1,1,\n2,2,\n3,3,\n4,40,1\n");
}

TEST(CsvLogger, DropsWhatIsLoggedAgainOfTheResumedStep) {
  const TemporaryFolder folder;
  CsvLogger(folder / "m.csv", nullptr).log_scalars(4, {{"val_loss", 0.5}});
  CsvLogger resumed(folder / "m.csv", nullptr, 4);
  resumed.log_scalars(4, {{"train_loss", 2}});
  resumed.log_scalars(4, {{"val_loss", 0.5}});
  resumed.log_scalars(4, {{"val_loss", 0.25}});
  resumed.log_scalars(5, {{"val_loss", 0.5}});
  EXPECT_EQ(read_file(folder / "m.csv"), "step,val_loss,train_loss\n4,0.5,\n4,,2\n4,0.25,\n5,0.5,\n");
}

TEST(CsvLogger, ReadsItsOwnFileCutAtAnyByte) {
  const TemporaryFolder folder;
  const std::string whole = "step,loss\n1,1.5\n2,2.5\n3,3.5\n";
  for (size_t size = 0; size <= whole.size(); ++size) {
    put(folder / "m.csv", whole.substr(0, size));
    Warnings warnings;
    CsvLogger logger(folder / "m.csv", warnings.sink(), 2);
    logger.log_scalars(3, {{"loss", 9}});
    const std::string rows = std::string(size >= 16 ? "1,1.5\n" : "") + (size >= 22 ? "2,2.5\n" : "") + "3,9\n";
    EXPECT_EQ(read_file(folder / "m.csv"), "step,loss\n" + rows) << size;
    EXPECT_TRUE(warnings.empty());
  }
}

TEST(CsvLogger, TakesAnyNames) {
  const TemporaryFolder folder;
  {
    CsvLogger logger(folder / "m.csv", nullptr);
    logger.log_scalars(1, {{"a,b", 1}, {"say \"x\"", 2}, {"two\nlines", 3}});
  }
  CsvLogger logger(folder / "m.csv", nullptr, 1);
  logger.log_scalars(2, {{"a,b", 4}, {"say \"x\"", 5}});
  EXPECT_EQ(read_file(folder / "m.csv"), "step,\"a,b\",\"say \"\"x\"\"\",two lines\n1,1,2,3\n2,4,5,\n");
}

TEST(CsvLogger, LeavesAForeignFileAlone) {
  const TemporaryFolder folder;
  put(folder / "m.csv", "name,mark\nAda,1\n");
  Warnings warnings;
  CsvLogger logger(folder / "m.csv", warnings.sink());
  logger.log_scalars(1, {{"loss", 1}});
  EXPECT_EQ(read_file(folder / "m.csv"), "name,mark\nAda,1\n");
  ASSERT_EQ(warnings.size(), 1);
  EXPECT_THAT(warnings[0], testing::HasSubstr("m.csv is not a file of metrics; training goes on"));
}

TEST(CsvLogger, WarnsOnceWhereItCannotWrite) {
  const TemporaryFolder folder;
  put(folder / "file", "x");
  Warnings warnings;
  CsvLogger logger(folder / "file/m.csv", warnings.sink());
  for (int step = 0; step < 5; ++step) logger.log_scalars(step, {{"loss", 1}});
  ASSERT_EQ(warnings.size(), 1);
  EXPECT_THAT(warnings[0],
              testing::HasSubstr("a file stands where a folder is needed, or the other way round; training goes on"));
}

TEST(CsvLogger, KeepsWholeRowsWhicheverSystemCallFails) {
  const TemporaryFolder folder;
  for (int n = 0;; ++n) {
    std::filesystem::remove(folder / "m.csv");
    Warnings warnings;
    CsvLogger logger(folder / "m.csv", warnings.sink());
    bool happened;
    {
      const FaultAtCall fault(n, ENOSPC);
      for (int step = 1; step <= 3; ++step) logger.log_scalars(step, {{"a", 1}});
      logger.log_scalars(4, {{"b", 2}});
      happened = fault.happened();
    }
    logger.log_scalars(5, {{"a", 1}, {"b", 2}});
    EXPECT_THAT(read_file(folder / "m.csv"), testing::EndsWith("5,1,2\n")) << n;
    EXPECT_EQ(warnings.size(), happened ? 1 : 0) << n;
    if (!happened) break;
    EXPECT_THAT(warnings[0], testing::HasSubstr("No space left on device"));
  }
}

}  // namespace
}  // namespace perceive::train
