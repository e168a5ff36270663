// run, models, inspect, convert.
#include "cli/models/commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/help.h"
#include "cli/models/convert.h"
#include "cli/models/inspect.h"
#include "cli/models/run.h"
#include "perceive/core/terminal.h"
#include "perceive/core/text.h"
#include "perceive/models/catalog.h"

namespace perceive::cli {
namespace {

using core::ExitCode;

std::string all_classes() {
  std::string text;
  size_t width = 0;
  for (const auto& each : models::model_classes()) width = std::max(width, each.name.size());
  for (const auto& each : models::model_classes()) {
    text += fmt::format("{:<{}}  {} ({})\n", each.name, width, each.help, core::join(each.versions));
  }
  return text + "\nperceive models CLASS lists the arguments of one.\n";
}

std::string one_class(const models::ModelClass& model) {
  const auto arguments = model.arguments();
  auto text =
      fmt::format("{}: {}\nversions: {}\n\narguments (\"args\" of the model's JSON file), types and defaults:\n",
                  model.name, model.help, core::join(model.versions));
  const auto lines = core::list_options(arguments->options());
  size_t width = 0;
  for (const auto& line : lines) width = std::max(width, line.path.size());
  for (const auto& line : lines) {
    const auto of_class = line.of_class.empty() ? "" : fmt::format("of {}: ", line.of_class);
    text += fmt::format("  {:<{}}  {} = {}\n  {:<{}}    {}{}\n", line.path, width, line.type, line.value, "", width,
                        of_class, line.help);
  }
  return text;
}

ExitCode list_models(const std::vector<std::string>& words) {
  if (words.size() > 1) throw core::ConfigError("perceive models takes one class at most; got " + core::join(words));
  core::write_all(1, words.empty() ? all_classes() : one_class(models::find_class(words.front())));
  return ExitCode::ok;
}

std::string run_details() {
  ModelRunOptions defaults;
  return "--model FILE is {\"class\": \"flash_perceiver.Perceiver\", \"version\": \"0.2.0\", \"args\": {…}, "
         "\"args_forward\": {…}, \"train\": false}:\n"
         "a class of `perceive models`, the constructor's arguments by the original's names, scalars and flags of "
         "forward().\n"
         "Tensors are called as in the original; x is the first argument of forward(). Computes in float64 where the "
         "weights do.\n\n" +
         options_help(core::reflect(defaults));
}

std::string convert_details() {
  return "perceive convert SRC DST: the format follows from the ending of DST (.safetensors, .pt, .pth, .bin).\n\n" +
         convert_help();
}

}  // namespace

std::vector<Command> model_commands() {
  return {{"run", "any model class on tensors from a file: its outputs and gradients", run_details, run_model, {}},
          {"models", "the model classes, or the arguments of one", all_classes, list_models, {}},
          {"inspect",
           "names, dtypes, shapes, totals and metadata of a weights file",
           [] { return std::string("perceive inspect FILE\n"); },
           inspect_file,
           {}},
          {"convert", "weights into another format, or another code base's names", convert_details, convert_file, {}}};
}

}  // namespace perceive::cli
