// What a trainer's options may be.
#include "perceive/train/trainer_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "perceive/core/error.h"
#include "perceive/core/number.h"
#include "perceive/core/text.h"

namespace perceive::train {
namespace {

[[noreturn]] void refuse(const std::string& option, const std::string& expected, const std::string& got) {
  throw core::ConfigError(fmt::format("trainer.{}: expected {}, got {}", option, expected, got));
}

void expect_at_least(int64_t lowest, const char* option, std::optional<int64_t> value) {
  if (value && *value < lowest) refuse(option, fmt::format("{} or more", lowest), fmt::to_string(*value));
}

}  // namespace

void check(const TrainerOptions& o) {
  if (o.accelerator == Accelerator::gpu) {
    refuse("accelerator", "auto or cpu: this build computes on the CPU", "gpu");
  }
  int64_t devices = 1;
  if (o.devices != "auto" && !core::read_number(o.devices, &devices).ok) {
    refuse("devices", "auto or 1", core::in_quotes(o.devices));
  }
  if (devices != 1) refuse("devices", "auto or 1: one process trains on the whole CPU", fmt::to_string(devices));
  if (o.precision == Precision::fp16) refuse("precision", "32, 64 or bf16: half precision needs a GPU", "16");
  expect_at_least(-1, "max_epochs", o.max_epochs);
  expect_at_least(-1, "max_steps", o.max_steps);
  if (o.max_time) seconds_of(*o.max_time, "max_time");
  expect_at_least(0, "min_epochs", o.min_epochs);
  expect_at_least(0, "min_steps", o.min_steps);
  for (const auto& [option, amount] : {std::pair{"limit_train_batches", o.limit_train_batches},
                                       {"limit_val_batches", o.limit_val_batches},
                                       {"limit_test_batches", o.limit_test_batches},
                                       {"limit_predict_batches", o.limit_predict_batches},
                                       {"val_check_interval", o.val_check_interval}}) {
    amount_of_batches(amount, 1, option);
  }
  expect_at_least(1, "check_val_every_n_epoch", o.check_val_every_n_epoch);
  if (!o.check_val_every_n_epoch && is_part_of_epoch(o.val_check_interval)) {
    refuse("val_check_interval", "a number of batches where check_val_every_n_epoch is null", o.val_check_interval);
  }
  expect_at_least(-1, "num_sanity_val_steps", o.num_sanity_val_steps);
  expect_at_least(1, "log_every_n_steps", o.log_every_n_steps);
  if (o.gradient_clip_val && !(*o.gradient_clip_val > 0)) {
    refuse("gradient_clip_val", "a number above 0, or null", fmt::to_string(*o.gradient_clip_val));
  }
  expect_at_least(1, "accumulate_grad_batches", o.accumulate_grad_batches);
  if (o.name && (o.name->empty() || o.name->find('/') != std::string::npos)) {
    refuse("name", "the name of a folder, without a slash", core::in_quotes(*o.name));
  }
  check(o.checkpoint);
  if (o.early_stopping) check(*o.early_stopping);
}

bool is_part_of_epoch(const std::string& amount) {
  return amount.find_first_of(".eE") != std::string::npos;
}

int64_t amount_of_batches(const std::string& amount, int64_t batches, const std::string& option) {
  if (is_part_of_epoch(amount)) {
    double part = 0;
    if (!core::read_number(amount, &part).ok || !(part >= 0 && part <= 1)) {
      refuse(option, "a number of batches, or a part of them from 0.0 to 1.0", core::in_quotes(amount));
    }
    if (part == 0) return 0;
    return std::max<int64_t>(1, static_cast<int64_t>(std::floor(part * static_cast<double>(batches))));
  }
  int64_t number = 0;
  if (!core::read_number(amount, &number).ok || number < 0) {
    refuse(option, "a number of batches, or a part of them from 0.0 to 1.0", core::in_quotes(amount));
  }
  return std::min(number, batches);
}

double seconds_of(const std::string& time, const std::string& option) {
  const std::string expected = "a time such as 00:12:30:00 (days, hours, minutes, seconds), or seconds";
  std::vector<double> parts;
  for (size_t begin = 0; begin <= time.size();) {
    const size_t end = std::min(time.find(':', begin), time.size());
    const std::string part = time.substr(begin, end - begin);
    double number = 0;
    const bool digits = part.find_first_not_of("0123456789.") == std::string::npos;
    // "08" has a leading zero, which a number of the configuration may not have.
    const std::string plain = part.substr(std::min(part.find_first_not_of('0'), part.size()));
    if (part.empty() || !digits || (!plain.empty() && !core::read_number(plain, &number).ok)) {
      refuse(option, expected, core::in_quotes(time));
    }
    parts.push_back(number);
    begin = end + 1;
  }
  if (parts.size() == 1) return parts[0];
  if (parts.size() != 4) refuse(option, expected, core::in_quotes(time));
  return ((parts[0] * 24 + parts[1]) * 60 + parts[2]) * 60 + parts[3];
}

}  // namespace perceive::train
