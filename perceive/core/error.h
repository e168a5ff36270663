// The errors a user can cause or meet, one class for each exit code of the program.
#pragma once

#include <stdexcept>

namespace perceive::core {

enum class ExitCode {
  ok = 0,
  failure = 1,          // anything not named below
  usage = 2,            // flags or configuration
  data = 3,             // a data set or an input file
  model_file = 4,       // a checkpoint or a weights file
  non_finite = 5,       // NaN or infinity where training needs numbers
  distributed = 6,      // another rank failed
  saved = 75,           // interrupted, and a checkpoint was written (EX_TEMPFAIL)
  interrupted = 130,    // second Ctrl-C
};

// what() is the whole message: who, what was expected, what came, what to do.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

struct ConfigError : Error {
  explicit ConfigError(const std::string& message) : Error(ExitCode::usage, message) {}
};
struct DataError : Error {
  explicit DataError(const std::string& message) : Error(ExitCode::data, message) {}
};
struct FileError : Error {
  explicit FileError(const std::string& message) : Error(ExitCode::model_file, message) {}
};
struct NonFiniteError : Error {
  explicit NonFiniteError(const std::string& message) : Error(ExitCode::non_finite, message) {}
};

}  // namespace perceive::core
