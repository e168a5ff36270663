// What differs between Lightning's options and ours, as tables, and the walk over the arguments.
#include "perceive/train/lightning_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "perceive/core/error.h"

namespace perceive::train {
namespace {

using core::Value;
using Kind = Value::Kind;

// An option that is not ours: values that change nothing here ("*": all), and why others are refused.
struct Foreign {
  std::vector<std::string> nothing;
  const char* reason;
};

constexpr const char* kAlone = "one process trains; there is nothing to distribute";
constexpr const char* kCpu = "this build computes on the CPU; leave it out";
constexpr const char* kOneForm = "there is one implementation of each optimizer";

const std::map<std::string, Foreign>& foreign_options() {
  static const std::map<std::string, Foreign> options{
      {"trainer.amp_backend", {{"null", "native"}, "say trainer.precision"}},
      {"trainer.amp_level", {{"null"}, "say trainer.precision"}},
      {"trainer.auto_select_gpus", {{"null", "false"}, kCpu}},
      {"trainer.barebones",
       {{"false"}, "say logger, enable_checkpointing, enable_progress_bar and enable_model_summary"}},
      {"trainer.benchmark", {{"null", "false"}, "there is no cuDNN here"}},
      {"trainer.checkpoint_callback", {{"null", "true"}, "say trainer.enable_checkpointing"}},
      {"trainer.flush_logs_every_n_steps", {{"*"}, ""}},
      {"trainer.gpus", {{"null", "0", ""}, kCpu}},
      {"trainer.inference_mode", {{"*"}, ""}},
      {"trainer.ipus", {{"null"}, kCpu}},
      {"trainer.log_gpu_memory", {{"null", "false"}, kCpu}},
      {"trainer.move_metrics_to_cpu", {{"*"}, ""}},
      {"trainer.multiple_trainloader_mode", {{"max_size_cycle"}, "there is one loader to train with"}},
      {"trainer.num_nodes", {{"null", "1"}, kAlone}},
      {"trainer.num_processes", {{"null", "1"}, "one process trains, with all cores"}},
      {"trainer.overfit_batches", {{"null", "0", "0.0"}, "say trainer.limit_train_batches, and turn shuffling off"}},
      {"trainer.plugins", {{"null"}, "there are none"}},
      {"trainer.prepare_data_per_node", {{"*"}, ""}},
      {"trainer.process_position", {{"null", "0"}, "there is one progress bar"}},
      {"trainer.profiler", {{"null"}, "measure with `perceive bench`, or with perf"}},
      {"trainer.progress_bar_refresh_rate", {{"null"}, "say trainer.enable_progress_bar"}},
      {"trainer.reload_dataloaders_every_n_epochs",
       {{"null", "0"}, "loaders live for the whole run; they shuffle anew in each epoch"}},
      {"trainer.replace_sampler_ddp", {{"*"}, ""}},
      {"trainer.resume_from_checkpoint", {{"null"}, "say --ckpt_path"}},
      {"trainer.stochastic_weight_avg", {{"false"}, "weights are not averaged; a schedule that falls serves as well"}},
      {"trainer.strategy",
       {{"null", "auto", "single_device", "dp", "ddp", "ddp_spawn", "ddp_fork", "ddp_static_graph",
         "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true",
         "ddp_spawn_find_unused_parameters_false"},
        kAlone}},
      {"trainer.sync_batchnorm", {{"null", "false"}, "one process trains; there is nothing to synchronise"}},
      {"trainer.terminate_on_nan", {{"null", "true"}, "training always stops where the loss is NaN"}},
      {"trainer.tpu_cores", {{"null"}, kCpu}},
      {"trainer.track_grad_norm", {{"-1"}, "gradient norms are not logged"}},
      {"trainer.use_distributed_sampler", {{"*"}, ""}},
      {"trainer.weights_save_path", {{"null"}, "say trainer.default_root_dir"}},
      {"trainer.weights_summary", {{"top", "full"}, "say trainer.enable_model_summary"}},
      {"trainer.checkpoint.auto_insert_metric_name", {{"true"}, "names of checkpoints always name their metrics"}},
      {"trainer.checkpoint.dirpath", {{"null"}, "checkpoints lie in the run's folder; say trainer.default_root_dir"}},
      {"trainer.checkpoint.every_n_epochs", {{"null", "1"}, "say trainer.check_val_every_n_epoch"}},
      {"trainer.checkpoint.save_on_train_epoch_end",
       {{"null", "false"}, "what is best is known after a validation; monitor=null keeps the newest"}},
      {"trainer.checkpoint.save_weights_only", {{"false"}, "checkpoints hold all that a run needs to go on"}},
      {"trainer.checkpoint.train_time_interval", {{"null"}, "say trainer.checkpoint.every_n_train_steps"}},
      {"trainer.checkpoint.verbose", {{"*"}, ""}},
      {"trainer.early_stopping.check_on_train_epoch_end", {{"null", "false"}, "it looks after each validation"}},
      {"trainer.early_stopping.strict", {{"true"}, "a metric that is not there always ends the run"}},
      {"trainer.early_stopping.verbose", {{"*"}, ""}},
      {"LearningRateMonitor.logging_interval", {{"*"}, ""}},
      {"LearningRateMonitor.log_momentum", {{"false"}, "momentum is not logged"}},
      {"optimizer.capturable", {{"*"}, ""}},
      {"optimizer.differentiable", {{"false"}, "nothing differentiates through a step"}},
      {"optimizer.foreach", {{"*"}, ""}},
      {"optimizer.fused", {{"null", "false"}, kOneForm}},
      {"optimizer.maximize", {{"null", "false"}, "training makes the loss small"}},
      {"lr_scheduler.last_epoch", {{"-1"}, "say --ckpt_path, and the schedule goes on where the run was"}},
      {"lr_scheduler.verbose", {{"*"}, ""}},
  };
  return options;
}

// Values of our options that Lightning spells otherwise; null is often its word for a default.
const std::map<std::pair<std::string, std::string>, const char*>& other_words() {
  static const std::map<std::pair<std::string, std::string>, const char*> words{
      {{"trainer.accelerator", "null"}, "auto"},
      {{"trainer.accumulate_grad_batches", "null"}, "1"},
      {{"trainer.auto_scale_batch_size", "false"}, "null"},
      {{"trainer.auto_scale_batch_size", "true"}, "power"},
      {{"trainer.default_root_dir", "null"}, "logs"},
      {{"trainer.deterministic", "null"}, "false"},
      {{"trainer.devices", "null"}, "auto"},
      {{"trainer.gradient_clip_algorithm", "null"}, "norm"},
      {{"trainer.limit_predict_batches", "null"}, "1.0"},
      {{"trainer.limit_test_batches", "null"}, "1.0"},
      {{"trainer.limit_train_batches", "null"}, "1.0"},
      {{"trainer.limit_val_batches", "null"}, "1.0"},
      {{"trainer.logger", "CSVLogger"}, "true"},
      {{"trainer.logger", "TensorBoardLogger"}, "true"},
      {{"trainer.max_steps", "null"}, "-1"},
      {{"trainer.val_check_interval", "null"}, "1.0"},
      {{"trainer.checkpoint.filename", "null"}, "{epoch:03d}-{val_loss:.3f}"},
      {{"trainer.checkpoint.save_last", "null"}, "true"},
  };
  return words;
}

const std::map<std::string, const char*>& refused_classes() {
  static const std::map<std::string, const char*> reasons{
      {"optimizer.SparseAdam", "no gradient is sparse here; Adam makes the same steps"},
      {"lr_scheduler.LambdaLR",
       "a function cannot be given on the command line; SequentialLR joins schedules one after the other"},
      {"lr_scheduler.MultiplicativeLR",
       "a function cannot be given on the command line; ExponentialLR has a constant factor"},
      {"lr_scheduler.ChainedScheduler",
       "schedules do not run at the same time; SequentialLR joins them one after the other"},
  };
  return reasons;
}

[[noreturn]] void refuse(const core::Origin& origin, const std::string& option, const std::string& reason) {
  throw core::ConfigError(fmt::format("{}: {} is not supported: {}", origin.text(), option, reason));
}

// The list or mapping that a flag spells.
void open(Value& value) {
  const bool spelled = value.kind == Kind::scalar && value.style == Value::Style::flag &&
                       (value.text.starts_with('[') || value.text.starts_with('{'));
  if (spelled) value = core::parse_flag_value(value);
}

// A bare flag is true; nothing for lists and mappings.
std::optional<std::string> text_of(const Value& value) {
  if (value.kind == Kind::null) return "null";
  if (value.kind != Kind::scalar) return std::nullopt;
  if (value.style == Value::Style::bare) return "true";
  return value.text == "None" || value.text == "none" || value.text == "~" ? "null" : value.text;
}

std::string last_part(const std::string& dotted) {
  return dotted.substr(dotted.rfind('.') + 1);
}

Value mapping(const Value& at) {
  Value value;
  value.kind = Kind::map;
  value.origin = at.origin;
  return value;
}

void translate_group(Value& group, const std::string& path);

// The class that a callback, an optimizer or a schedule names, and its arguments.
std::string class_of(const Value& value) {
  if (value.kind == Kind::scalar) return last_part(value.text);
  for (const auto& entry : value.entries) {
    if (entry.key == "class_path" && entry.value.kind == Kind::scalar) return last_part(entry.value.text);
  }
  return {};
}
Value arguments_of(const Value& value) {
  for (const auto& entry : value.entries) {
    if (entry.key == "init_args" && entry.value.kind == Kind::map) return entry.value;
  }
  return mapping(value);
}

// What a callback sets of our options: an entry of `trainer`, or nothing.
std::optional<Value::Entry> callback(Value value) {
  open(value);
  const std::string name = class_of(value);
  Value arguments = arguments_of(value);
  const std::map<std::string, const char*> ours{{"ModelCheckpoint", "checkpoint"}, {"EarlyStopping", "early_stopping"}};
  if (const auto found = ours.find(name); found != ours.end()) {
    translate_group(arguments, std::string("trainer.") + found->second);
    return Value::Entry{found->second, value.origin, arguments};
  }
  if (name != "LearningRateMonitor") {
    refuse(value.origin, name.empty() ? "trainer.callbacks" : "trainer.callbacks: " + name,
           "there are ModelCheckpoint, EarlyStopping and LearningRateMonitor; their options are trainer.checkpoint and "
           "trainer.early_stopping, and the learning rate is always logged");
  }
  translate_group(arguments, name);
  return std::nullopt;
}

std::vector<Value::Entry> callbacks(Value value) {
  open(value);
  std::vector<Value::Entry> entries;
  if (value.kind == Kind::null || text_of(value) == "null") return entries;
  const auto items = value.kind == Kind::list ? value.items : std::vector{value};
  for (const auto& item : items) {
    if (auto entry = callback(item)) entries.push_back(std::move(*entry));
  }
  return entries;
}

// A logger's own options: where runs lie. Its class says no more than that there is to be one.
std::vector<Value::Entry> logger(const Value::Entry& given) {
  const std::map<std::string, const char*> ours{{"save_dir", "default_root_dir"}, {"name", "name"}};
  std::vector<Value::Entry> entries;
  for (const auto& entry : given.value.entries) {
    const auto found = ours.find(entry.key);
    if (found != ours.end()) {
      entries.push_back({found->second, entry.origin, entry.value});
    } else if (entry.key == "init_args") {
      for (auto& inner : logger(entry)) entries.push_back(std::move(inner));
    } else if (entry.key != "class_path" && text_of(entry.value) != "null") {
      refuse(entry.origin, "trainer.logger." + entry.key, "runs are numbered, and all that a logger may have is there");
    }
  }
  return entries;
}

// The entry in our words, or nothing where it has no meaning here.
std::optional<Value::Entry> translated(Value::Entry entry, const std::string& option) {
  const auto text = text_of(entry.value);
  if (const auto foreign = foreign_options().find(option); foreign != foreign_options().end()) {
    const auto& nothing = foreign->second.nothing;
    const bool dropped =
        nothing.front() == "*" || (text && std::find(nothing.begin(), nothing.end(), *text) != nothing.end());
    if (!dropped) refuse(entry.origin, option, foreign->second.reason);
    return std::nullopt;
  }
  if (text) {
    if (const auto word = other_words().find({option, last_part(*text)}); word != other_words().end()) {
      entry.value.kind = Kind::scalar;
      entry.value.style = Value::Style::plain;
      entry.value.text = word->second;
    }
  }
  return entry;
}

void translate_group(Value& group, const std::string& path) {
  open(group);
  std::vector<Value::Entry> entries;
  for (auto& entry : group.entries) {
    const std::string option = path + "." + entry.key;
    if (option == "trainer.callbacks" || option == "trainer.callbacks+") {
      for (auto& ours : callbacks(entry.value)) entries.push_back(std::move(ours));
      continue;
    }
    if (option == "trainer.logger" && entry.value.kind == Kind::map) {
      for (auto& ours : logger(entry)) entries.push_back(std::move(ours));
      continue;
    }
    if (option == "trainer.checkpoint" || option == "trainer.early_stopping") translate_group(entry.value, option);
    if (auto ours = translated(std::move(entry), option)) entries.push_back(std::move(*ours));
  }
  group.entries = std::move(entries);
}

void translate_class(Value& value, const std::string& path) {
  open(value);
  const std::string name = class_of(value);
  if (const auto refused = refused_classes().find(path + "." + name); refused != refused_classes().end()) {
    refuse(value.origin, path + "=" + name, refused->second);
  }
  for (auto& entry : value.entries) {
    if (entry.key == "init_args") translate_group(entry.value, path);
  }
  translate_group(value, path);
}

}  // namespace

std::vector<Value> from_lightning(std::vector<Value> arguments) {
  for (auto& argument : arguments) {
    for (auto& entry : argument.entries) {
      if (entry.key == "trainer") translate_group(entry.value, entry.key);
      if (entry.key == "optimizer" || entry.key == "lr_scheduler") translate_class(entry.value, entry.key);
    }
  }
  return arguments;
}

}  // namespace perceive::train
