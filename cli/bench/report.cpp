// The table and the JSON of a benchmark.
#include "cli/bench/report.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "perceive/core/error.h"
#include "perceive/core/memory.h"
#include "perceive/core/options.h"
#include "perceive/io/files.h"
#include "perceive/kernels/tile.h"

namespace perceive::cli::bench {
namespace {

constexpr double kGiga = 1e-9;

const char* name_of(Dtype dtype) {
  for (const auto& [value, name] : enum_names(dtype)) {
    if (value == dtype) return name;
  }
  return "";
}

std::string line(const Measured& m, const Measured& ours, double flops) {
  if (!m.objection.empty()) return fmt::format("  {:<20} left out: {}\n", m.name, m.objection);
  return fmt::format("  {:<20} {:>10} {:>9.1f} {:>7.1f}% {:>9} {:>13} {:>9.1e}\n", m.name, duration(m.seconds),
                     flops / m.seconds * kGiga, 100 * m.share_of_peak,
                     &m != &ours ? fmt::format("{:.2f}", m.seconds / ours.seconds) : "",
                     m.extra_bytes ? core::readable_bytes(*m.extra_bytes) : "unknown", m.max_error);
}

nlohmann::json numbers(const Measured& m, double flops) {
  if (!m.objection.empty()) return {{"left_out", m.objection}};
  return {{"seconds", m.seconds},
          {"gflops", flops / m.seconds * kGiga},
          {"share_of_peak", m.share_of_peak},
          {"extra_bytes", m.extra_bytes ? nlohmann::json(static_cast<int64_t>(*m.extra_bytes)) : nlohmann::json()},
          {"max_error", m.max_error}};
}

}  // namespace

void check_output(const std::string& file, const char* option) {
  const std::filesystem::path path(file);
  io::check_writable(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."));
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    throw core::ConfigError(fmt::format("--{} expects the name of a file, got the folder {}", option, file));
  }
}

std::string duration(double seconds) {
  if (seconds >= 1) return fmt::format("{:.3f} s", seconds);
  return seconds >= 1e-3 ? fmt::format("{:.2f} ms", 1e3 * seconds) : fmt::format("{:.1f} us", 1e6 * seconds);
}

std::string table(const Report& report) {
  const auto& s = report.sizes;
  std::string text = fmt::format("B {}, H {}, N {} latents, M {} keys{}, C {}, D {}, {}; {} threads\n", s.batch,
                                 s.heads, s.latents, s.keys, s.grid.empty() ? "" : " on a grid " + *report.options.grid,
                                 s.width(), s.head_dim, name_of(report.options.dtype), at::get_num_threads());
  text += fmt::format("{}: float32 multiply-adds {:.1f} GFLOP/s before, {:.1f} after; reads {:.1f} GB/s, {:.1f}\n",
                      kernels::instruction_set(), report.before.flops * kGiga, report.after.flops * kGiga,
                      report.before.bytes * kGiga, report.after.bytes * kGiga);
  text += fmt::format("  {:<20} {:>10} {:>9} {:>8} {:>9} {:>13} {:>9}\n", "", "median", "GFLOP/s", "of peak", "x ours",
                      "extra memory", "error");
  for (const auto& result : report.results) {
    text += result.name + (result.plan.empty() ? "" : " (" + result.plan + ")") + "\n";
    for (const auto& m : result.measured) text += line(m, result.measured.front(), result.flops);
  }
  return text;
}

nlohmann::json json_of(const Report& report) {
  const nlohmann::json machine = {{"instructions", kernels::instruction_set()},
                                  {"threads", at::get_num_threads()},
                                  {"peak_gflops", {report.before.flops * kGiga, report.after.flops * kGiga}},
                                  {"read_gigabytes", {report.before.bytes * kGiga, report.after.bytes * kGiga}}};
  auto list = nlohmann::json::array();
  for (const auto& result : report.results) {
    const auto& ours = result.measured.front();
    auto object = numbers(ours, result.flops);
    object["name"] = result.name;
    object["plan"] = result.plan.empty() ? nlohmann::json() : nlohmann::json(result.plan);
    object["ratio_to"] = nlohmann::json::object();
    object["peers"] = nlohmann::json::object();
    for (size_t i = 1; i < result.measured.size(); ++i) {
      const auto& peer = result.measured[i];
      if (peer.objection.empty()) object["ratio_to"][peer.name] = peer.seconds / ours.seconds;
      object["peers"][peer.name] = numbers(peer, result.flops);
    }
    object["machine"] = machine;
    object["options"] = core::to_json(report.options);
    list.push_back(std::move(object));
  }
  return list;
}

}  // namespace perceive::cli::bench
