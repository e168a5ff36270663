// What differs between the options of Lightning 1.6 and torch and ours, as tables. Keys are paths, such as
// "trainer.strategy"; the arguments of all optimizers are "optimizer.…", those of all schedules "lr_scheduler.…".
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace perceive::train {

// An option that is not ours: values that change nothing here ("*": all), and why others are refused.
struct Foreign {
  std::vector<std::string> nothing;
  const char* reason;
};

const std::map<std::string, Foreign>& foreign_options();

// Values of our options that Lightning spells otherwise: (path, its value) to ours. Null is often its word for a
// default.
const std::map<std::pair<std::string, std::string>, const char*>& other_words();

// Why an option of ours, one word, cannot be a list or a mapping, or another class.
const std::map<std::string, const char*>& refused_forms();

// Classes of torch that cannot be had, and why.
const std::map<std::string, const char*>& refused_classes();

}  // namespace perceive::train
