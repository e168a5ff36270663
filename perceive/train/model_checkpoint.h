// Which checkpoints of a run are kept, and under which names.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "perceive/train/metrics.h"
#include "perceive/train/schedule_options.h"

namespace perceive::train {

struct ModelCheckpointOptions {
  std::optional<std::string> monitor = "val_loss";
  Goal mode = Goal::min;
  int64_t save_top_k = 1;
  bool save_last = true;
  std::string filename = "{epoch:03d}-{val_loss:.3f}";
  std::optional<int64_t> every_n_train_steps;
};
template <class Visitor>
void visit(ModelCheckpointOptions& o, Visitor&& field) {
  field("monitor", o.monitor, "metric that decides after each validation what is best; null: the newest is");
  field("mode", o.mode, "is it to fall (min) or to rise (max)");
  field("save_top_k", o.save_top_k, "how many of the best are kept; -1: all, 0: none");
  field("save_last", o.save_last, "keep the newest state as `last`, from which training can be resumed");
  field("filename", o.filename, "names of the best: {epoch:03d} becomes epoch=007; epoch, step and every metric");
  field("every_n_train_steps", o.every_n_train_steps, "save `last` every so many steps too");
}
void check(const ModelCheckpointOptions& options);

// "{epoch:03d}-{val_loss:.3f}" becomes "epoch=002-val_loss=0.345", as in Lightning. Throws core::ConfigError for a name
// that is not there, and for what is no file name.
std::string checkpoint_name(const std::string& filename, int64_t epoch, int64_t step, const Metrics& metrics);

class ModelCheckpoint {
 public:
  explicit ModelCheckpoint(const ModelCheckpointOptions& options) : options_(options) { check(options_); }
  const ModelCheckpointOptions& options() const { return options_; }

  // The name under which a state with these metrics is to be saved, or nothing where it is not among the best. It
  // counts as kept from then on. Of equal scores the earlier is better; NaN and infinities are never among the best.
  std::optional<std::string> offer(int64_t epoch, int64_t step, const Metrics& metrics);
  // Names that offer() has pushed out, once.
  std::vector<std::string> take_displaced();

  std::optional<std::string> best() const;
  std::optional<double> best_score() const;

  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  struct Kept {
    std::string name;
    double score;
  };
  bool is_better(double a, double b) const { return options_.mode == Goal::min ? a < b : a > b; }

  ModelCheckpointOptions options_;
  std::vector<Kept> kept_;  // the best first
  std::vector<std::string> displaced_;
};

// The value of `monitor`, which `option` names. Throws core::ConfigError that lists the metrics there are.
double monitored(const Metrics& metrics, const std::string& monitor, const std::string& option);

}  // namespace perceive::train
