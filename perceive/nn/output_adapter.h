// What a decoder asks of the latents, and what it makes of the answers.
//
// Shapes: B batch, O output rows, R rows of a block, F channels of a query, E channels of an output row.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <optional>
#include <vector>

#include "perceive/nn/linear.h"
#include "perceive/ops/source.h"

namespace perceive::nn {

// A row of the output depends on its own query only, so that any block of rows can be made without the rest.
class OutputAdapter : public torch::nn::Module {
 public:
  virtual int64_t query_channels() const = 0;  // F
  virtual int64_t rows() const = 0;            // O
  // A learned array [O, ·] of which each query is made of its own row; undefined where there is none.
  virtual at::Tensor learned() const { return {}; }
  // The queries [1, count, F] of the rows from `first` on; `learned` is [count, ·], these rows of learned().
  virtual at::Tensor make_queries(int64_t first, int64_t count, const at::Tensor& learned) = 0;
  // answers [B, R, F] to output rows [B, R, E].
  virtual at::Tensor outputs(const at::Tensor& answers) = 0;
  // Answers to all queries, [B, O, F], to the output in the shape of its task.
  virtual at::Tensor forward(const at::Tensor& answers) { return outputs(answers); }

  at::Tensor queries(int64_t first, int64_t count);  // [1, count, F]
  at::Tensor queries() { return queries(0, rows()); }
};

struct ClassificationOutputOptions {
  static constexpr const char* kName = "classification";
  int64_t num_classes = 10;
  int64_t num_queries = 1;
  int64_t query_channels = 128;
};
template <class Visitor>
void visit(ClassificationOutputOptions& o, Visitor&& field) {
  field("num_classes", o.num_classes, "classes to tell apart");
  field("num_queries", o.num_queries, "learned output queries; each gives a row of logits");
  field("query_channels", o.query_channels, "channels of an output query");
}
void check(const ClassificationOutputOptions& options, const std::string& key = "");
double parameter_count(const ClassificationOutputOptions& options);

// Learned queries, and logits [B, classes] (several queries: [B, O, classes]). Registers query and linear.
class ClassificationOutputImpl : public OutputAdapter {
 public:
  explicit ClassificationOutputImpl(const ClassificationOutputOptions& options);
  int64_t query_channels() const override { return query_.size(1); }
  int64_t rows() const override { return query_.size(0); }
  at::Tensor learned() const override { return query_; }
  at::Tensor make_queries(int64_t first, int64_t count, const at::Tensor& learned) override;
  at::Tensor outputs(const at::Tensor& answers) override { return linear_->forward(answers); }
  at::Tensor forward(const at::Tensor& answers) override { return outputs(answers).squeeze(1); }

 private:
  at::Tensor query_;
  Linear linear_{nullptr};
};
TORCH_MODULE(ClassificationOutput);

struct TokenOutputOptions {
  static constexpr const char* kName = "tokens";
  int64_t vocabulary = 256;
  int64_t length = 512;
  std::optional<int64_t> query_channels;
};
template <class Visitor>
void visit(TokenOutputOptions& o, Visitor&& field) {
  field("vocabulary", o.vocabulary, "token ids to score at each place");
  field("length", o.length, "places, each with a learned output query");
  field("query_channels", o.query_channels,
        "channels of an output query; default: those of the input's token embeddings, which are then also the weights "
        "of the scores");
}
void check(const TokenOutputOptions& options, const std::string& key = "");
// Without the embeddings, where they are the input's.
double parameter_count(const TokenOutputOptions& options, int64_t query_channels);

// A learned query for each place of a row of tokens; logits [B, length, vocabulary]. Registers query and linear; with
// the input's embeddings, query, embedding (the same tensor as there) and bias.
class TokenOutputImpl : public OutputAdapter {
 public:
  // embeddings: [vocabulary, channels], used where the options have no query_channels.
  explicit TokenOutputImpl(const TokenOutputOptions& options, const at::Tensor& embeddings = {});
  int64_t query_channels() const override { return query_.size(1); }
  int64_t rows() const override { return query_.size(0); }
  at::Tensor learned() const override { return query_; }
  at::Tensor make_queries(int64_t first, int64_t count, const at::Tensor& learned) override;
  at::Tensor outputs(const at::Tensor& answers) override;

 private:
  at::Tensor query_, embedding_, bias_;
  Linear linear_{nullptr};
};
TORCH_MODULE(TokenOutput);

struct GridOutputOptions {
  static constexpr const char* kName = "grid";
  std::vector<int64_t> shape = {28, 28, 1};
  int64_t frequency_bands = 32;
};
template <class Visitor>
void visit(GridOutputOptions& o, Visitor&& field) {
  field("shape", o.shape, "sizes of the output, channels last: height, width, channels (any number of axes)");
  field("frequency_bands", o.frequency_bands, "frequencies of the Fourier position features, an axis");
}
void check(const GridOutputOptions& options, const std::string& key = "");

// A query for each place of a grid: its axes · (2 · bands + 1) Fourier features, made when they are asked for. Gives
// [B, spatial…, channels], in blocks [B, R, channels] in row-major order. Registers linear.
class GridOutputImpl : public OutputAdapter {
 public:
  explicit GridOutputImpl(const GridOutputOptions& options);
  int64_t query_channels() const override { return positions_.width(); }
  int64_t rows() const override { return positions_.length(); }
  at::Tensor make_queries(int64_t first, int64_t count, const at::Tensor& learned) override;
  at::Tensor outputs(const at::Tensor& answers) override { return linear_->forward(answers); }
  at::Tensor forward(const at::Tensor& answers) override;

 private:
  GridOutputOptions options_;
  ops::Positions positions_;  // as computed, in float32 on the CPU
  Linear linear_{nullptr};
};
TORCH_MODULE(GridOutput);

}  // namespace perceive::nn
