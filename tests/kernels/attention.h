// Attention of a block of queries by its plain formula in double, and the arrays of a block as the kernels take them.
#pragma once

#include "tests/kernels/instruction_sets.h"

namespace perceive::kernels::testing {

// Keys and values of a tile, written out, with what is added to the scores and multiplied with the weights:
// [keys][lanes] or empty.
struct Keys {
  Matrix k, v;
  std::vector<float> add, multiply;

  bool masked(int64_t at) const { return !add.empty() && add[at] < 0.0F; }
  double kept(int64_t at) const { return multiply.empty() ? 1.0 : multiply[at]; }
};

// In log 2, of key j and a lane of q [key_width][lanes].
inline double score(const Keys& keys, const std::vector<float>& q, int64_t lanes, int64_t j, int64_t lane) {
  double sum = 0.0;
  for (int64_t d = 0; d < keys.k.columns; ++d) sum += static_cast<double>(q[d * lanes + lane]) * keys.k.at(j, d);
  return sum;
}

// What ForwardBlock holds after all tiles, in a form that does not depend on the reference.
struct Attended {
  std::vector<double> out;  // [value_width][lanes], divided by the sum; 0 for a lane without keys
  std::vector<double> lse;  // [lanes], base 2; -inf for a lane without keys
};

inline Attended attend(const std::vector<Keys>& tiles, const std::vector<float>& q, int64_t lanes) {
  const int64_t width = tiles.front().v.columns;
  Attended result{std::vector<double>(width * lanes), std::vector<double>(lanes)};
  for (int64_t lane = 0; lane < lanes; ++lane) {
    std::vector<std::vector<double>> scores;
    double highest = -INFINITY;
    for (const Keys& tile : tiles) {
      auto& row = scores.emplace_back(tile.k.rows, -INFINITY);
      for (int64_t j = 0; j < tile.k.rows; ++j) {
        if (!tile.masked(j * lanes + lane)) row[j] = score(tile, q, lanes, j, lane);
        highest = std::max(highest, row[j]);
      }
    }
    result.lse[lane] = highest;
    if (highest == -INFINITY) continue;
    double sum = 0.0;
    for (size_t t = 0; t < tiles.size(); ++t) {
      for (int64_t j = 0; j < tiles[t].k.rows; ++j) {
        const double weight = std::exp2(scores[t][j] - highest);
        sum += weight;
        if (weight == 0.0) continue;
        for (int64_t d = 0; d < width; ++d) {
          result.out[d * lanes + lane] += weight * tiles[t].kept(j * lanes + lane) * tiles[t].v.at(j, d);
        }
      }
    }
    result.lse[lane] += std::log2(sum);
    for (int64_t d = 0; d < width; ++d) result.out[d * lanes + lane] /= sum;
  }
  return result;
}

// The arrays of a ForwardBlock, as before the first tile.
struct ForwardArrays {
  std::vector<float> highest, sum, out, scores;

  ForwardArrays(int64_t lanes, int64_t value_width) : highest(lanes, -INFINITY), sum(lanes), out(value_width * lanes) {}
  ForwardBlock block(const std::vector<float>& q, int64_t keys) {
    scores.assign(keys * highest.size(), NAN);
    return {.lanes = static_cast<int64_t>(highest.size()),
            .q = q.data(),
            .highest = highest.data(),
            .sum = sum.data(),
            .out = out.data(),
            .scores = scores.data()};
  }
  // Against the formula.
  void expect(const Attended& expected, double tolerance) const {
    const size_t lanes = highest.size();
    std::vector<float> divided = out;
    for (size_t lane = 0; lane < lanes; ++lane) {
      if (expected.lse[lane] == -INFINITY) {
        EXPECT_EQ(highest[lane], -INFINITY);
        EXPECT_EQ(sum[lane], 0.0F);
      } else {
        EXPECT_NEAR(highest[lane] + std::log2(static_cast<double>(sum[lane])), expected.lse[lane],
                    tolerance * std::max(1.0, std::abs(expected.lse[lane])));
        for (size_t at = lane; at < out.size(); at += lanes) divided[at] = out[at] / sum[lane];
      }
    }
    EXPECT_LT(difference(divided, expected.out), tolerance);
  }
};

// What BackwardBlock holds after a tile, of the formulas that follow from the weights 2^(score - lse).
struct Gradients {
  std::vector<double> q, context, k, v;  // k and v as wide as `q_rows` and `grad_out_rows`
};

// The arrays of a BackwardBlock: all that is added to begins with numbers of its own.
struct BackwardArrays {
  std::vector<float> q, grad_out, lse, delta, grad_q, context, scores, grad_scores;
  Matrix q_rows, grad_out_rows, grad_k, grad_v;

  BackwardBlock block() {
    return {.lanes = static_cast<int64_t>(lse.size()),
            .queries = q_rows.rows,
            .q = q.data(),
            .grad_out = grad_out.data(),
            .q_rows = q_rows.read(),
            .grad_out_rows = grad_out_rows.read(),
            .lse = lse.data(),
            .delta = delta.data(),
            .grad_q = grad_q.data(),
            .context = context.data(),
            .grad_k = grad_k.write(),
            .grad_v = grad_v.write(),
            .scores = scores.data(),
            .grad_scores = grad_scores.data()};
  }

  Gradients expected(const Keys& keys) const {
    const auto lanes = static_cast<int64_t>(lse.size());
    const auto copy = [](const std::vector<float>& from) { return std::vector<double>(from.begin(), from.end()); };
    Gradients g{copy(grad_q), copy(context), copy(grad_k.data), copy(grad_v.data)};
    for (int64_t j = 0; j < keys.k.rows; ++j) {
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const int64_t at = j * lanes + lane;
        const double weight = keys.masked(at) ? 0.0 : std::exp2(score(keys, q, lanes, j, lane) - lse[lane]);
        double grad = 0.0;
        for (int64_t d = 0; d < keys.v.columns; ++d) {
          grad += static_cast<double>(grad_out[d * lanes + lane]) * keys.v.at(j, d);
        }
        grad = weight * (grad * keys.kept(at) - delta[lane]);
        for (int64_t d = 0; d < keys.k.columns; ++d) g.q[d * lanes + lane] += grad * keys.k.at(j, d);
        const double given = weight * keys.kept(at);
        if (!context.empty()) {
          for (int64_t d = 0; d < keys.v.columns; ++d) g.context[d * lanes + lane] += given * keys.v.at(j, d);
        }
        if (lane >= q_rows.rows) continue;
        if (!g.k.empty()) {
          for (int64_t d = 0; d < q_rows.columns; ++d) g.k[j * grad_k.stride + d] += grad * q_rows.at(lane, d);
        }
        if (!g.v.empty()) {
          for (int64_t d = 0; d < grad_out_rows.columns; ++d) {
            g.v[j * grad_v.stride + d] += given * grad_out_rows.at(lane, d);
          }
        }
      }
    }
    return g;
  }
  void expect(const Gradients& expected, double tolerance) const {
    EXPECT_LT(difference(grad_q, expected.q), tolerance);
    EXPECT_LT(difference(context, expected.context), tolerance);
    EXPECT_LT(difference(grad_k.data, expected.k), tolerance);
    EXPECT_LT(difference(grad_v.data, expected.v), tolerance);
  }
};

}  // namespace perceive::kernels::testing
