// Child processes with their output in files, so that no pipe can fill up and stall them.
#include "tests/cli/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace perceive::tests {
namespace {

constexpr auto kLook = std::chrono::milliseconds(5);

std::vector<std::string> environment_of(const Surroundings& surroundings) {
  const auto name_of = [](const std::string& entry) { return entry.substr(0, entry.find('=')); };
  std::vector<std::string> entries = surroundings.set;
  for (char** entry = environ; *entry; ++entry) {
    bool keep = true;
    for (const auto& set : surroundings.set) keep &= name_of(set) != name_of(*entry);
    for (const auto& name : surroundings.unset) keep &= name != name_of(*entry);
    if (keep) entries.emplace_back(*entry);
  }
  return entries;
}

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const auto& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::filesystem::path fresh_folder(const std::string& name) {
  static std::atomic<int> count{0};
  const auto path = std::filesystem::temp_directory_path() /
                    ("perceive_test_" + std::to_string(getpid()) + "_" + std::to_string(count++) + name);
  std::filesystem::create_directories(path);
  return path;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const Surroundings& surroundings)
    : folder_(fresh_folder("_output")) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  write(folder_ / "in", surroundings.input);
  posix_spawn_file_actions_addopen(&actions, 0, (folder_ / "in").c_str(), O_RDONLY, 0);
  int ends[2] = {-1, -1};
  if (surroundings.stdout_closed_pipe) {
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category());
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  } else {
    posix_spawn_file_actions_addopen(&actions, 1, (folder_ / "out").c_str(), O_WRONLY | O_CREAT, 0644);
  }
  posix_spawn_file_actions_addopen(&actions, 2, (folder_ / "err").c_str(), O_WRONLY | O_CREAT, 0644);
  if (!surroundings.folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, surroundings.folder.c_str());
  std::vector<std::string> words{PERCEIVE_BUILD "/perceive"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const auto environment = environment_of(surroundings);
  if (ends[0] >= 0) close(ends[0]);
  const int error = posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, pointers_to(words).data(),
                                pointers_to(environment).data());
  if (ends[1] >= 0) close(ends[1]);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::system_error(error, std::generic_category(), words[0]);
}

Process::~Process() {
  if (running()) wait(0);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void Process::signal(int number) const {
  if (!ended_) kill(pid_, number);
}

bool Process::running() {
  if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return !ended_;
}

std::string Process::written(const char* stream) const {
  return contents(folder_ / stream);
}

bool Process::says(const std::string& words, double seconds) {
  const auto from = std::chrono::steady_clock::now();
  while (true) {
    const bool last_look = !running() || seconds_since(from) > seconds;
    if (written("out").find(words) != std::string::npos || written("err").find(words) != std::string::npos) return true;
    if (last_look) return false;
    std::this_thread::sleep_for(kLook);
  }
}

Ended Process::wait(double seconds) {
  const auto from = std::chrono::steady_clock::now();
  while (running()) {
    if (seconds_since(from) > seconds) kill(pid_, SIGKILL);
    std::this_thread::sleep_for(kLook);
  }
  return {WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_), written("out"), written("err"),
          seconds_since(start_)};
}

Ended perceive(const std::vector<std::string>& arguments, const Surroundings& surroundings) {
  return Process(arguments, surroundings).wait();
}

Folder::Folder(const std::string& name) : path_(fresh_folder(name)) {}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string contents(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write(const std::filesystem::path& file, const std::string& text) {
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << text;
}

}  // namespace perceive::tests
