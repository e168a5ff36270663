// Learning to tell tokens of texts: those that were masked, or each next one.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "perceive/train/learner.h"

namespace perceive::train {

inline constexpr int64_t kNotAsked = -100;  // a label that no loss is taken of

// What a model is given, and asked for.
struct TokenTask {
  at::Tensor ids;     // int64 [B, l]
  at::Tensor mask;    // bool [B, l], true where a token counts
  at::Tensor labels;  // int64 [B, l], or kNotAsked
  int64_t count = 0;  // the weight of the batch's mean loss
};
// The texts as they are, and behind each token the question for the next; weighted by the number of questions.
TokenTask next_tokens(const data::Batch& batch);

// Loss: cross entropy, mean over the tokens asked for; 0 for a batch without any.
class LanguageModel : public Learner {
 public:
  // Logits [B, l, vocabulary]; with `places`, bool [B, l]: [K, vocabulary] where it is true, one text after the other.
  using Forward = std::function<at::Tensor(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& places)>;
  using Prepare = std::function<TokenTask(const data::Batch& batch, Stage stage)>;
  using Samples = std::function<std::map<std::string, std::string>()>;

  LanguageModel(std::shared_ptr<torch::nn::Module> module, Forward forward, Prepare prepare, Samples samples = {})
      : module_(std::move(module)),
        forward_(std::move(forward)),
        prepare_(std::move(prepare)),
        samples_(std::move(samples)) {}

  // Adds the metric "bits_per_byte": a token stands for so many bytes of text, on average; 0: nobody knows.
  void set_bytes_per_token(std::function<double()> bytes) { bytes_per_token_ = std::move(bytes); }
  // Adds the metric "perplexity", of the tokens asked for: exp(loss).
  void add_perplexity() { adds_perplexity_ = true; }

  torch::nn::Module& module() override { return *module_; }
  // Needs "ids" [B, l], int64, and "mask" [B, l] in the batch.
  StepOutput step(const data::Batch& batch, Stage stage) override;
  // "logits" [B, l, vocabulary] of the texts as they are.
  data::Batch predict(const data::Batch& batch) override;
  std::map<std::string, std::string> samples() override;

 private:
  std::shared_ptr<torch::nn::Module> module_;
  Forward forward_;
  Prepare prepare_;
  Samples samples_;
  std::function<double()> bytes_per_token_;
  bool adds_perplexity_ = false;
};

}  // namespace perceive::train
