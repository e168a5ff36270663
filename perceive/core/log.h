// What the library has to say: lines on stderr, and nowhere else.
#pragma once

#include <array>
#include <string_view>
#include <utility>

namespace perceive::core {

enum class LogLevel { debug, info, warning, error, off };
constexpr auto enum_names(LogLevel) {
  return std::array<std::pair<LogLevel, const char*>, 5>{{{LogLevel::debug, "debug"},
                                                          {LogLevel::info, "info"},
                                                          {LogLevel::warning, "warning"},
                                                          {LogLevel::error, "error"},
                                                          {LogLevel::off, "off"}}};
}

// Messages below `level` are dropped. It starts as the environment variable PERCEIVE_LOG names it, or else as info.
void set_log_level(LogLevel level);
// Back to that start. Throws ConfigError where PERCEIVE_LOG names no level.
void set_log_level_from_environment();

void log_debug(std::string_view message);
void log_info(std::string_view message);
void log_warning(std::string_view message);
void log_error(std::string_view message);

}  // namespace perceive::core
