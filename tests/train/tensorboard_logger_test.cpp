// Event files, read back by a parser of the test's own.
#include "perceive/train/tensorboard_logger.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "perceive/train/event_record.h"
#include "tests/io/temporary_folder.h"

namespace perceive::train {
namespace {

using io::FaultAtCall;
using io::put;
using io::read_file;
using io::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

template <class T>
T number(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

// A message's fields: numbers by their bits, strings and messages by their bytes.
struct Field {
  int64_t number = 0;
  uint64_t bits = 0;
  std::string bytes;
};

std::vector<Field> fields(std::string_view message) {
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.at(0));
      message.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const auto take = [&](size_t count) {
    std::string bytes(message.substr(0, count));
    message.remove_prefix(count);
    return bytes;
  };
  std::vector<Field> result;
  while (!message.empty()) {
    const uint64_t key = varint();
    Field field{static_cast<int64_t>(key >> 3), 0, {}};
    switch (key & 7) {
      case 0:
        field.bits = varint();
        break;
      case 1:
        field.bits = number<uint64_t>(take(8));
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.bits = number<uint32_t>(take(4));
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
    }
    result.push_back(field);
  }
  return result;
}

// The one field of that number, at the end of a path through messages.
Field at(const std::string& message, std::vector<int64_t> path) {
  for (const auto& field : fields(message)) {
    if (field.number != path.front()) continue;
    if (path.size() == 1) return field;
    path.erase(path.begin());
    return at(field.bytes, path);
  }
  return {};
}

// The messages of an event file up to the first record that is not whole, as TensorBoard reads it.
std::vector<std::string> records(std::string_view bytes) {
  std::vector<std::string> result;
  while (bytes.size() >= 12) {
    const auto length = number<uint64_t>(bytes);
    EXPECT_EQ(number<uint32_t>(bytes.substr(8)), masked_crc32c(bytes.substr(0, 8)));
    if (bytes.size() < 16 + length) break;
    const auto message = bytes.substr(12, length);
    EXPECT_EQ(number<uint32_t>(bytes.substr(12 + length)), masked_crc32c(message));
    result.emplace_back(message);
    bytes.remove_prefix(16 + length);
  }
  return result;
}

std::vector<std::string> records_of(const TensorBoardLogger& logger) {
  return records(read_file(logger.file()));
}

TEST(EventRecord, HasTheChecksumsOfTheStandard) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283);
  EXPECT_EQ(masked_crc32c("123456789"), 0xC78AB0E5);
  EXPECT_EQ(crc32c(""), 0);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AA);  // RFC 3720, B.4
}

TEST(TensorBoardLogger, WritesScalars) {
  const TemporaryFolder folder;
  TensorBoardLogger logger(folder / "run", nullptr);
  logger.log_scalars(300, {{"train_loss", 0.25}, {"ü", -INFINITY}});
  logger.log_scalars(301, {});
  const auto events = records_of(logger);
  ASSERT_EQ(events.size(), 3);
  EXPECT_EQ(at(events[0], {3}).bytes, "brain.Event:2");
  EXPECT_GT(std::bit_cast<double>(at(events[0], {1}).bits), 1.7e9);
  EXPECT_EQ(at(events[2], {2}).bits, 300);
  const auto values = fields(at(events[2], {5}).bytes);
  ASSERT_EQ(values.size(), 2);
  EXPECT_EQ(at(values[0].bytes, {1}).bytes, "train_loss");
  EXPECT_EQ(std::bit_cast<float>(static_cast<uint32_t>(at(values[0].bytes, {2}).bits)), 0.25f);
  EXPECT_EQ(at(values[1].bytes, {1}).bytes, "ü");
  EXPECT_EQ(std::bit_cast<float>(static_cast<uint32_t>(at(values[1].bytes, {2}).bits)), -INFINITY);
}

TEST(TensorBoardLogger, WritesTextsAndImages) {
  const TemporaryFolder folder;
  TensorBoardLogger logger(folder.path(), nullptr);
  logger.log_text(7, "config", std::string(300, 'x'));
  logger.log_image(8, "samples", "PNG", 640, 480);
  const auto events = records_of(logger);
  ASSERT_EQ(events.size(), 4);
  EXPECT_EQ(at(events[2], {5, 1, 1}).bytes, "config/text_summary");
  EXPECT_EQ(at(events[2], {5, 1, 8, 1}).bits, 7);  // DT_STRING
  EXPECT_EQ(at(events[2], {5, 1, 8, 2, 2, 1}).bits, 1);
  EXPECT_EQ(at(events[2], {5, 1, 8, 8}).bytes, std::string(300, 'x'));
  EXPECT_EQ(at(events[2], {5, 1, 9, 1, 1}).bytes, "text");
  EXPECT_EQ(at(events[3], {2}).bits, 8);
  EXPECT_EQ(at(events[3], {5, 1, 1}).bytes, "samples");
  EXPECT_EQ(at(events[3], {5, 1, 4, 1}).bits, 480);
  EXPECT_EQ(at(events[3], {5, 1, 4, 2}).bits, 640);
  EXPECT_EQ(at(events[3], {5, 1, 4, 4}).bytes, "PNG");
}

TEST(TensorBoardLogger, WritesAFileWhosePrefixesAllReadBack) {
  const TemporaryFolder folder;
  TensorBoardLogger logger(folder.path(), nullptr);
  for (int step = 1; step <= 3; ++step) logger.log_scalars(step, {{"loss", step}});
  const std::string bytes = read_file(logger.file());
  const auto whole = records(bytes);
  ASSERT_EQ(whole.size(), 5);
  std::vector<size_t> ends;
  for (size_t i = 0, end = 0; i < whole.size(); ++i) ends.push_back(end += whole[i].size() + 16);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto count =
        static_cast<size_t>(std::count_if(ends.begin(), ends.end(), [&](size_t end) { return end <= size; }));
    EXPECT_EQ(records(std::string_view(bytes).substr(0, size)),
              std::vector<std::string>(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(count)));
  }
}

TEST(TensorBoardLogger, OfAResumedRunStartsANewFileThatPurgesTheOld) {
  const TemporaryFolder folder;
  const TensorBoardLogger first(folder.path(), nullptr), second(folder.path(), nullptr, 3);
  EXPECT_LT(first.file(), second.file());
  for (const auto& [logger, step] : {std::pair{&first, 0u}, std::pair{&second, 4u}}) {
    const auto events = records_of(*logger);
    ASSERT_EQ(events.size(), 2);
    EXPECT_EQ(at(events[1], {2}).bits, step);
    EXPECT_EQ(at(events[1], {7, 1}).bits, 1);  // SessionLog START
  }
}

TEST(TensorBoardLogger, ComesAfterFilesOfAClockThatWasAhead) {
  const TemporaryFolder folder;
  put(folder / "events.out.tfevents.4000000000.host.1.0", "");
  put(folder / "events.out.tfevents.99999999999999999999999.host.1.0", "");
  put(folder / "events.out.tfevents.x", "");
  const TensorBoardLogger logger(folder.path(), nullptr);
  EXPECT_THAT(logger.file().filename().string(), testing::StartsWith("events.out.tfevents.4000000001."));
}

TEST(TensorBoardLogger, WarnsOnceWhereItCannotWrite) {
  const TemporaryFolder folder;
  put(folder / "file", "x");
  std::vector<std::string> warnings;
  TensorBoardLogger logger(folder / "file", [&](const std::string& message) { warnings.push_back(message); });
  for (int step = 0; step < 5; ++step) logger.log_scalars(step, {{"loss", 1}});
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("training goes on")));
}

TEST(TensorBoardLogger, KeepsWholeRecordsWhicheverSystemCallFails) {
  for (int n = 0;; ++n) {
    const TemporaryFolder folder;
    std::vector<std::string> warnings;
    std::optional<FaultAtCall> fault(std::in_place, n, ENOSPC);
    TensorBoardLogger logger(folder.path(), [&](const std::string& message) { warnings.push_back(message); });
    for (int step = 0; step < 3; ++step) logger.log_scalars(step, {{"loss", 1}});
    const bool happened = fault->happened();
    fault.reset();
    logger.log_scalars(3, {{"loss", 1}});
    const auto events = records_of(logger);
    ASSERT_GE(events.size(), 5);
    EXPECT_EQ(at(events[0], {3}).bytes, "brain.Event:2");
    EXPECT_EQ(at(events.back(), {2}).bits, 3);
    EXPECT_EQ(warnings.size(), happened ? 1 : 0);
    if (!happened) break;
  }
}

// A limit on the size of files stands for a disk that fills up in the middle of a record.
TEST(TensorBoardLogger, CutsOffARecordThatDidNotFit) {
  const TemporaryFolder folder;
  std::vector<std::string> warnings;
  TensorBoardLogger logger(folder.path(), [&](const std::string& message) { warnings.push_back(message); });
  const auto size = std::filesystem::file_size(logger.file());
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = size + 10;
  ::setrlimit(RLIMIT_FSIZE, &small);
  logger.log_scalars(1, {{"loss", 1}});
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  EXPECT_EQ(std::filesystem::file_size(logger.file()), size);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("File too large")));
  logger.log_scalars(2, {{"loss", 1}});
  EXPECT_EQ(records_of(logger).size(), 3);
}

}  // namespace
}  // namespace perceive::train
