// `perceive convert`.
#include "cli/models/convert.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/help.h"
#include "perceive/core/config.h"
#include "perceive/core/json.h"
#include "perceive/core/log.h"
#include "perceive/core/terminal.h"
#include "perceive/io/files.h"
#include "perceive/models/catalog.h"

namespace perceive::cli {
namespace {

struct ConvertOptions {
  std::optional<std::string> model, to_version, to_model;
};
template <class Visitor>
void visit(ConvertOptions& o, Visitor&& field) {
  field("model", o.model, "JSON file with the class and arguments of the model that SRC belongs to");
  field("to_version", o.to_version, "names of another version of that class, such as 0.9.0");
  field("to_model", o.to_model,
        "JSON file to write: the same model as a native class (perceive.…), whose names DST then has");
}

struct Request {
  std::string from, to;
  ConvertOptions options;
};

Request read_request(const std::vector<std::string>& words) {
  Request request;
  std::vector<std::string> files, flags;
  for (size_t i = 0; i < words.size(); ++i) {
    auto& list = words[i].starts_with("--") ? flags : files;
    list.push_back(words[i]);
    if (&list == &flags && words[i].find('=') == std::string::npos && i + 1 < words.size()) flags.push_back(words[++i]);
  }
  if (files.size() != 2) throw core::ConfigError("expected two files: perceive convert SRC DST");
  core::assign(request.options, core::read_arguments(flags));
  request.from = files[0];
  request.to = files[1];
  if (!request.options.model && (request.options.to_version || request.options.to_model)) {
    throw core::ConfigError("--model is missing: which class and arguments the names of SRC belong to");
  }
  if (request.options.to_version && request.options.to_model) {
    throw core::ConfigError("--to_version and --to_model: choose one");
  }
  return request;
}

// The tensors under the names of another version, or of the native model.
io::Tensors renamed(const Request& request, const io::Tensors& tensors) {
  const auto& options = request.options;
  auto description = core::parse_json(io::read_file(*options.model), *options.model);
  auto loaded = models::load_model(description, *options.model, &tensors, request.from);
  for (const auto& notice : loaded.notices) core::log_info(notice);
  if (options.to_version) {
    const auto own = loaded.model->state_dict();
    description["version"] = *options.to_version;
    auto other = models::load_model(description, *options.model, nullptr);
    other.model->module().to(own.begin()->second.scalar_type());
    other.model->load(own, request.from);
    return other.model->state_dict();
  }
  const auto native = loaded.model->native();
  if (!native) {
    throw core::ConfigError(loaded.model_class->name + " has no native counterpart that gives the same numbers");
  }
  io::AtomicFile file(*options.to_model);
  file.write(native->description.dump(2) + "\n");
  file.commit();
  return native->tensors;
}

}  // namespace

core::ExitCode convert_file(const std::vector<std::string>& words) {
  const auto request = read_request(words);
  io::Metadata metadata;
  auto tensors = io::load_tensors(request.from, &metadata);
  if (request.options.to_version || request.options.to_model) tensors = renamed(request, tensors);
  io::save_tensors(request.to, tensors, metadata);
  core::write_all(1, fmt::format("{}: {} tensors\n", request.to, tensors.size()));
  return core::ExitCode::ok;
}

std::string convert_help() {
  ConvertOptions defaults;
  return options_help(core::reflect(defaults));
}

}  // namespace perceive::cli
