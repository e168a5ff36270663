// The cost of each plan, and the cheapest.
#include "perceive/ops/plan.h"

#include <ATen/ATen.h>

#include <array>
#include <cstdlib>

#include "perceive/ops/operators.h"

namespace perceive::ops {
namespace {

struct Name {
  SourcePlan plan;
  std::string_view name;
};
constexpr std::array kNames = {
    Name{SourcePlan::automatic, "automatic"},     Name{SourcePlan::separate, "separate"},
    Name{SourcePlan::absorb_keys, "absorb_keys"}, Name{SourcePlan::absorb_values, "absorb_values"},
    Name{SourcePlan::absorb, "absorb"},           Name{SourcePlan::separable, "separable"},
};
constexpr std::array kChoices = {SourcePlan::separate, SourcePlan::absorb_keys, SourcePlan::absorb_values,
                                 SourcePlan::absorb, SourcePlan::separable};

// Costs are in vector multiplications-and-additions of a product kernel, a vector of queries and a key. Measured on
// AVX-512 and AVX2 machines with `perceive bench attention`.
constexpr double kExponential = 12;  // one exp2 and its share of the softmax
constexpr double kLookUp = 3;        // a row of a table read, or added to
constexpr double kShort = 1.5;       // a product over few channels waits for memory more than a long one
constexpr double kProjection = 1.1;  // a projected tile is written and read again

// Steps of all axes of a separable plan: each holds a number for every query, twice a thread.
constexpr int64_t kLongestTables = 1 << 14;
// Axes of at most this share of the keys are projected ahead.
constexpr int64_t kKeysPerProjectedRow = 8;
constexpr int64_t kProjectedFloats = 1 << 20;

struct Widths {
  double dense = 1;  // features of a key written out, and the constant 1
  double inputs =
      2;  // what a projected tile is computed from: channels, features not projected ahead, LayerNorm's mean
  double tables = 0;  // rows of tables projected ahead
  double steps = 0;   // of all axes
};

Widths widths_of(const SourceWork& work) {
  Widths widths;
  widths.dense += static_cast<double>(work.channels);
  widths.inputs += static_cast<double>(work.channels);
  for (const auto& axis : work.axes) {
    widths.dense += static_cast<double>(axis.features);
    widths.steps += static_cast<double>(axis.steps);
    if (projected_ahead(axis.steps, work.keys, work.key_heads * (work.key_width + work.value_width))) {
      widths.tables += 1;
    } else {
      widths.inputs += static_cast<double>(axis.features);
    }
  }
  return widths;
}

// Of one side of a plan, a key: `products` of the given width in the pass with every query head, and what a separate
// side pays to be projected (twice more in the backward pass, for its weights and where the inputs want a gradient).
double side_cost(const SourceWork& work, const Widths& widths, bool absorbed, int64_t width, double products) {
  const auto pairs = static_cast<double>(work.heads * work.queries);
  if (absorbed) {
    const double lifting = 2.0 * pairs * static_cast<double>(width) * widths.dense / static_cast<double>(work.keys);
    return products * pairs * widths.dense + lifting * (work.backward ? 2 : 1);
  }
  const double rows = static_cast<double>(work.key_heads * width);
  const double projections = work.backward ? 2.0 + (work.input_grad ? 1.0 : 0.0) : 1.0;
  return products * pairs * static_cast<double>(width) +
         kProjection * projections * rows * (widths.inputs + kLookUp * widths.tables);
}

double cost(SourcePlan plan, const SourceWork& work) {
  const Widths widths = widths_of(work);
  const auto pairs = static_cast<double>(work.heads * work.queries);
  const double exponentials = pairs * kExponential;
  if (plan == SourcePlan::separable) {
    const double sparse = static_cast<double>(work.channels) + 2;
    const double passes = work.backward ? 4 : 2;  // scores and sums; and those of the gradients
    const double lifting = 2.0 * pairs * static_cast<double>(work.key_width + work.value_width) *
                           (sparse + widths.steps) / static_cast<double>(work.keys);
    return exponentials + passes * pairs * (kShort * sparse + kLookUp) + lifting;
  }
  const bool keys = plan == SourcePlan::absorb_keys || plan == SourcePlan::absorb;
  const bool values = plan == SourcePlan::absorb_values || plan == SourcePlan::absorb;
  // Backward: an absorbed side gives the gradient of its weights by one product of the queries' size, and that of the
  // inputs only where wanted; a separate one needs the gradient of the projected tile in any case.
  const double of_key = !work.backward ? 1 : keys && !work.input_grad ? 2 : 3;
  const double of_value = !work.backward ? 1 : values && work.input_grad ? 3 : 2;
  return exponentials + side_cost(work, widths, keys, work.key_width, of_key) +
         side_cost(work, widths, values, work.value_width, of_value);
}

}  // namespace

std::string_view name_of(SourcePlan plan) {
  for (const auto& known : kNames) {
    if (known.plan == plan) return known.name;
  }
  TORCH_INTERNAL_ASSERT(false, "a plan without a name");
}

SourcePlan plan_of(std::string_view name) {
  for (const auto& known : kNames) {
    if (known.name == name) return known.plan;
  }
  std::string names;
  for (const auto& known : kNames) names += (names.empty() ? "" : ", ") + std::string(known.name);
  TORCH_CHECK(false, "attend_source: plan must be one of ", names, "; got '", name, "'");
}

bool projected_ahead(int64_t steps, int64_t keys, int64_t rows) {
  return steps * kKeysPerProjectedRow <= keys && steps * rows <= kProjectedFloats;
}

std::string objection(SourcePlan plan, const SourceWork& work) {
  if (plan != SourcePlan::separable) return "";
  if (work.axes.empty() || work.axes.size() > 3) {
    return "positions on a grid of one to three axes are needed, the source has " + std::to_string(work.axes.size());
  }
  int64_t steps = 0;
  for (const auto& axis : work.axes) steps += axis.steps;
  if (steps > kLongestTables) {
    return "the axes of the grid have " + std::to_string(steps) + " steps together, more than " +
           std::to_string(kLongestTables) + " take too much memory";
  }
  if (work.input_grad) return "it does not give gradients of the values or the positions";
  return "";
}

SourcePlan choose_plan(const SourceWork& work) {
  SourcePlan best = SourcePlan::separate;
  for (const auto plan : kChoices) {
    if (objection(plan, work).empty() && cost(plan, work) < cost(best, work)) best = plan;
  }
  return best;
}

SourcePlan resolve_plan(SourcePlan asked, const SourceWork& work) {
  if (asked != SourcePlan::automatic) {
    const auto reason = objection(asked, work);
    // A backward pass follows any plan: it needs out and lse only.
    if (!reason.empty() && work.backward) return choose_plan(work);
    TORCH_CHECK(reason.empty(), "attend_source: the plan ", name_of(asked), " cannot serve this call: ", reason);
    return asked;
  }
  static const char* const told = std::getenv("PERCEIVE_PLAN");
  static const SourcePlan forced = told != nullptr && *told != '\0' ? plan_of(told) : SourcePlan::automatic;
  if (forced != SourcePlan::automatic && objection(forced, work).empty()) return forced;
  return choose_plan(work);
}

SourcePlan planned(const at::Tensor& q, const Source& source, const Projection& projection,
                   const AttendOptions& options, bool backward) {
  const auto folded = fold_projection(source, projection, options);
  const auto work =
      source_work(q, source.keys(), source.width() - source.positions.width(), source.positions.axes, folded);
  return resolve_plan(options.plan, backward ? backward_work(work, source.values.requires_grad()) : work);
}

SourceWork source_work(const at::Tensor& q, int64_t keys, int64_t channels, at::TensorList axes,
                       const FoldedProjection& projection) {
  SourceWork work{.queries = q.size(2),
                  .heads = q.size(1),
                  .key_heads = projection.heads,
                  .keys = std::max<int64_t>(keys, 1),
                  .channels = channels,
                  .key_width = q.size(3),
                  .value_width = projection.value_weight.size(0) / projection.heads};
  for (const auto& axis : axes) work.axes.push_back({axis.size(0), axis.size(1)});
  return work;
}

SourceWork backward_work(SourceWork work, bool input_grad) {
  work.backward = true;
  work.input_grad = input_grad;
  return work;
}

}  // namespace perceive::ops
