// The walk over the arguments of a Lightning command.
#include "perceive/train/lightning_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "perceive/core/error.h"
#include "perceive/train/lightning_tables.h"

namespace perceive::train {
namespace {

using core::Value;
using Kind = Value::Kind;

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
  // What TensorBoardLogger has by itself, and what changes nothing here.
  const std::multimap<std::string, std::string> nothing{
      {"log_graph", "false"}, {"default_hp_metric", "true"}, {"default_hp_metric", "false"}, {"prefix", ""}};
  const auto says_nothing = [&](const Value::Entry& entry) {
    const auto [begin, end] = nothing.equal_range(entry.key);
    const auto text = text_of(entry.value);
    return text == "null" || std::any_of(begin, end, [&](const auto& item) { return item.second == text; });
  };
  std::vector<Value::Entry> entries;
  for (const auto& entry : given.value.entries) {
    const auto found = ours.find(entry.key);
    if (found != ours.end()) {
      entries.push_back({found->second, entry.origin, entry.value});
    } else if (entry.key == "init_args") {
      for (auto& inner : logger(entry)) entries.push_back(std::move(inner));
    } else if (entry.key != "class_path" && !says_nothing(entry)) {
      refuse(entry.origin, "trainer.logger." + entry.key, "runs are numbered, and all that a logger may have is there");
    }
  }
  return entries;
}

// Values that are no single word, where ours is one.
void refuse_forms(const Value::Entry& entry, const std::string& option) {
  Value value = entry.value;
  open(value);
  const auto found = refused_forms().find(option);
  if (found == refused_forms().end()) return;
  if (value.kind == Kind::list || value.kind == Kind::map) {
    refuse(entry.origin, "a list or mapping for " + option, found->second);
  }
  const auto text = text_of(value).value_or("");
  if (text.ends_with("Logger") && !other_words().contains({option, last_part(text)})) {
    refuse(entry.origin, option + "=" + text, found->second);
  }
}

// The entry in our words, or nothing where it has no meaning here.
std::optional<Value::Entry> translated(Value::Entry entry, const std::string& option) {
  refuse_forms(entry, option);
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
