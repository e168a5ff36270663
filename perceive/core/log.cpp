// What the library has to say: lines on stderr, and nowhere else.
#include "perceive/core/log.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "perceive/core/error.h"
#include "perceive/core/terminal.h"
#include "perceive/core/text.h"

namespace perceive::core {
namespace {

// Goes through write_line, which keeps lines and the progress bar apart.
class TerminalSink : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    std::string line(formatted.data(), formatted.size());
    if (has_colour(STDERR_FILENO)) {
      line.insert(message.color_range_end, "\x1b[0m");
      line.insert(message.color_range_start, colour(message.level));
    }
    write_line(STDERR_FILENO, line);
  }
  void flush_() override {}

 private:
  static const char* colour(spdlog::level::level_enum level) {
    switch (level) {
      case spdlog::level::err:
        return "\x1b[31m";
      case spdlog::level::warn:
        return "\x1b[33m";
      default:
        return "\x1b[36m";
    }
  }
};

spdlog::level::level_enum spdlog_level(LogLevel level) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                   spdlog::level::err, spdlog::level::off};
  return kLevels[static_cast<size_t>(level)];
}

// What PERCEIVE_LOG names; nothing where it is not set, or names no level.
std::optional<LogLevel> level_from_environment() {
  const char* text = std::getenv("PERCEIVE_LOG");
  for (const auto& [level, name] : enum_names(LogLevel{})) {
    if (text && std::string_view(text) == name) return level;
  }
  return std::nullopt;
}

spdlog::logger& logger() {
  // Never destroyed: other static objects may still log while the program ends.
  static spdlog::logger& instance = [&]() -> spdlog::logger& {
    auto& made = *new spdlog::logger("perceive", std::make_shared<TerminalSink>());
    made.set_formatter(
        std::make_unique<spdlog::pattern_formatter>("%H:%M:%S %^%l%$: %v", spdlog::pattern_time_type::local, ""));
    made.set_level(spdlog_level(level_from_environment().value_or(LogLevel::info)));
    return made;
  }();
  return instance;
}

void log(spdlog::level::level_enum level, std::string_view message) {
  logger().log(level, spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace

void set_log_level(LogLevel level) {
  logger().set_level(spdlog_level(level));
}

void set_log_level_from_environment() {
  const char* text = std::getenv("PERCEIVE_LOG");
  const auto level = level_from_environment();
  if (text && *text && !level) {
    throw ConfigError("PERCEIVE_LOG expects one of debug, info, warning, error, off, got " + in_quotes(text));
  }
  set_log_level(level.value_or(LogLevel::info));
}

void log_debug(std::string_view message) {
  log(spdlog::level::debug, message);
}
void log_info(std::string_view message) {
  log(spdlog::level::info, message);
}
void log_warning(std::string_view message) {
  log(spdlog::level::warn, message);
}
void log_error(std::string_view message) {
  log(spdlog::level::err, message);
}

}  // namespace perceive::core
