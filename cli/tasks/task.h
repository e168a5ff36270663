// A learning task: one set of options, and the data, model and pictures that they make.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "perceive/core/options.h"
#include "perceive/data/module.h"
#include "perceive/train/trainer.h"

namespace perceive::cli {

// What the options of all tasks share.
struct RunOptions {
  std::optional<int64_t> seed_everything;
  std::optional<train::OptimizerOptions> optimizer;
  std::optional<train::ScheduleOptions> lr_scheduler;
  train::TrainerOptions trainer;
  std::optional<std::string> ckpt_path;
};

// All options of a task: what its configuration files hold. Data and Model are options structs or choices of such.
template <class Data, class Model>
struct TaskOptions : RunOptions {
  std::optional<Data> data;
  Model model;
};
template <class Data, class Model, class Visitor>
void visit(TaskOptions<Data, Model>& o, Visitor&& field) {
  field("seed_everything", o.seed_everything, "of weights and dropout; null: a new one, which the run's config names");
  field("data", o.data, "data set");
  field("model", o.model, "model");
  field("optimizer", o.optimizer, "optimizer; fit needs one");
  field("lr_scheduler", o.lr_scheduler, "learning rate schedule; null: a constant rate");
  field("trainer", o.trainer, "how long, how often, and where to");
  field("ckpt_path", o.ckpt_path, "checkpoint or run folder, or last or best of the newest run; see above");
}

// What predict was asked for besides the configuration.
struct PredictRequest {
  std::vector<std::string> inputs;              // files and folders, or as the task has it; none: the data's own
  std::optional<int64_t> top_k;                 // answers to each; nothing: as the task has it
  std::optional<std::filesystem::path> output;  // file to write; else one in the run's folder
};

class Task {
 public:
  virtual ~Task() = default;
  virtual std::string name() const = 0;  // as on the command line
  virtual core::OptionRef options() = 0;
  virtual RunOptions& run() = 0;
  // The folder of its runs below default_root_dir.
  std::string run_name() { return run().trainer.name.value_or(name()); }
  // Fills in what the data, once chosen, decides of the model. Throws core::ConfigError where the user said otherwise.
  virtual void link() = 0;

  // These are made when first asked for, after link(), and where data was chosen.
  virtual data::DataModule& data() = 0;
  virtual train::Learner& learner() = 0;
  // Pictures of what the trained learner makes of the test set; the files written into `folder`.
  virtual std::vector<std::filesystem::path> draw(const std::filesystem::path& folder) = 0;
  // Writes `output` and prints. The learner's parameters come from `checkpoint`.
  virtual void predict(train::Trainer& trainer, const PredictRequest& request, const std::filesystem::path& checkpoint,
                       const std::filesystem::path& output) = 0;
};

}  // namespace perceive::cli
