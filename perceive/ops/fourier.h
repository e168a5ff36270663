// Fourier position features of a grid, kept as one small table an axis.
#pragma once

#include "perceive/ops/source.h"

namespace perceive::ops {

// Per axis i of size S_i: p_i = linspace(-1, 1, S_i) and the frequencies linspace(1, max_frequency_i / 2, bands);
// features in the order all p_i, then sin(pi f p_i) of every axis, then cos(pi f p_i) of every axis
// (Perceiver, arXiv 2103.03206, section 3.2; order and float32 steps of perceiver-io 0.2.1).
struct FourierOptions {
  std::vector<int64_t> grid;          // S_0, S_1, …
  int64_t bands = 32;                 // frequencies an axis; at least 1
  std::vector<double> max_frequency;  // one an axis; empty: S_i, twice the Nyquist frequency of the grid's half width
};

Positions fourier_positions(const FourierOptions& options);

}  // namespace perceive::ops
