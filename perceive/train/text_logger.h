// Texts for people, a file a tag: "sample predictions" goes to sample_predictions.txt.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "perceive/train/append_file.h"
#include "perceive/train/logger.h"

namespace perceive::train {

// Each text stands below a line "# step <n>".
class TextLogger : public Logger {
 public:
  // Goes on with the files that are there, without what they hold of steps after `resumed_step`; what is logged again
  // of `resumed_step` itself is dropped.
  TextLogger(std::filesystem::path folder, Warn warn, int64_t resumed_step = 0)
      : folder_(std::move(folder)), warn_(std::move(warn)), resumed_step_(resumed_step) {}

  void log_scalars(int64_t /*step*/, const Scalars& /*scalars*/) override {}
  void log_text(int64_t step, const std::string& tag, std::string_view text) override;

 private:
  struct Log {
    AppendFile file;
    std::string repeatable;  // what is there of `resumed_step`
  };
  Log& log_of(const std::string& tag);

  std::filesystem::path folder_;
  Warn warn_;
  int64_t resumed_step_;
  std::map<std::string, Log> logs_;
};

}  // namespace perceive::train
