// metrics.csv: rows of scalars.
#include "perceive/train/csv_logger.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>

#include "perceive/core/error.h"

namespace perceive::train {
namespace {

std::string number(double value) {
  std::array<char, 32> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

// RFC 4180, but for line breaks, which would tear a row: they become spaces.
std::string cell(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

std::vector<std::string> cells(std::string_view line) {
  std::vector<std::string> result(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
      result.back() += line[++i];
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      result.emplace_back();
    } else {
      result.back() += line[i];
    }
  }
  return result;
}

// The lines that end; what a crash cut short is dropped.
std::vector<std::string_view> lines(std::string_view text) {
  std::vector<std::string_view> result;
  for (size_t end; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1)) {
    result.push_back(text.substr(0, end));
  }
  return result;
}

std::optional<int64_t> step_of(std::string_view line) {
  int64_t step = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), step);
  if (error != std::errc() || (end != line.data() + line.size() && *end != ',')) return std::nullopt;
  return step;
}

std::string header(const std::vector<std::string>& columns) {
  std::string line = "step";
  for (const auto& column : columns) line += "," + cell(column);
  return line + "\n";
}

}  // namespace

CsvLogger::CsvLogger(std::filesystem::path file, Warn warn, int64_t resumed_step)
    : file_(std::move(file), std::move(warn)) {
  std::error_code error;
  if (!std::filesystem::exists(file_.path(), error)) return;
  try {
    const std::string text = io::read_file(file_.path());
    const auto rows = lines(text);
    if (rows.empty()) {
      usable_ = file_.replace("");
      return;
    }
    columns_ = cells(rows.front());
    if (columns_.front() != "step") throw core::DataError(file_.path().string() + " is not a file of metrics");
    columns_.erase(columns_.begin());
    std::string kept = header(columns_);
    for (size_t i = 1; i < rows.size(); ++i) {
      const auto step = step_of(rows[i]);
      if (step && *step <= resumed_step) kept.append(rows[i]).append("\n");
      if (step && *step == resumed_step) repeatable_.emplace_back(rows[i]);
    }
    if (kept != text) usable_ = file_.replace(kept);
  } catch (const core::Error& e) {
    usable_ = false;
    file_.warn(e.what());
  }
}

bool CsvLogger::add_columns(const Scalars& scalars) {
  std::vector<std::string> added = columns_;
  for (const auto& [name, value] : scalars) {
    if (std::find(columns_.begin(), columns_.end(), name) == columns_.end()) added.push_back(name);
  }
  if (added.size() == columns_.size()) return true;

  std::string text;
  try {
    std::error_code error;
    if (std::filesystem::exists(file_.path(), error)) text = io::read_file(file_.path());
  } catch (const core::Error& e) {
    file_.warn(e.what());
    return false;
  }
  const auto rows = lines(text);
  std::string wider = header(added);
  const std::string empty_cells(added.size() - columns_.size(), ',');
  for (size_t i = 1; i < rows.size(); ++i) wider.append(rows[i]).append(empty_cells).append("\n");
  if (!file_.replace(wider)) return false;
  for (auto& row : repeatable_) row += empty_cells;
  columns_ = std::move(added);
  return true;
}

void CsvLogger::log_scalars(int64_t step, const Scalars& scalars) {
  if (!usable_ || scalars.empty() || !add_columns(scalars)) return;
  std::string row = std::to_string(step);
  for (const auto& column : columns_) {
    const auto found = scalars.find(column);
    row += ",";
    if (found != scalars.end()) row += number(found->second);
  }
  if (std::erase(repeatable_, row) == 0) file_.append(row + "\n");
}

}  // namespace perceive::train
