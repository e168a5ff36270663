// The libtorch in the process, asked for its version.
#include "cli/libtorch.h"

#include <ATen/Version.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include "perceive/core/error.h"

namespace perceive::cli {

Libtorch libtorch() {
  const auto about = at::show_config();
  const std::string key = "TORCH_VERSION=";
  const auto at = about.find(key);
  const auto start = at == std::string::npos ? about.size() : at + key.size();
  Dl_info where{};
  dladdr(reinterpret_cast<const void*>(&at::show_config), &where);
  return {TORCH_VERSION, about.substr(start, about.find_first_of(", \n", start) - start),
          where.dli_fname ? where.dli_fname : "an unknown place"};
}

void check(const Libtorch& libtorch) {
  if (libtorch.built == libtorch.loaded) return;
  throw core::Error(
      core::ExitCode::failure,
      fmt::format("built against libtorch {}, but {} is libtorch {}; take that one off LD_LIBRARY_PATH, "
                  "or build again against it",
                  libtorch.built, libtorch.file, libtorch.loaded.empty() ? "of unknown version" : libtorch.loaded));
}

}  // namespace perceive::cli
