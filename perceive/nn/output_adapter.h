// What a decoder asks of the latents, and what it makes of the answers.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

namespace perceive::nn {

class OutputAdapter : public torch::nn::Module {
 public:
  virtual int64_t query_channels() const = 0;                 // F
  virtual at::Tensor queries() = 0;                           // [1, O, F]
  virtual at::Tensor forward(const at::Tensor& answers) = 0;  // of [B, O, F]
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
  at::Tensor queries() override { return query_.unsqueeze(0); }
  at::Tensor forward(const at::Tensor& answers) override;

 private:
  at::Tensor query_;
  torch::nn::Linear linear_{nullptr};
};
TORCH_MODULE(ClassificationOutput);

}  // namespace perceive::nn
