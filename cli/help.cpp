// Options as lines of help.
#include "cli/help.h"

#include <fmt/format.h>

#include <map>

namespace perceive::cli {
namespace {

constexpr size_t kNameWidth = 50;

// "model=PerceiverIO" for model.encoder.num_latents of the class PerceiverIO: the innermost option above it that is a
// choice of that class.
std::string choice_above(const core::OptionLine& line, const std::map<std::string, std::string>& types) {
  for (auto path = line.path; path.find('.') != std::string::npos;) {
    path.resize(path.rfind('.'));
    const auto type = types.find(path);
    if (type != types.end() && type->second.find(line.of_class) != std::string::npos) return path + "=" + line.of_class;
  }
  return line.of_class;
}

}  // namespace

std::string options_help(const std::vector<core::OptionLine>& lines) {
  std::string text =
      "Configuration, from left to right: defaults, then files and options in the order given.\n"
      "  --config FILE    YAML or JSON; may be repeated\n";
  std::string group, choice;
  bool was_nested = true;
  std::map<std::string, std::string> types;  // of the options listed so far, by path
  for (const auto& line : lines) {
    types[line.path] = line.type;
    if (line.type == "group") continue;
    const auto new_group = line.path.substr(0, line.path.find('.'));
    // Single options stand together.
    const bool nested = new_group != line.path;
    if (new_group != group && (nested || was_nested)) text += "\n";
    group = new_group;
    was_nested = nested;
    const auto new_choice = line.of_class.empty() ? "" : choice_above(line, types);
    if (!new_choice.empty() && new_choice != choice) text += fmt::format(" with --{}\n", new_choice);
    choice = new_choice;
    const auto name = fmt::format("  --{}={}", line.path, line.value);
    text +=
        name.size() < kNameWidth ? fmt::format("{:<{}}", name, kNameWidth) : name + "\n" + std::string(kNameWidth, ' ');
    text += fmt::format("{} ({})\n", line.help, line.type);
  }
  return text;
}

std::string options_help(core::OptionRef options) {
  return options_help(core::list_options(options));
}

}  // namespace perceive::cli
