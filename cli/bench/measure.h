// Several ways to one result, timed in turns.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace perceive::cli::bench {

// Computes a result; what is timed.
using Call = std::function<at::Tensor()>;

struct Contender {
  std::string name;
  std::function<Call()> prepare;  // what the timed call takes for granted: for a backward pass, the forward one
  std::string objection;          // why it does not take part; empty where it does
};

// One line of the results: ours first, then its peers.
struct Row {
  std::string name, plan;  // no plan: empty
  double flops = 0;        // of the plain algorithm
  std::vector<Contender> contenders;
  std::function<double(const at::Tensor& result)> error;  // of a result, relative to double
};

struct Measured {
  std::string name;
  std::string objection;              // why nothing below was measured
  double seconds = 0;                 // median
  double share_of_peak = 0;           // median, each of what multiply-adds alone reached right before the call
  std::optional<double> extra_bytes;  // peak memory above the inputs, of preparing and the first call
  double max_error = 0;
};

// At least 15 calls each in turns, fewer where they are slow but no fewer than 3. A peer that throws a c10::Error at
// its first call objects with it.
std::vector<Measured> measure(const Row& row);

double median(std::vector<double> of);  // at least one

// Calls every contender once: what libraries allocate at their first use does not count as anyone's memory.
void warm_up(const std::vector<Row>& rows);

}  // namespace perceive::cli::bench
