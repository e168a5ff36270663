// A table, and a CSV file.
#include "cli/bench/models/report.h"

#include <fmt/format.h>

#include <array>

#include "cli/bench/report.h"
#include "perceive/core/memory.h"

namespace perceive::cli::bench {
namespace {

constexpr std::array kColumns{"class",        "version",         "args",
                              "pass",         "length",          "batch",
                              "depth",        "latents",         "threads",
                              "instructions", "repeats",         "parameters",
                              "seconds",      "fastest_seconds", "items_per_second",
                              "extra_bytes",  "peak_bytes"};

std::string text_of(const nlohmann::json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// RFC 4180.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string inside;
  for (const char c : text) inside += c == '"' ? std::string("\"\"") : std::string(1, c);
  return '"' + inside + '"';
}

std::string bytes_or_unknown(const nlohmann::json& bytes) {
  return bytes.is_null() ? "unknown" : core::readable_bytes(bytes.get<double>());
}

}  // namespace

std::string table_head() {
  return fmt::format("{:>9} {:>6} {:<18} {:>10} {:>10} {:>13} {:>12}\n", "length", "batch", "pass", "median", "items/s",
                     "extra memory", "peak memory");
}

std::string table_line(const nlohmann::json& m) {
  return fmt::format("{:>9} {:>6} {:<18} {:>10} {:>10.4g} {:>13} {:>12}\n", text_of(m["length"]), text_of(m["batch"]),
                     text_of(m["pass"]), duration(m["seconds"].get<double>()), m["items_per_second"].get<double>(),
                     bytes_or_unknown(m["extra_bytes"]), bytes_or_unknown(m["peak_bytes"]));
}

std::string csv_of(const Measurements& measurements) {
  std::string text;
  for (const char* column : kColumns) text += (text.empty() ? "" : ",") + std::string(column);
  for (const auto& measurement : measurements) {
    std::string line;
    for (const char* column : kColumns) line += "," + quoted(text_of(measurement[column]));
    text += "\n" + line.substr(1);
  }
  return text + "\n";
}

}  // namespace perceive::cli::bench
