// metrics.csv: one row for each call, one column for each name, `step` first.
//
// A name that was not there before adds a column: the file is rewritten, at once. Cells without a value are empty.
// Numbers have the shortest digits that give the same double, with a point in every locale.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "perceive/train/append_file.h"
#include "perceive/train/logger.h"

namespace perceive::train {

class CsvLogger : public Logger {
 public:
  // Goes on with the file that is there, without its rows after `resumed_step` and a last line that was cut, so that a
  // resumed run has each row once: what it logs again of `resumed_step` itself is dropped too. 0: a new run. A file
  // that is not ours is left alone, and nothing is logged.
  CsvLogger(std::filesystem::path file, Warn warn, int64_t resumed_step = 0);

  void log_scalars(int64_t step, const Scalars& scalars) override;

 private:
  bool add_columns(const Scalars& scalars);
  std::string read() const;

  AppendFile file_;
  std::vector<std::string> columns_;     // after `step`
  std::vector<std::string> repeatable_;  // rows of `resumed_step` that are there
  bool usable_ = true;
};

}  // namespace perceive::train
