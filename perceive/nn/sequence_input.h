// Rows of numbers or of token ids as described inputs.
//
// Shapes: B batch, M elements of a row, C channels.
#pragma once

#include <torch/nn/modules/embedding.h>

#include "perceive/nn/input_adapter.h"

namespace perceive::nn {

struct SequenceInputOptions {
  static constexpr const char* kName = "sequence";
  int64_t channels = 1;
  int64_t frequency_bands = 0;
  int64_t max_frequency = 0;
};
template <class Visitor>
void visit(SequenceInputOptions& o, Visitor&& field) {
  field("channels", o.channels, "channels of an element");
  field("frequency_bands", o.frequency_bands, "frequencies of the Fourier features of an element's place; 0: none");
  field("max_frequency", o.max_frequency, "twice the highest of them; 0: the length of the row");
}
void check(const SequenceInputOptions& options, const std::string& key = "");

// Values [B, M, channels] of any length, with Fourier features of the place where asked for. Has no parameters.
class SequenceInputImpl : public InputAdapter {
 public:
  explicit SequenceInputImpl(const SequenceInputOptions& options);
  int64_t width() const override;
  // mask [B, M].
  ops::Source source(const at::Tensor& values, const at::Tensor& mask = {}) override;

 private:
  SequenceInputOptions options_;
};
TORCH_MODULE(SequenceInput);

inline std::shared_ptr<InputAdapter> make_input(const SequenceInputOptions& options) {
  return SequenceInput(options).ptr();
}

struct TokenInputOptions {
  static constexpr const char* kName = "tokens";
  int64_t vocabulary = 256;
  int64_t channels = 64;
  int64_t max_length = 0;
  bool scale_embeddings = false;
  double embedding_range = 0.0;
  double position_range = 0.0;
};
template <class Visitor>
void visit(TokenInputOptions& o, Visitor&& field) {
  field("vocabulary", o.vocabulary, "token ids are 0 … vocabulary - 1");
  field("channels", o.channels, "of a token's embedding");
  field("max_length", o.max_length,
        "tokens of the longest row, for learned positions added to the embeddings; 0: none");
  field("scale_embeddings", o.scale_embeddings, "multiply embeddings by the root of their channels");
  field("embedding_range", o.embedding_range, "embeddings start uniform in ± this; 0: from N(0, 1)");
  field("position_range", o.position_range, "positions start uniform in ± this; 0: from N(0, 0.02²)");
}
void check(const TokenInputOptions& options, const std::string& key = "");
int64_t width(const TokenInputOptions& options);
double parameter_count(const TokenInputOptions& options);

// Token ids [B, M] (int64 or int32), embedded. Registers embedding, and positions where there are any.
class TokenInputImpl : public InputAdapter {
 public:
  explicit TokenInputImpl(const TokenInputOptions& options);
  int64_t width() const override { return options_.channels; }
  // mask [B, M].
  ops::Source source(const at::Tensor& ids, const at::Tensor& mask = {}) override;
  const at::Tensor& embeddings() const { return embedding_->weight; }  // [vocabulary, channels]

 private:
  TokenInputOptions options_;
  torch::nn::Embedding embedding_{nullptr};
  at::Tensor positions_;
};
TORCH_MODULE(TokenInput);

inline std::shared_ptr<InputAdapter> make_input(const TokenInputOptions& options) {
  return TokenInput(options).ptr();
}

// Throws c10::ValueError that names the first id outside of [0, vocabulary) and where it stands.
void check_token_ids(const at::Tensor& ids, int64_t vocabulary);

}  // namespace perceive::nn
