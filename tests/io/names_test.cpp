// Names of modules' tensors, shared ones among them, and strict loading.
#include "perceive/io/names.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <torch/nn/modules/linear.h>

#include "tests/io/temporary_folder.h"

namespace perceive::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;
using torch::nn::Linear;

// `shared` is one layer under two names, `tied` holds its weight, `count` is a buffer.
struct Net : torch::nn::Module {
  Net() {
    shared = register_module("zeta", Linear(3, 2));
    register_module("alpha", shared.ptr());
    tied = register_parameter("tied", shared->weight);
    own = register_parameter("own", at::randn({4}));
    count = register_buffer("count", at::zeros({}, at::kLong));
  }
  Linear shared{nullptr};
  at::Tensor tied, own, count;
};

Tensors values() {
  return {{"own", at::arange(4, at::kFloat)},
          {"tied", at::ones({2, 3})},
          {"zeta.bias", at::full({2}, 7.0f)},
          {"count", at::full({}, 5, at::kLong)}};
}

std::string refusal(const Tensors& tensors) {
  Net net;
  const auto own = net.own.clone();
  const std::string message = error_of([&] { load_into(net, tensors, "F"); });
  EXPECT_TRUE(at::equal(own, net.own));
  return message;
}

TEST(Names, AreAllThatPythonLists) {
  EXPECT_THAT(named_tensors(Net()), ElementsAre(Key("alpha.bias"), Key("alpha.weight"), Key("count"), Key("own"),
                                                Key("tied"), Key("zeta.bias"), Key("zeta.weight")));
}

TEST(Names, OfSharedTensorsAreTheFirstRegistered) {
  EXPECT_THAT(distinct_tensors(Net()), ElementsAre(Key("count"), Key("own"), Key("tied"), Key("zeta.bias")));
}

TEST(Names, AreNotNeededToStepEachParameterOnce) {
  const Net net;
  const auto parameters = distinct_parameters(net);
  ASSERT_EQ(parameters.size(), 3);
  EXPECT_TRUE(parameters[0].is_same(net.tied));
  EXPECT_TRUE(parameters[1].is_same(net.own));
  EXPECT_TRUE(parameters[2].is_same(net.shared->bias));
}

TEST(LoadInto, FillsSharedTensorsUnderEveryName) {
  Net net;
  EXPECT_TRUE(load_into(net, values(), "F").empty());
  EXPECT_TRUE(at::equal(net.shared->weight, at::ones({2, 3})));
  EXPECT_TRUE(at::equal(net.shared->bias, at::full({2}, 7.0f)));
  EXPECT_TRUE(at::equal(net.own, at::arange(4, at::kFloat)));
  EXPECT_EQ(net.count.item<int64_t>(), 5);
  EXPECT_TRUE(net.tied.is_same(net.shared->weight));
  EXPECT_TRUE(net.own.requires_grad());
}

TEST(LoadInto, TakesAnyOfTheNamesOrAll) {
  for (const char* name : {"zeta.weight", "alpha.weight"}) {
    auto tensors = values();
    tensors.erase("tied");
    tensors[name] = at::ones({2, 3});
    Net net;
    load_into(net, tensors, "F");
    EXPECT_TRUE(at::equal(net.tied, at::ones({2, 3}))) << name;
  }
  Net from, to;
  load_into(to, named_tensors(from), "F");
  EXPECT_TRUE(at::equal(from.own, to.own));
}

TEST(LoadInto, ListsAllThatDoesNotFitAndChangesNothing) {
  auto tensors = values();
  tensors.erase("tied");
  tensors.erase("count");
  tensors["own"] = at::ones({4, 1});
  tensors["zeta.bias"] = at::ones({3});
  tensors["extra"] = tensors["zeta"] = at::ones({1});
  EXPECT_EQ(refusal(tensors),
            "F does not fit the model: was it made with the same options?\n"
            "  missing (2):\n    tied = zeta.weight = alpha.weight\n    count\n"
            "  unexpected (2):\n    extra\n    zeta\n"
            "  unusable (2):\n    own: expected [4], found [4, 1]\n    zeta.bias: expected [2], found [3]");
}

TEST(LoadInto, CutsLongLists) {
  auto tensors = values();
  for (int i = 0; i < 33; ++i) tensors["extra" + std::to_string(i)] = at::ones({1});
  const std::string message = refusal(tensors);
  EXPECT_THAT(message, HasSubstr("unexpected (33):"));
  EXPECT_THAT(message, HasSubstr("    and 13 more"));
}

TEST(LoadInto, RefusesOneTensorWithTwoValues) {
  auto tensors = values();
  tensors["alpha.weight"] = at::zeros({2, 3});
  EXPECT_THAT(refusal(tensors), HasSubstr("alpha.weight: differs from tied, which is the same tensor"));
  tensors["tied"] = tensors["alpha.weight"] = at::full({2, 3}, NAN);
  Net net;
  EXPECT_TRUE(load_into(net, tensors, "F").empty());
}

TEST(LoadInto, ConvertsBetweenFloatsWithANotice) {
  auto tensors = values();
  tensors["own"] = tensors["own"].to(at::kHalf);
  tensors["tied"] = tensors["tied"].to(at::kHalf);
  tensors["zeta.bias"] = tensors["zeta.bias"].to(at::kDouble);
  tensors["count"] = tensors["count"].to(at::kInt);
  Net net;
  EXPECT_THAT(load_into(net, tensors, "F"),
              ElementsAre("F: 1 tensor converted from Double to Float", "F: 2 tensors converted from Half to Float",
                          "F: 1 tensor converted from Int to Long"));
  EXPECT_TRUE(at::equal(net.own, at::arange(4, at::kFloat)));
  EXPECT_EQ(net.own.scalar_type(), at::kFloat);
}

TEST(LoadInto, RefusesConversionsThatLoseWhatWasMeant) {
  auto tensors = values();
  tensors["count"] = at::full({}, 1.5);
  EXPECT_THAT(refusal(tensors), HasSubstr("count: expected Long, found Float, which it cannot hold"));
  tensors = values();
  tensors["own"] = at::zeros({4}, at::kComplexFloat);
  EXPECT_THAT(refusal(tensors), HasSubstr("own: expected Float, found ComplexFloat, which it cannot hold"));
}

TEST(LoadInto, TakesModulesWithoutTensors) {
  struct Empty : torch::nn::Module {
  } empty;
  EXPECT_TRUE(load_into(empty, {}, "F").empty());
  EXPECT_TRUE(distinct_tensors(empty).empty());
  EXPECT_THAT(error_of([&] { load_into(empty, {{"x", at::ones({1})}}, "F"); }), HasSubstr("unexpected (1):"));
}

}  // namespace
}  // namespace perceive::io
