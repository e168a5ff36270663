// Tensors through safetensors files.
#include "perceive/io/tensors.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "perceive/io/files.h"
#include "tests/io/temporary_folder.h"

namespace perceive::io {
namespace {

using testing::HasSubstr;

bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(), a.nbytes()) == 0;
}

std::string file_of(const std::string& json, const std::string& data) {
  const uint64_t bytes = json.size();
  return std::string(reinterpret_cast<const char*>(&bytes), 8) + json + data;
}

TEST(Tensors, KeepEveryBitOfEveryDtype) {
  const TemporaryFolder folder;
  Tensors tensors;
  for (const auto type : {at::kByte, at::kChar, at::kShort, at::kInt, at::kLong, at::kUInt16, at::kUInt32, at::kUInt64,
                          at::kHalf, at::kBFloat16, at::kFloat, at::kDouble, at::kComplexFloat, at::kFloat8_e5m2,
                          at::kFloat8_e4m3fn, at::kFloat8_e5m2fnuz, at::kFloat8_e4m3fnuz, at::kFloat8_e8m0fnu}) {
    const auto bytes = at::randint(256, {3, 5, static_cast<int64_t>(c10::elementSize(type))}, at::kByte);
    tensors[c10::toString(type)] = bytes.view(type).squeeze(-1);
  }
  tensors["bool"] = at::rand({7}) > 0.5;
  tensors["scalar"] = at::scalar_tensor(-0.0);
  tensors["empty"] = at::empty({0, 3});
  tensors["not finite"] = at::tensor({NAN, INFINITY, -INFINITY});
  save_tensors(folder / "t", tensors, {{"about", "every dtype"}});
  Metadata metadata;
  const auto loaded = load_tensors(folder / "t", &metadata);
  ASSERT_EQ(loaded.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) EXPECT_TRUE(same(loaded.at(name), tensor)) << name;
  EXPECT_EQ(metadata, (Metadata{{"about", "every dtype"}}));
}

TEST(Tensors, OfAnyStridesAreWrittenInTheirLogicalOrder) {
  const TemporaryFolder folder;
  const auto base = at::arange(24, at::kFloat).view({4, 6}).set_requires_grad(true);
  const auto complex = at::rand({3}, at::kComplexFloat);
  const Tensors tensors{{"transposed", base.t()},
                        {"expanded", base.select(0, 1).expand({5, 6})},
                        {"sliced", base.slice(1, 1, 6, 2)},
                        {"conjugated", complex.conj()},
                        {"negated", at::_neg_view(base)}};
  save_tensors(folder / "t", tensors);
  for (const auto& [name, tensor] : load_tensors(folder / "t")) {
    EXPECT_TRUE(at::equal(tensor, tensors.at(name).resolve_conj().resolve_neg())) << name;
    EXPECT_TRUE(tensor.is_contiguous()) << name;
    EXPECT_FALSE(tensor.requires_grad()) << name;
  }
}

TEST(Tensors, AreReadFromFilesThatDoNotAlignThem) {
  const TemporaryFolder folder;
  const float values[] = {1.5f, -2.0f};
  std::string data = "\x07";
  data.append(reinterpret_cast<const char*>(values), 8);
  put(folder / "t",
      file_of(
          R"({"u":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})",
          data));
  const auto loaded = load_tensors(folder / "t");
  EXPECT_TRUE(at::equal(loaded.at("f"), at::tensor({1.5f, -2.0f})));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(loaded.at("f").const_data_ptr()) % alignof(double), 0);
}

TEST(Tensors, HaveAnyNames) {
  const TemporaryFolder folder;
  const std::string names[] = {"", "a/b", std::string("a\0b", 3), "\"\\\n", "ü", std::string(1'000'000, 'n')};
  Tensors tensors;
  for (const auto& name : names) tensors[name] = at::ones({1});
  save_tensors(folder / "t", tensors);
  const auto loaded = load_tensors(folder / "t");
  for (const auto& name : names) EXPECT_TRUE(loaded.contains(name));
}

TEST(Tensors, ThatCannotBeSavedAreRefusedByName) {
  const TemporaryFolder folder;
  const auto refusal = [&](const at::Tensor& tensor) {
    return error_of([&] { save_tensors(folder / "t", {{"fine", at::ones({1})}, {"x", tensor}}); });
  };
  EXPECT_THAT(refusal(at::zeros({1}, at::kComplexDouble)),
              HasSubstr("cannot save tensor \"x\": safetensors has no dtype for ComplexDouble"));
  EXPECT_THAT(refusal({}), HasSubstr("cannot save tensor \"x\": it is undefined"));
  EXPECT_THAT(refusal(at::eye(2).to_sparse()), HasSubstr("only dense tensors"));
  EXPECT_THAT(refusal(at::ones({1}, at::kMeta)), HasSubstr("it is on the meta device"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Tensors, OfDtypesThatTorchLacksAreRefusedByName) {
  const TemporaryFolder folder;
  for (const std::string dtype : {"F4", "F6_E2M3", "F6_E3M2"}) {
    const std::string bytes = dtype == "F4" ? "4" : "6";
    put(folder / "t", file_of(R"({"x":{"dtype":")" + dtype + R"(","shape":[8],"data_offsets":[0,)" + bytes + "]}}",
                              std::string(std::stoul(bytes), '\1')));
    EXPECT_THAT(error_of([&] { load_tensors(folder / "t"); }),
                HasSubstr("tensor \"x\" has the dtype " + dtype + ", which libtorch cannot compute with"));
  }
}

TEST(Tensors, OfBoolsHoldOnlyZerosAndOnes) {
  const TemporaryFolder folder;
  put(folder / "t", file_of(R"({"x":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})", std::string("\1\0\2", 3)));
  EXPECT_THAT(error_of([&] { load_tensors(folder / "t"); }),
              HasSubstr("tensor \"x\": element 2 of a BOOL tensor must be 0 or 1; found 2"));
}

TEST(Tensors, InATruncatedFileAreAnErrorAtEveryLength) {
  const TemporaryFolder folder;
  save_tensors(folder / "t", {{"a", at::ones({3})}, {"b", at::ones({2}, at::kShort)}});
  const std::string bytes = read_file(folder / "t");
  for (size_t size = 0; size < bytes.size(); ++size) {
    put(folder / "t", bytes.substr(0, size));
    EXPECT_THAT(error_of([&] { load_tensors(folder / "t"); }), HasSubstr((folder / "t").string() + ": ")) << size;
  }
}

TEST(Tensors, KeepTheOldFileWhichEverSystemCallFails) {
  const TemporaryFolder folder;
  save_tensors(folder / "t", {{"a", at::zeros({3})}});
  for (int n = 0;; ++n) {
    const FaultAtCall fault(n, ENOSPC);
    const bool failed = error_of([&] { save_tensors(folder / "t", {{"a", at::ones({3})}}); }) != "(no error)";
    if (!fault.happened()) break;
    EXPECT_TRUE(failed);
    const auto sum = load_tensors(folder / "t").at("a").sum().item<double>();
    EXPECT_THAT(sum, testing::AnyOf(0.0, 3.0));
  }
}

}  // namespace
}  // namespace perceive::io
