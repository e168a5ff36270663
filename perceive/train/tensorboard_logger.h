// Event files that TensorBoard shows: scalars, texts and images.
#pragma once

#include <filesystem>
#include <string>

#include "perceive/train/append_file.h"
#include "perceive/train/logger.h"

namespace perceive::train {

class TensorBoardLogger : public Logger {
 public:
  // Starts a new file in `folder`. A resumed run tells TensorBoard to forget what earlier files hold after that step,
  // or it would draw two curves over each other. 0: a new run.
  TensorBoardLogger(const std::filesystem::path& folder, Warn warn, int64_t resumed_step = 0);

  void log_scalars(int64_t step, const Scalars& scalars) override;
  void log_text(int64_t step, const std::string& tag, std::string_view text) override;
  void log_image(int64_t step, const std::string& tag, std::string_view png, int64_t width, int64_t height) override;

  const std::filesystem::path& file() const { return file_.path(); }

 private:
  double wall_time();
  void write(int64_t step, int field, std::string_view content);
  bool start();

  AppendFile file_;
  int64_t resumed_step_;
  double last_time_;
  bool started_ = false;
};

}  // namespace perceive::train
