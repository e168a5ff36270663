// This program as a child process, spoken to a line at a time.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace perceive::cli::bench {

class Child {
 public:
  // `words` behind the program's name. Its stderr is ours.
  explicit Child(const std::vector<std::string>& words);
  Child(const Child&) = delete;
  ~Child();  // ends it

  void say(const std::string& line);
  // The next line of its stdout. Throws core::Error with the child's exit code where it ended instead; it has said why.
  std::string hear();

 private:
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  std::string heard_;
};

}  // namespace perceive::cli::bench
