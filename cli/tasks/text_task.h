// What the tasks on text have in common.
#pragma once

#include <memory>

#include "cli/tasks/link.h"
#include "cli/tasks/task.h"
#include "cli/tasks/text_data.h"
#include "cli/tasks/text_models.h"

namespace perceive::cli {

// Options of learning tokens: as perceiver-io's script has them, with a rate that rises and falls once in a run.
template <class Model>
struct LanguageModelOptions : TaskOptions<TextOptions, Model> {
  LanguageModelOptions() {
    this->optimizer = train::AdamWOptions();
    this->lr_scheduler = train::OneCycleLROptions{.pct_start = 0.1, .cycle_momentum = false};
  }
};

// Options: TaskOptions of one of the choices of data and models here.
template <class Options>
class TextTask : public Task {
 public:
  core::OptionRef options() override { return core::reflect(options_); }
  RunOptions& run() override { return options_; }

  void link() override {
    if (!options_.data) return;
    in_group("data", [&] {
      keep_classes(*options_.data);
      data_ = std::visit([](const auto& data) { return make_data(data); }, *options_.data);
    });
    link_model(options_.model, *data_);
  }

  data::TextDataModule& data() override {
    if (!data_) throw core::ConfigError("data: none was chosen; give one, for instance --data=ImdbDataModule");
    return *data_;
  }

  std::vector<std::filesystem::path> draw(const std::filesystem::path& /*folder*/) override { return {}; }

 protected:
  Options options_;

 private:
  std::unique_ptr<data::TextDataModule> data_;
};

}  // namespace perceive::cli
