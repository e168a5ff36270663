// The loss of blocks of rows as one autograd node that has done its backward pass already.
#include "perceive/nn/block_loss.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace perceive::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The cast of a weight would be cached together with the graph of the block that made it.
class NoAutocastCache {
 public:
  NoAutocastCache() { at::autocast::set_autocast_cache_enabled(false); }
  ~NoAutocastCache() { at::autocast::set_autocast_cache_enabled(before_); }
  NoAutocastCache(const NoAutocastCache&) = delete;
  NoAutocastCache& operator=(const NoAutocastCache&) = delete;

 private:
  bool before_ = at::autocast::is_autocast_cache_enabled();
};

// How the node walks. Its tensors are the shared one, the learned one where there is one, then the parameters.
struct Walk {
  const BlockLoss& loss;
  int64_t rows, block;
  bool has_learned;

  template <class Body>
  void each(Body&& body) const {
    for (int64_t first = 0; first < rows; first += block) body(first, std::min(block, rows - first));
  }
};

struct Gradients : torch::CustomClassHolder {
  variable_list of;  // of each tensor; undefined where it has none
};

class Total {
 public:
  explicit Total(const at::Tensor& like)
      : sum_(at::zeros({}, like.options().dtype(at::kDouble))), type_(like.scalar_type()) {}
  void add(const at::Tensor& value, int64_t first, int64_t count) {
    TORCH_CHECK_VALUE(value.defined() && value.numel() == 1, "the loss of the rows ", first, " to ", first + count,
                      " must be one number, summed over them; got ",
                      value.defined() ? c10::str(value.sizes()) : std::string("nothing"));
    type_ = value.scalar_type();
    sum_ = sum_ + value.detach().reshape({}).to(at::kDouble);
  }
  at::Tensor get() const { return sum_.to(type_); }

 private:
  at::Tensor sum_;  // in double: there may be very many blocks
  at::ScalarType type_;
};

struct BlockLossFunction : torch::autograd::Function<BlockLossFunction> {
  static at::Tensor forward(AutogradContext* context, const Walk& walk, at::TensorList tensors) {
    const at::AutoGradMode record(true);
    const NoAutocastCache no_cache;
    auto gradients = c10::make_intrusive<Gradients>();
    auto& sums = gradients->of;
    sums.resize(tensors.size());
    const auto leaf = [](const at::Tensor& t, bool needs_grad) { return t.detach().requires_grad_(needs_grad); };
    variable_list inputs = tensors.vec();
    inputs[0] = leaf(tensors[0], tensors[0].requires_grad());
    Total total(tensors[0]);
    walk.each([&](int64_t first, int64_t count) {
      at::Tensor learned;
      if (walk.has_learned) learned = inputs[1] = leaf(tensors[1].narrow(0, first, count), tensors[1].requires_grad());
      const auto value = walk.loss(inputs[0], learned, first, count);
      total.add(value, first, count);
      if (!value.requires_grad()) return;
      variable_list wanted;
      std::vector<size_t> places;
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (!inputs[i].requires_grad()) continue;
        wanted.push_back(inputs[i]);
        places.push_back(i);
      }
      const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
      const auto found = torch::autograd::grad({value.sum()}, wanted, {}, /*retain_graph=*/false,
                                               /*create_graph=*/false, /*allow_unused=*/true);
      for (size_t w = 0; w < places.size(); ++w) {
        const size_t i = places[w];
        if (!found[w].defined()) continue;
        if (walk.has_learned && i == 1) {  // a gradient of all rows for each block would cost rows² / block
          if (!sums[i].defined()) sums[i] = at::zeros_like(tensors[i]);
          sums[i].narrow(0, first, count).copy_(found[w]);
        } else if (sums[i].defined()) {
          sums[i].add_(found[w]);
        } else {
          sums[i] = found[w].clone();
        }
      }
    });
    context->saved_data["gradients"] = c10::IValue::make_capsule(std::move(gradients));
    return total.get();
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad_outputs) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "sum_of_block_losses: a second derivative through blocks of rows is not supported");
    const auto capsule = context->saved_data["gradients"].toCapsule();
    variable_list grads(1);  // none for the walk
    for (const auto& sum : static_cast<const Gradients&>(*capsule).of) {
      grads.push_back(sum.defined() ? sum * grad_outputs.front().to(sum.scalar_type()) : at::Tensor());
    }
    return grads;
  }
};

}  // namespace

at::Tensor sum_of_block_losses(const BlockLoss& loss, const BlockLossInputs& inputs, int64_t rows, int64_t block) {
  TORCH_CHECK_VALUE(block > 0, "a block must have at least 1 row; got ", block);
  const Walk walk{loss, rows, block, inputs.learned.defined()};
  std::vector<at::Tensor> tensors{inputs.shared};
  if (walk.has_learned) tensors.push_back(inputs.learned);
  tensors.insert(tensors.end(), inputs.parameters.begin(), inputs.parameters.end());
  const bool recorded = at::GradMode::is_enabled() &&
                        std::any_of(tensors.begin(), tensors.end(), [](const auto& t) { return t.requires_grad(); });
  if (recorded) return BlockLossFunction::apply(walk, at::TensorList(tensors));
  const at::NoGradGuard no_grad;
  Total total(inputs.shared);
  walk.each([&](int64_t first, int64_t count) {
    const auto learned = walk.has_learned ? inputs.learned.narrow(0, first, count) : at::Tensor();
    total.add(loss(inputs.shared, learned, first, count), first, count);
  });
  return total.get();
}

}  // namespace perceive::nn
