// The exact ways of computing attend_source, and the choice between them. Algebra: docs/kernels.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "perceive/ops/attend.h"

namespace perceive::ops {

// What one call has to do. A source key has C channels and, on every axis of its grid, some position features.
struct SourceWork {
  struct Axis {
    int64_t steps = 0, features = 0;
  };
  int64_t queries = 0, heads = 0, key_heads = 0;  // N, H, Hk
  int64_t keys = 0, channels = 0;                 // M of the whole source, C
  int64_t key_width = 0, value_width = 0;         // D, Dv
  std::vector<Axis> axes;
  bool backward = false;    // the pass it is for
  bool input_grad = false;  // gradients of values or axes are wanted
};

// The cheapest plan for the work; never `automatic`.
SourcePlan choose_plan(const SourceWork& work);
// Why a plan cannot do the work, in words; empty where it can.
std::string objection(SourcePlan plan, const SourceWork& work);
// What a call takes: the plan asked for (a c10::Error says why it cannot be); else the one that the environment
// variable PERCEIVE_PLAN names, where it can do the work; else the cheapest.
SourcePlan resolve_plan(SourcePlan asked, const SourceWork& work);
// The plan of attend_source(q, source, projection, options) on a CPU, forward or backward.
SourcePlan planned(const at::Tensor& q, const Source& source, const Projection& projection,
                   const AttendOptions& options = {}, bool backward = false);

std::string_view name_of(SourcePlan plan);  // as the enumerator is spelled
SourcePlan plan_of(std::string_view name);  // throws c10::Error for an unknown name

// Whether an axis' position features are projected ahead, into one row a step: not where the rows would take memory
// that grows with the source. `rows`: outputs of the projection.
bool projected_ahead(int64_t steps, int64_t keys, int64_t rows);

}  // namespace perceive::ops
