// Ratios of then and now.
#include "cli/bench/baseline.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "perceive/core/error.h"
#include "perceive/core/json.h"
#include "perceive/core/options.h"
#include "perceive/io/files.h"

namespace perceive::cli::bench {
namespace {

// "name" and ratios; nothing else is read of a row.
bool is_row(const nlohmann::json& row) {
  if (!row.is_object() || !row.contains("name") || !row["name"].is_string()) return false;
  if (!row.contains("options") || !row["options"].is_object()) return false;
  if (!row.contains("ratio_to") || !row["ratio_to"].is_object()) return false;
  for (const auto& ratio : row["ratio_to"]) {
    if (!ratio.is_number() || ratio.get<double>() <= 0) return false;
  }
  return true;
}

// Another plan of ours: where it got faster, nothing has become slower.
bool is_ours(const std::string& peer) {
  return peer.starts_with("plan:");
}

const nlohmann::json* find(const nlohmann::json& rows, const nlohmann::json& name) {
  for (const auto& row : rows) {
    if (row["name"] == name) return &row;
  }
  return nullptr;
}

}  // namespace

nlohmann::json read_baseline(const std::string& file, const AttentionOptions& options) {
  auto rows = core::parse_json(io::read_file(file), file);
  const auto compares = [](const nlohmann::json& row) { return !row["ratio_to"].empty(); };
  const bool known = rows.is_array() && std::all_of(rows.begin(), rows.end(), is_row) &&
                     std::any_of(rows.begin(), rows.end(), compares);
  if (!known) throw core::FileError(file + ": expected what `perceive bench attention --json` writes");
  const auto now = core::to_json(options);
  for (const char* name :
       {"batch", "heads", "latents", "keys", "channels", "head_dim", "grid", "bands", "dtype", "plan", "threads"}) {
    const auto then = rows[0]["options"].value(name, nlohmann::json());
    if (then == now[name]) continue;
    throw core::ConfigError(fmt::format("--baseline: {} was measured with --{} {}, this run has {}; give the same",
                                        file, name, then.dump(), now[name].dump()));
  }
  return rows;
}

std::vector<Fallen> fallen(const nlohmann::json& baseline, const nlohmann::json& now) {
  std::vector<Fallen> all;
  for (const auto& row : baseline) {
    const auto* present = find(now, row["name"]);
    if (!present) continue;
    const auto& ratios = (*present)["ratio_to"];
    for (const auto& [peer, was] : row["ratio_to"].items()) {
      if (is_ours(peer) || !ratios.contains(peer)) continue;
      const auto is = ratios[peer].get<double>();
      if (is < (1 - kMayFall) * was.get<double>()) all.push_back({row["name"], peer, was.get<double>(), is});
    }
  }
  return all;
}

std::string words_of(const std::vector<Fallen>& fallen) {
  std::string text;
  for (const auto& each : fallen) {
    text += fmt::format("  {} against {}: was {:.2f}, is {:.2f}\n", each.row, each.peer, each.was, each.is);
  }
  return text;
}

}  // namespace perceive::cli::bench
