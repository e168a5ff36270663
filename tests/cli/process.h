// Runs the program as its users do: as a child process, with its exit code and everything it wrote.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace perceive::tests {

struct Ended {
  int code = -1;    // the exit code, or 128 + the signal that ended it
  std::string out;  // stdout
  std::string err;  // stderr
  double seconds = 0;
};

struct Surroundings {
  std::vector<std::string> set;       // "NAME=value", over the environment of the test
  std::vector<std::string> unset;     // names
  std::filesystem::path folder = {};  // working directory; empty: the test's
  bool stdout_closed_pipe = false;    // stdout is a pipe that nobody reads
  std::string input = {};             // of stdin
};

// A running program; killed when dropped.
class Process {
 public:
  explicit Process(const std::vector<std::string>& arguments, const Surroundings& surroundings = {});
  Process(const Process&) = delete;
  ~Process();

  bool running();
  void signal(int number) const;
  // True once stdout or stderr holds `words`; false if it ended or `seconds` passed without.
  bool says(const std::string& words, double seconds = 120);
  // Waits for the end; kills it (code 137) after `seconds`.
  Ended wait(double seconds = 300);

 private:
  std::string written(const char* stream) const;

  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::filesystem::path folder_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// The program `perceive` with `arguments`, to its end.
Ended perceive(const std::vector<std::string>& arguments, const Surroundings& surroundings = {});

// A folder of its own under the test's temporary folder, removed in the end.
class Folder {
 public:
  explicit Folder(const std::string& name = "");
  Folder(const Folder&) = delete;
  ~Folder();
  operator const std::filesystem::path&() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  std::string string() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

std::string contents(const std::filesystem::path& file);  // "" where there is none
void write(const std::filesystem::path& file, const std::string& text);

// Words of a command line.
inline std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace perceive::tests
