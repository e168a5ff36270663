// Tensors through PyTorch's checkpoints, and through several files with an index.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <torch/nn/modules/linear.h>

#include "perceive/io/files.h"
#include "perceive/io/names.h"
#include "perceive/io/tensors.h"
#include "tests/io/archive.h"

namespace perceive::io {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

const std::filesystem::path kGolden = PERCEIVE_ROOT "/tests/golden/pt";

at::Tensor counted(at::ScalarType type, at::IntArrayRef shape) {
  const auto numbers = at::arange(1, 1 + c10::multiply_integers(shape), at::kFloat).reshape(shape);
  return type == at::kBool ? numbers.remainder(2) == 1 : numbers.to(type);
}
bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(), a.nbytes()) == 0;
}
std::string load_refusal(const std::filesystem::path& file) {
  return error_of([&] { load_tensors(file); });
}

TEST(PtTensors, AreThoseOfPythonInEveryDtype) {
  const auto tensors = load_tensors(kGolden / "dtypes.pt");
  EXPECT_EQ(tensors.size(), 17);
  for (const auto& [name, tensor] : tensors) {
    EXPECT_TRUE(same(tensor, counted(tensor.scalar_type(), {2, 3}))) << name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 16, 0);
  }
  EXPECT_EQ(tensors.at("bfloat16").scalar_type(), at::kBFloat16);
  EXPECT_EQ(tensors.at("float8_e5m2").scalar_type(), at::kFloat8_e5m2);
}

TEST(PtTensors, KeepViewsAndTies) {
  const auto tensors = load_tensors(kGolden / "views.pt");
  const auto base = counted(at::kFloat, {3, 4});
  EXPECT_TRUE(at::equal(tensors.at("base"), base));
  EXPECT_TRUE(at::equal(tensors.at("transposed"), base.t()));
  EXPECT_TRUE(at::equal(tensors.at("row"), base[1]));
  EXPECT_TRUE(at::equal(tensors.at("columns"), base.slice(1, 1, 4, 2)));
  EXPECT_TRUE(at::equal(tensors.at("expanded"), at::full({2, 5}, 2.0f)));
  EXPECT_EQ(tensors.at("empty").sizes(), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(tensors.at("scalar").item<float>(), 7);
  EXPECT_TRUE(tensors.at("tied").is_alias_of(tensors.at("base")));
  EXPECT_FALSE(tensors.at("scalar").is_alias_of(tensors.at("base")));
}

TEST(PtTensors, ComeWithTheValuesBesideThem) {
  Metadata metadata;
  const auto tensors = load_tensors(kGolden / "lightning.ckpt", &metadata);
  EXPECT_TRUE(at::equal(tensors.at("model.weight"), counted(at::kFloat, {2, 3})));
  EXPECT_EQ(metadata.at("epoch"), "3");
  EXPECT_EQ(metadata.at("pytorch-lightning_version"), "2.5.0");
  EXPECT_THAT(metadata.at("hyper_parameters"), HasSubstr(R"("lr":0.25)"));
}

TEST(PtTensors, FillAModuleByName) {
  torch::nn::Linear layer(3, 2);
  EXPECT_TRUE(load_into(*layer, load_tensors(kGolden / "linear_protocol2.pt"), "f").empty());
  EXPECT_TRUE(at::equal(layer->weight, counted(at::kFloat, {2, 3})));
  EXPECT_TRUE(at::equal(layer->bias, counted(at::kFloat, {2})));
  EXPECT_THAT(error_of([&] { load_into(*layer, load_tensors(kGolden / "lightning.ckpt"), "f"); }),
              AllOf(HasSubstr("missing (2):\n    weight"), HasSubstr("unexpected (2):\n    model.bias")));
}

TEST(PtTensors, KeepEveryBitStrideAndTieWhenSavedAndLoaded) {
  const TemporaryFolder folder;
  const auto base = at::randn({4, 6});
  Tensors tensors{{"base", base},
                  {"tied", base},
                  {"transposed", base.t()},
                  {"part", base.slice(1, 1, 6, 2)},
                  {"expanded", base.select(0, 1).expand({5, 6})},
                  {"conjugated", at::randn({3}, at::kComplexFloat).conj()},
                  {"as bytes", base.view(at::kByte)},
                  {"empty", at::empty({0, 3})},
                  {"bool", at::rand({7}) > 0.5},
                  {"scalar", at::scalar_tensor(-0.0, at::kDouble)},
                  {"gradient", at::ones({2}).set_requires_grad(true)}};
  for (const auto type : {at::kUInt16, at::kComplexDouble, at::kComplexHalf, at::kBFloat16, at::kFloat8_e8m0fnu}) {
    const auto bytes = at::randint(256, {3, 5, static_cast<int64_t>(c10::elementSize(type))}, at::kByte);
    tensors[c10::toString(type)] = bytes.view(type).squeeze(-1);
  }
  for (const char* ending : {"t.pt", "t.pth", "t.bin", "t.ckpt"}) {
    save_tensors(folder / ending, tensors, {{"epoch", "3"}});
    Metadata metadata;
    const auto loaded = load_tensors(folder / ending, &metadata);
    ASSERT_EQ(loaded.size(), tensors.size());
    for (const auto& [name, tensor] : tensors) {
      EXPECT_TRUE(same(loaded.at(name), tensor.resolve_conj())) << name;
      EXPECT_FALSE(loaded.at(name).requires_grad());
    }
    EXPECT_EQ(loaded.at("transposed").strides(), base.t().strides());
    EXPECT_TRUE(loaded.at("tied").is_alias_of(loaded.at("base")));
    EXPECT_EQ(metadata, (Metadata{{"epoch", "3"}}));
  }
  EXPECT_LT(std::filesystem::file_size(folder / "t.pt"), 8000) << "shared storages are written once";
}

TEST(PtTensors, AreOpenedByTorchLoad) {
  const TemporaryFolder folder;
  const auto base = counted(at::kFloat, {3, 4});
  Tensors tensors = load_tensors(kGolden / "dtypes.pt");
  tensors.merge(Tensors{{"base", base},
                        {"tied", base},
                        {"transposed", base.t()},
                        {"part", base.slice(1, 1, 4, 2)},
                        {"empty", at::empty({0, 3})},
                        {"scalar", at::scalar_tensor(7)}});
  save_tensors(folder / "t.pt", tensors, {{"epoch", "3"}});
  const std::string command =
      fmt::format("'{}' '{}/tests/io/pt_check.py' '{}'", PERCEIVE_PYTHON, PERCEIVE_ROOT, (folder / "t.pt").string());
  const int status = std::system(command.c_str());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "see what Python says above";
  EXPECT_EQ(status, 0) << command;
}

TEST(PtTensors, ThatCannotBeSavedAreRefusedByName) {
  const TemporaryFolder folder;
  const auto refusal = [&](const at::Tensor& tensor) {
    return error_of([&] { save_tensors(folder / "t.pt", {{"fine", at::ones({1})}, {"x", tensor}}); });
  };
  EXPECT_THAT(refusal({}), HasSubstr("cannot save tensor \"x\": it is undefined"));
  EXPECT_THAT(refusal(at::eye(2).to_sparse()), HasSubstr("only dense tensors"));
  EXPECT_THAT(refusal(at::ones({1}, at::kMeta)), HasSubstr("it is on the meta device"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(PtTensors, OfBoolsHoldOnlyZerosAndOnes) {
  const TemporaryFolder folder;
  save_tensors(folder / "t.pt", {{"x", at::tensor({1, 0, 2}, at::kByte)}});
  put(folder / "u.pt", replaced(read_file(folder / "t.pt"), "ByteStorage", "BoolStorage"));
  EXPECT_THAT(load_refusal(folder / "u.pt"), HasSubstr("entry 'archive/data.pkl' is damaged"));
  const std::string program =
      "\x80\x02"
      "ctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\nBoolStorage\nU\1"
      "0NK\3tQK\0K\3\x85K\1\x85\x89NtR."s;
  put(folder / "u.pt", zip_of({{"a/data.pkl", program}, {"a/data/0", "\1\0\2"s}}));
  EXPECT_THAT(load_refusal(folder / "u.pt"), HasSubstr("element 2 of a BOOL tensor must be 0 or 1; found 2"));
}

TEST(PtTensors, InATruncatedFileAreAnErrorAtEveryLength) {
  const TemporaryFolder folder;
  save_tensors(folder / "t.pt", {{"a", at::ones({3})}, {"b", at::ones({2}, at::kShort)}});
  const std::string bytes = read_file(folder / "t.pt");
  for (size_t size = 0; size < bytes.size(); ++size) {
    put(folder / "t.pt", bytes.substr(0, size));
    EXPECT_THAT(load_refusal(folder / "t.pt"), HasSubstr((folder / "t.pt").string() + ": ")) << size;
  }
}

// Two shards, and an index of them with these pairs of tensor and file.
std::filesystem::path indexed(const TemporaryFolder& folder, const std::string& pairs) {
  save_tensors(folder / "1.safetensors", {{"a", at::ones({1})}, {"b", at::ones({2})}});
  save_tensors(folder / "2.bin", {{"c", at::ones({3})}});
  put(folder / "m.index.json", R"({"metadata":{"total_size":24,"by":"x"},"weight_map":{)" + pairs + "}}");
  return folder / "m.index.json";
}

TEST(ShardedTensors, AreReadFromAllFilesOfTheIndex) {
  const TemporaryFolder folder;
  Metadata metadata;
  const auto tensors =
      load_tensors(indexed(folder, R"("a":"1.safetensors","c":"2.bin","b":"1.safetensors")"), &metadata);
  ASSERT_EQ(tensors.size(), 3);
  EXPECT_EQ(tensors.at("c").numel(), 3);
  EXPECT_EQ(metadata, (Metadata{{"total_size", "24"}, {"by", "x"}}));
}

TEST(ShardedTensors, AreRefusedWhereIndexAndFilesDisagree) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& pairs) { return load_refusal(indexed(folder, pairs)); };
  const std::string both = R"("a":"1.safetensors","b":"1.safetensors",)";
  EXPECT_THAT(refusal(both + R"("c":"2.bin","d":"3.bin","e":"4.bin")"),
              HasSubstr(R"(2 of its 4 files are missing beside it: "3.bin", "4.bin")"));
  EXPECT_THAT(refusal(both + R"("c":"2.bin","d":"2.bin")"), HasSubstr(R"(2.bin does not hold "d")"));
  EXPECT_THAT(refusal(R"("a":"1.safetensors")"), HasSubstr(R"(elsewhere or not at all: "b")"));
  EXPECT_THAT(refusal(both + R"("a":"2.bin")"), HasSubstr("the key 'a' stands twice"));
  for (const char* path : {"../1.safetensors", "/etc/passwd", "x/1.safetensors", "..", ".", "", "..\\\\1"}) {
    EXPECT_THAT(refusal(R"("a":")" + std::string(path) + "\""),
                HasSubstr("expected the name of a file beside the index"));
  }
  EXPECT_THAT(refusal(R"("a":1)"), HasSubstr("expected the name of a file, a string"));
  EXPECT_THAT(refusal(""), HasSubstr("its \"weight_map\" is empty"));
  put(folder / "m.index.json", "[]");
  EXPECT_THAT(load_refusal(folder / "m.index.json"), HasSubstr("not an index of tensors"));
}

}  // namespace
}  // namespace perceive::io
