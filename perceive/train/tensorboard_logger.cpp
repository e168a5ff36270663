// Event files that TensorBoard shows.
#include "perceive/train/tensorboard_logger.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>

#include "perceive/train/event_record.h"

namespace perceive::train {
namespace {

namespace fs = std::filesystem;

// Field numbers of event.proto, summary.proto, tensor.proto and tensor_shape.proto.
namespace event {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace session_log {
constexpr int kStatus = 1, kStart = 1;
}
namespace summary {
constexpr int kValue = 1;
constexpr int kTag = 1, kSimpleValue = 2, kImage = 4, kTensor = 8, kMetadata = 9;  // of a value
}  // namespace summary
namespace image {
constexpr int kHeight = 1, kWidth = 2, kColorspace = 3, kEncoded = 4;
}
namespace tensor {
constexpr int kDtype = 1, kShape = 2, kString = 8, kDtypeString = 7;
constexpr int kDim = 2, kSize = 1;
}  // namespace tensor
namespace metadata {
constexpr int kPluginData = 1, kPluginName = 1;
}

constexpr std::string_view kPrefix = "events.out.tfevents.";

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// TensorBoard reads the files of a folder in the order of their names. A clock that was set back must not put this
// run's file before an earlier one's.
int64_t start_second(const fs::path& folder) {
  auto second = static_cast<int64_t>(now());
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    int64_t other = 0;
    if (!name.starts_with(kPrefix)) continue;
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), other);
    if (other < 100'000'000'000) second = std::max(second, other + 1);
  }
  return second;
}

fs::path new_file(const fs::path& folder, int64_t second) {
  static std::atomic<int64_t> counter = 0;
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return folder / fmt::format("{}{:010}.{:.100}.{}.{}", kPrefix, second, host.data(), ::getpid(), counter++);
}

}  // namespace

TensorBoardLogger::TensorBoardLogger(const fs::path& folder, Warn warn, int64_t resumed_step)
    : file_(new_file(folder, start_second(folder)), std::move(warn)), resumed_step_(resumed_step), last_time_(now()) {
  started_ = start();
}

double TensorBoardLogger::wall_time() {
  return last_time_ = std::max(last_time_, now());
}

// Each START but a folder's first makes TensorBoard forget what came before with its step or a later one. So the first
// run writes one too, or the first resumed one would pass for the beginning.
bool TensorBoardLogger::start() {
  const auto version = Message().number(event::kWallTime, wall_time()).bytes(event::kFileVersion, "brain.Event:2");
  const auto log = Message().integer(session_log::kStatus, session_log::kStart);
  const auto begin = Message()
                         .number(event::kWallTime, wall_time())
                         .integer(event::kStep, resumed_step_ > 0 ? resumed_step_ + 1 : 0)
                         .bytes(event::kSessionLog, log.str());
  return file_.append(event_record(version.str()) + event_record(begin.str()));
}

void TensorBoardLogger::write(int64_t step, int field, std::string_view content) {
  if (!started_) started_ = start();
  if (!started_) return;
  file_.append(event_record(
      Message().number(event::kWallTime, wall_time()).integer(event::kStep, step).bytes(field, content).str()));
}

void TensorBoardLogger::log_scalars(int64_t step, const Scalars& scalars) {
  Message values;
  for (const auto& [name, value] : scalars) {
    const auto scalar = Message().bytes(summary::kTag, name).number(summary::kSimpleValue, static_cast<float>(value));
    values.bytes(summary::kValue, scalar.str());
  }
  if (!scalars.empty()) write(step, event::kSummary, values.str());
}

void TensorBoardLogger::log_text(int64_t step, const std::string& tag, std::string_view text) {
  const auto dim = Message().integer(tensor::kSize, 1);
  const auto shape = Message().bytes(tensor::kDim, dim.str());
  const auto content = Message()
                           .integer(tensor::kDtype, tensor::kDtypeString)
                           .bytes(tensor::kShape, shape.str())
                           .bytes(tensor::kString, text);
  const auto plugin = Message().bytes(metadata::kPluginName, "text");
  const auto value = Message()
                         .bytes(summary::kTag, tag + "/text_summary")  // as torch's SummaryWriter has it
                         .bytes(summary::kTensor, content.str())
                         .bytes(summary::kMetadata, Message().bytes(metadata::kPluginData, plugin.str()).str());
  write(step, event::kSummary, Message().bytes(summary::kValue, value.str()).str());
}

void TensorBoardLogger::log_image(int64_t step, const std::string& tag, std::string_view png, int64_t width,
                                  int64_t height) {
  constexpr int kRgb = 3;
  const auto content = Message()
                           .integer(image::kHeight, height)
                           .integer(image::kWidth, width)
                           .integer(image::kColorspace, kRgb)
                           .bytes(image::kEncoded, png);
  const auto value = Message().bytes(summary::kTag, tag).bytes(summary::kImage, content.str());
  write(step, event::kSummary, Message().bytes(summary::kValue, value.str()).str());
}

}  // namespace perceive::train
