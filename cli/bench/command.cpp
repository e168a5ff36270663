// The suites of `perceive bench`.
#include "cli/bench/command.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "cli/bench/attention.h"
#include "cli/bench/baseline.h"
#include "cli/bench/models/commands.h"
#include "cli/bench/report.h"
#include "cli/help.h"
#include "perceive/core/log.h"
#include "perceive/core/progress.h"
#include "perceive/core/terminal.h"
#include "perceive/io/files.h"

namespace perceive::cli::bench {
namespace {

at::ScalarType scalar_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::float32:
      return at::kFloat;
    case Dtype::float64:
      return at::kDouble;
    case Dtype::bfloat16:
      return at::kBFloat16;
    case Dtype::float16:
      return at::kHalf;
  }
  return at::kFloat;
}

Sizes tiny(Sizes sizes) {
  constexpr int64_t kLatents = 8, kKeys = 64, kSteps = 4;
  sizes.batch = 1;
  sizes.latents = std::min(sizes.latents, kLatents);
  sizes.keys = sizes.grid.empty() ? std::min(sizes.keys, kKeys) : 1;
  for (auto& steps : sizes.grid) sizes.keys *= (steps = std::min(steps, kSteps));
  return sizes;
}

core::ExitCode attention(const std::vector<std::string>& words) {
  Report report{.options = read_attention_options(words)};
  const auto& options = report.options;
  report.sizes = sizes_of(options);
  const auto plan = plan_of(options, report.sizes);
  if (options.json) check_output(*options.json, "json");
  const auto baseline = options.baseline ? read_baseline(*options.baseline, options) : nlohmann::json::array();
  if (options.threads) at::set_num_threads(static_cast<int>(*options.threads));
  at::manual_seed(0);
  const auto dtype = scalar_type(options.dtype);
  // Each kind of rows holds its inputs while it is measured.
  std::vector<std::function<std::vector<Row>(const Sizes&)>> kinds = {
      [&](const Sizes& sizes) { return attend_rows(sizes, dtype); }};
  if (report.sizes.channels > 0) {
    kinds.emplace_back([&](const Sizes& sizes) { return attend_source_rows(sizes, dtype, plan); });
  }
  int64_t count = 0;
  for (const auto& kind : kinds) {
    const auto rows = kind(tiny(report.sizes));
    warm_up(rows);
    count += static_cast<int64_t>(rows.size());
  }
  report.before = measure_machine();
  {
    core::Progress progress("bench attention", count);
    for (const auto& kind : kinds) {
      for (const auto& row : kind(report.sizes)) {
        report.results.push_back({row.name, row.plan, row.flops, measure(row)});
        progress.advance();
      }
    }
  }
  report.after = measure_machine();
  core::write_all(1, table(report));
  const auto unsteady = disagreement(report.before, report.after);
  if (!unsteady.empty()) core::log_warning(unsteady);
  const auto json = json_of(report);
  if (options.json) io::write_file(*options.json, json.dump(2) + "\n");
  const auto slower = fallen(baseline, json);
  if (!slower.empty()) {
    throw core::Error(
        core::ExitCode::failure,
        fmt::format("the advantage has fallen by more than {:.0f} % since {}:\n{}measure again before you "
                    "believe it",
                    100 * kMayFall, *options.baseline, words_of(slower)));
  }
  return core::ExitCode::ok;
}

std::string attention_details() {
  AttentionOptions defaults;
  return "Ours and its peers take turns on the same tensors; medians of at least 15 calls, fewer of slow ones.\n"
         "  sdpa       libtorch's scaled_dot_product_attention in tiles, on given keys and values\n"
         "  composed   layer_norm, linear and scaled_dot_product_attention; positions are written out beforehand\n"
         "  formula    the same with softmax(q k^T) v in whole matrices, where they fit\n"
         "  plan:NAME  attend_source by another plan, where --plan names none\n"
         "backward: of q, keys and values, or of q and the projection (\"with values\": of the source too); step: "
         "forward\n"
         "and backward. Columns:\n"
         "  GFLOP/s       of the plain algorithm, whatever was really computed: a plan that needs less arithmetic may "
         "exceed the peak\n"
         "  of peak       of the multiply-adds that all threads do in float32 right before each call\n"
         "  x ours        seconds of the peer over ours: above 1, we are faster\n"
         "  extra memory  growth of the process at its peak over the inputs, from preparing to the first call; results "
         "and "
         "gradients count\n"
         "  error         of at most 8 queries, relative to the largest number in double; backward: of their "
         "gradients\n"
         "PERCEIVE_CPU and PERCEIVE_PLAN force an instruction set and a plan.\n\n" +
         options_help(core::reflect(defaults));
}

}  // namespace

Command bench_command() {
  return {"bench",
          "measure against libtorch's own ways in the same run",
          {},
          {},
          {{"attention", "attend and attend_source, forward and backward", attention_details, attention, {}},
           models_command(),
           model_command()}};
}

}  // namespace perceive::cli::bench
