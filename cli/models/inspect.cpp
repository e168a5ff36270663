// `perceive inspect`.
#include "cli/models/inspect.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "cli/models/check.h"
#include "perceive/core/memory.h"
#include "perceive/core/terminal.h"
#include "perceive/core/text.h"
#include "perceive/io/tensors.h"
#include "perceive/train/run_folder.h"

namespace perceive::cli {
namespace {

// A name may hold anything; a line of a terminal may not.
std::string printable(const std::string& name) {
  const auto plain = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; };
  return std::all_of(name.begin(), name.end(), plain) && name.size() <= 120 ? name : core::in_quotes(name);
}

}  // namespace

core::ExitCode inspect_file(const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) throw core::ConfigError("expected one file: perceive inspect FILE");
  auto file = std::filesystem::path(arguments.front());
  if (std::filesystem::is_directory(file)) {
    const bool is_checkpoint = std::filesystem::exists(file / "model.safetensors");
    file = (is_checkpoint ? file : train::find_checkpoint(file, ".")) / "model.safetensors";
  }
  io::Metadata metadata;
  const auto tensors = io::load_tensors(file, &metadata);

  std::string text;
  size_t width = 0;
  for (const auto& [name, tensor] : tensors) width = std::max(width, std::min<size_t>(printable(name).size(), 60));
  double numbers = 0, bytes = 0;
  std::set<const void*> seen;
  for (const auto& [name, tensor] : tensors) {
    text += fmt::format("{:<{}}  {:<9}  {}\n", printable(name), width, c10::toString(tensor.scalar_type()),
                        shape_text(tensor.sizes()));
    if (tensor.numel() > 0 && !seen.insert(tensor.const_data_ptr()).second) continue;  // one tensor under two names
    numbers += static_cast<double>(tensor.numel());
    bytes += static_cast<double>(tensor.nbytes());
  }
  text += fmt::format("{} tensors, {} numbers, {}\n", tensors.size(), static_cast<int64_t>(numbers),
                      core::readable_bytes(bytes));
  for (const auto& [key, value] : metadata) text += fmt::format("metadata {}: {}\n", printable(key), printable(value));
  core::write_all(1, text);
  return core::ExitCode::ok;
}

}  // namespace perceive::cli
