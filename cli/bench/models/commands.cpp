// The two commands, and the lines that they exchange.
#include "cli/bench/models/commands.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Generator.h>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <iostream>

#include "cli/bench/measure.h"
#include "cli/bench/models/child.h"
#include "cli/bench/models/pass.h"
#include "cli/bench/models/report.h"
#include "cli/bench/report.h"
#include "cli/help.h"
#include "perceive/core/config.h"
#include "perceive/core/memory.h"
#include "perceive/core/progress.h"
#include "perceive/core/terminal.h"
#include "perceive/io/files.h"
#include "perceive/kernels/tile.h"

namespace perceive::cli::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void say(const json& line) {
  core::write_all(1, line.dump() + "\n");
}

// The first pass, which counts memory, and one for each line that comes.
core::ExitCode measure_one(const std::vector<std::string>& words) {
  ModelOptions options;
  core::assign(options, core::read_arguments(words));
  if (options.threads) at::set_num_threads(static_cast<int>(*options.threads));
  at::manual_seed(0);
  ModelPass pass(options);
  malloc_trim(0);
  const bool counted = core::restart_peak_memory();
  const double before = core::resident_memory();
  const auto outputs = pass.run();
  const double peak = core::peak_resident_memory();
  if (options.save) io::save_tensors(fs::path(*options.save) / "outputs.safetensors", outputs);
  const auto bytes = [&](double count) { return counted ? json(static_cast<int64_t>(std::max(0.0, count))) : json(); };
  say({{"class", pass.class_name()},
       {"version", pass.version()},
       {"parameters", pass.parameters()},
       {"items", pass.items()},
       {"threads", at::get_num_threads()},
       {"instructions", kernels::instruction_set()},
       {"extra_bytes", bytes(peak - before)},
       {"peak_bytes", bytes(peak)}});
  for (std::string line; std::getline(std::cin, line);) {
    const double begin = core::seconds_now();
    pass.run();
    say({{"seconds", core::seconds_now() - begin}});
  }
  return core::ExitCode::ok;
}

json measure_in_a_process(const ModelOptions& options, int64_t repeats) {
  const auto work = workload_of(options);
  auto words = words_of(options);
  words.insert(words.begin(), {"bench", "model"});
  Child child(words);
  auto measured = json::parse(child.hear());
  std::vector<double> seconds;
  for (int64_t i = 0; i < repeats; ++i) {
    child.say("again");
    seconds.push_back(json::parse(child.hear())["seconds"]);
  }
  const auto or_null = [](const std::optional<int64_t>& number) { return number ? json(*number) : json(); };
  measured["args"] = work.description.value("args", json::object());
  measured["pass"] = name_of(options.pass);
  measured["length"] = or_null(work.length);
  measured["batch"] = measured["items"];
  measured["depth"] = or_null(work.depth);
  measured["latents"] = or_null(work.latents);
  measured["repeats"] = repeats;
  measured["seconds"] = median(seconds);
  measured["fastest_seconds"] = *std::min_element(seconds.begin(), seconds.end());
  measured["items_per_second"] = measured["items"].get<double>() / median(seconds);
  measured.erase("items");
  return measured;
}

std::vector<ModelOptions> measurements_of(const ModelsOptions& options) {
  std::vector<ModelOptions> all;
  std::vector<std::optional<int64_t>> lengths(options.lengths.begin(), options.lengths.end());
  if (lengths.empty()) lengths.emplace_back();
  for (const auto& length : lengths) {
    for (const auto pass : options.passes) {
      ModelOptions one;
      static_cast<ModelWork&>(one) = options;
      one.length = length;
      one.pass = pass;
      workload_of(one);  // what is wrong with it shows before anything is measured
      all.push_back(one);
    }
  }
  return all;
}

core::ExitCode measure_all(const std::vector<std::string>& words) {
  ModelsOptions options;
  core::assign(options, core::read_arguments(words));
  if (options.repeats < 1)
    throw core::ConfigError(fmt::format("--repeats expects at least 1, got {}", options.repeats));
  if (options.passes.empty())
    throw core::ConfigError("--passes expects at least one of forward, forward_backward and training_step");
  if (options.csv) check_output(*options.csv, "csv");
  if (options.json) check_output(*options.json, "json");
  const auto all = measurements_of(options);
  Measurements measured;
  {
    core::Progress progress("bench models", static_cast<int64_t>(all.size()));
    for (const auto& one : all) {
      measured.push_back(measure_in_a_process(one, options.repeats));
      progress.advance();
    }
  }
  std::string table = table_head();
  for (const auto& each : measured) table += table_line(each);
  core::write_all(1, table);
  if (options.csv) io::write_file(*options.csv, csv_of(measured));
  if (options.json) io::write_file(*options.json, json(measured).dump(2) + "\n");
  return core::ExitCode::ok;
}

std::string models_details() {
  ModelsOptions defaults;
  return "Each measurement is a process of its own: its first pass counts the memory, the median of the later ones is "
         "the time.\n"
         "  extra memory  at its peak above weights, their gradients (unless only forward) and inputs; the optimizer's "
         "counts\n"
         "  peak memory   of the process in all, its libraries included\n"
         "perceive bench models --preset=native --lengths='[128, 1024, 16384, 131072, 1048576]'\n\n" +
         options_help(core::reflect(defaults));
}

std::string model_details() {
  ModelOptions defaults;
  return "Passes over once and writes a line of JSON: class, version, parameters, items, threads, instructions, "
         "extra_bytes,\n"
         "peak_bytes. Then one pass, and a line {\"seconds\": …}, for every line of standard input, until that ends: "
         "so "
         "another\n"
         "program can take turns with it. benchmarks/run does.\n\n" +
         options_help(core::reflect(defaults));
}

}  // namespace

Command models_command() {
  return {"models",
          "models over lengths: time and memory, forward, backward, training step",
          models_details,
          measure_all,
          {}};
}

Command model_command() {
  return {"model", "one model, a pass for every line of standard input", model_details, measure_one, {}};
}

}  // namespace perceive::cli::bench
