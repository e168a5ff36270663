// A projection in the kernels' form: one row of outputs for each feature that a key of a source has.
//
// With LayerNorm's mean mu and inverse deviation r of a key, channels c and position features p_a(step), its projection
// is
//   W (x - mu) r + b = W_c (c - mu) r - (W_p 1) mu r + sum_a (W_a p_a(step)) r + b,
// so that a key's features may be taken as numbers (r (c - mu), r mu, 1), and one step of a table an axis, times r.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "perceive/ops/cpu/work.h"

namespace perceive::ops::cpu {

// How a key's features are laid out. `projected`: axes that are short against the source are tables, the others are
// written out. `sparse`: all axes are tables. `dense`: all features are written out, and normalised.
enum class Form { projected, dense, sparse };

struct Features {
  struct Axis {
    at::Tensor features;  // [steps, E], float
    int64_t begin = 0;    // of its rows: one a step for a table, else one a feature
    bool table = false;
    int64_t step_keys = 1;  // keys from one step to the next

    int64_t steps() const { return features.size(0); }
    int64_t width() const { return features.size(1); }
    int64_t rows() const { return table ? steps() : width(); }
  };

  Features(Form form, int64_t channels, at::TensorList axes, bool normalize, int64_t keys, int64_t outputs);

  Form form;
  int64_t channels;
  int64_t mean = -1;      // row of r mu, where there is one
  int64_t constant = -1;  // row of the 1
  int64_t inputs = 0;     // leading rows whose features are numbers
  int64_t count = 0;      // rows
  int64_t width;          // C + E
  std::vector<Axis> axes;
};

// The weight [heads · width, C + E] and bias of one side, keys or values.
class Factors {
 public:
  Factors(const Features& features, const at::Tensor& weight, const at::Tensor& bias, int64_t heads);

  const float* row(int64_t row, int64_t head = 0) const {
    return rows_.const_data_ptr<float>() + row * stride() + head * head_pitch;
  }
  int64_t stride() const { return heads * head_pitch; }
  at::Tensor zeros() const { return at::zeros_like(rows_); }
  // Of the weight and the bias, from that of the rows.
  std::pair<at::Tensor, at::Tensor> gradient(const at::Tensor& grad_rows) const;

  // What the gradient of the inputs needs: W_c as [stride, padded C], and the sums of W's rows, [stride].
  at::Tensor channel_columns() const;
  at::Tensor row_sums() const;

  const Features& features;
  int64_t heads, width, head_pitch;  // a head's outputs, padded to whole vectors

 private:
  at::Tensor padded_heads(const at::Tensor& t) const;  // [rows, heads · width] to [rows, stride]

  at::Tensor weight_, rows_;
};

}  // namespace perceive::ops::cpu
