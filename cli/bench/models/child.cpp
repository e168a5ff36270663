// Two pipes and a spawned process.
#include "cli/bench/models/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <system_error>

#include "perceive/core/error.h"
#include "perceive/core/terminal.h"

namespace perceive::cli::bench {
namespace {

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "a pipe");
  return ends;
}

}  // namespace

Child::Child(const std::vector<std::string>& words) {
  const auto in = make_pipe(), out = make_pipe();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  std::vector<std::string> all{"perceive"};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> pointers;
  for (auto& word : all) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const int error = posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  to_ = in[1];
  from_ = out[0];
  if (error != 0) {
    pid_ = -1;
    throw std::system_error(error, std::generic_category(), "this program as a process of its own");
  }
}

Child::~Child() {
  close(to_);  // upon which it ends by itself
  close(from_);
  if (pid_ > 0) waitpid(pid_, nullptr, 0);
}

void Child::say(const std::string& line) {
  core::write_all(to_, line + "\n");  // where nobody reads any more, hear() tells why
}

std::string Child::hear() {
  std::array<char, 4096> bytes{};
  size_t end = 0;
  while ((end = heard_.find('\n')) == std::string::npos) {
    const ssize_t count = read(from_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count > 0) {
      heard_.append(bytes.data(), static_cast<size_t>(count));
      continue;
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    if (WIFSIGNALED(status)) {
      throw core::Error(core::ExitCode::failure,
                        fmt::format("the process was ended by signal {}{}", WTERMSIG(status),
                                    WTERMSIG(status) == SIGKILL ? ", as for want of memory" : ""));
    }
    throw core::Error(static_cast<core::ExitCode>(WEXITSTATUS(status)),
                      fmt::format("the process ended with exit code {}; its own words are above", WEXITSTATUS(status)));
  }
  const auto line = heard_.substr(0, end);
  heard_.erase(0, end + 1);
  return line;
}

}  // namespace perceive::cli::bench
