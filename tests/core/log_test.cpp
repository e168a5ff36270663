#include "perceive/core/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "perceive/core/error.h"
#include "perceive/core/terminal.h"
#include "tests/core/captured_output.h"

namespace perceive::core {
namespace {

using example::CapturedOutput;
using example::Environment;

// What `write` writes to stderr where that is a pipe or a terminal.
template <class Function>
std::string on_stderr(CapturedOutput::Kind kind, Function write) {
  CapturedOutput output(kind);
  const int before = dup(STDERR_FILENO);
  dup2(output.fd, STDERR_FILENO);
  write();
  dup2(before, STDERR_FILENO);
  close(before);
  return output.take();
}

TEST(Log, WritesLinesToStderr) {
  const Environment level("PERCEIVE_LOG", nullptr);
  set_log_level_from_environment();
  const std::string text = on_stderr(CapturedOutput::Kind::pipe, [] {
    log_debug("hidden");
    log_info("one {} %s");
    log_warning("two");
    log_error("three");
  });
  EXPECT_THAT(text, testing::MatchesRegex("[0-9:]+ info: one \\{\\} %s\n[0-9:]+ warning: two\n[0-9:]+ error: three\n"));
}

TEST(Log, ObeysItsLevel) {
  const auto all = [] {
    log_debug("d");
    log_info("i");
    log_warning("w");
    log_error("e");
  };
  const auto count = [&] {
    const std::string text = on_stderr(CapturedOutput::Kind::pipe, all);
    return std::count(text.begin(), text.end(), '\n');
  };
  set_log_level(LogLevel::error);
  EXPECT_EQ(count(), 1);
  set_log_level(LogLevel::off);
  EXPECT_EQ(count(), 0);
  const Environment level("PERCEIVE_LOG", "debug");
  set_log_level_from_environment();
  EXPECT_EQ(count(), 4);
}

TEST(Log, RefusesAnUnknownLevel) {
  const Environment level("PERCEIVE_LOG", "loud");
  try {
    set_log_level_from_environment();
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "PERCEIVE_LOG expects one of debug, info, warning, error, off, got 'loud'");
  }
}

TEST(Log, HasColourOnATerminalOnly) {
  set_log_level(LogLevel::info);
  const auto line = [] { log_warning("w"); };
  const Environment term("TERM", "xterm"), colour("NO_COLOR", nullptr);
  EXPECT_THAT(on_stderr(CapturedOutput::Kind::terminal, line), testing::HasSubstr("\x1b[33mwarning\x1b[0m: w\n"));
  EXPECT_THAT(on_stderr(CapturedOutput::Kind::pipe, line), testing::HasSubstr(" warning: w\n"));
  {
    const Environment no_colour("NO_COLOR", "1");
    EXPECT_THAT(on_stderr(CapturedOutput::Kind::terminal, line), testing::HasSubstr(" warning: w\n"));
  }
  const Environment dumb("TERM", "dumb");
  EXPECT_THAT(on_stderr(CapturedOutput::Kind::terminal, line), testing::HasSubstr(" warning: w\n"));
}

TEST(Terminal, SurvivesAReaderThatIsGone) {
  ASSERT_EQ(std::signal(SIGPIPE, SIG_DFL), SIG_DFL) << "a test must not be shielded already";
  CapturedOutput output(CapturedOutput::Kind::pipe);
  EXPECT_TRUE(write_line(output.fd, "a"));
  output.close_reader();
  EXPECT_FALSE(write_line(output.fd, "b"));
  EXPECT_FALSE(write_all(-1, "c"));
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
}

TEST(Terminal, KeepsLinesAndTheStatusLineApart) {
  CapturedOutput output(CapturedOutput::Kind::terminal);
  write_status(output.fd, "50%");
  EXPECT_EQ(output.take(), "\r50%\x1b[K");
  write_line(output.fd, "saved");
  EXPECT_EQ(output.take(), "\r\x1b[Ksaved\n50%");
  write_status(output.fd, "");
  EXPECT_EQ(output.take(), "\r\x1b[K");
  write_line(output.fd, "done");
  EXPECT_EQ(output.take(), "done\n");
}

TEST(Terminal, WritesMoreThanAPipeHolds) {
  CapturedOutput output(CapturedOutput::Kind::pipe);
  fcntl(output.fd, F_SETFL, O_NONBLOCK);
  std::string text(1'000'000, 'x'), read;
  std::thread writer([&] { EXPECT_TRUE(write_all(output.fd, text)); });
  while (read.size() < text.size()) read += output.take();
  writer.join();
  EXPECT_EQ(read, text);
}

}  // namespace
}  // namespace perceive::core
