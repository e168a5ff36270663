// Texts for people, a file a tag.
#include "perceive/train/text_logger.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "perceive/core/error.h"

namespace perceive::train {
namespace {

constexpr std::string_view kHead = "# step ";

std::string record(int64_t step, std::string_view text) {
  return fmt::format("{}{}\n\n{}\n\n", kHead, step, text);
}

// Where the first record of a later step begins, and the first of `step` itself; the end where there is none.
std::pair<size_t, size_t> places(std::string_view text, int64_t step) {
  size_t later = text.size(), same = text.size();
  for (size_t at = 0; at < text.size(); at = std::min(text.find('\n', at), text.size() - 1) + 1) {
    if (!text.substr(at).starts_with(kHead)) continue;
    int64_t of = 0;
    const auto* digits = text.data() + at + kHead.size();
    if (std::from_chars(digits, text.data() + text.size(), of).ec != std::errc()) continue;
    if (of == step) same = std::min(same, at);
    if (of > step) return {at, std::min(same, at)};
  }
  return {later, same};
}

}  // namespace

TextLogger::Log& TextLogger::log_of(const std::string& tag) {
  const auto found = logs_.find(tag);
  if (found != logs_.end()) return found->second;
  std::string name = tag;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ' ' || c == '/'; }, '_');
  auto& log = logs_.try_emplace(tag, Log{AppendFile(folder_ / (name + ".txt"), warn_), {}}).first->second;
  std::error_code error;
  if (!std::filesystem::exists(log.file.path(), error)) return log;
  try {
    const std::string text = io::read_file(log.file.path());
    const auto [later, same] = places(text, resumed_step_);
    log.repeatable = text.substr(same, later - same);
    if (later < text.size()) log.file.replace(text.substr(0, later));
  } catch (const core::Error& e) {
    log.file.warn(e.what());
  }
  return log;
}

void TextLogger::log_text(int64_t step, const std::string& tag, std::string_view text) {
  auto& log = log_of(tag);
  const auto added = record(step, text);
  if (step == resumed_step_ && log.repeatable.find(added) != std::string::npos) return;
  log.file.append(added);
}

}  // namespace perceive::train
