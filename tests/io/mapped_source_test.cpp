// Files as inputs: the numbers of the file, memory that stays flat, and what is refused.
#include "perceive/io/mapped_source.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <torch/autograd.h>

#include <fstream>

#include "perceive/io/tensors.h"
#include "perceive/ops/attend.h"
#include "perceive/ops/read_ahead.h"
#include "tests/io/temporary_folder.h"
#include "tests/peak_memory.h"

namespace perceive::io {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string npy_start(const std::string& descr, const std::string& shape, size_t pad = 0) {
  const std::string header =
      "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }" + std::string(pad, ' ') + "\n";
  return "\x93NUMPY" + std::string{1, 0, static_cast<char>(header.size()), 0} + header;
}
std::string bytes_of(const at::Tensor& tensor) {
  const auto whole = tensor.contiguous();
  return {static_cast<const char*>(whole.const_data_ptr()), whole.nbytes()};
}
// With the numbers at an offset that is `misplaced` bytes from one of 64.
std::string npy(const std::string& descr, const std::string& shape, const at::Tensor& tensor, size_t misplaced = 0) {
  size_t pad = 0;
  while (npy_start(descr, shape, pad).size() % 64 != misplaced) ++pad;
  return npy_start(descr, shape, pad) + bytes_of(tensor);
}

at::Tensor numbers(at::IntArrayRef shape) {
  return at::arange(c10::multiply_integers(shape), at::kFloat).mul(0.37).sin().view(shape);
}

at::Tensor whole(ops::Source source, int64_t chunk) {
  source.chunk = chunk;
  std::vector<at::Tensor> chunks;
  ops::for_chunks(source, [&](const at::Tensor& values, int64_t) { chunks.push_back(values.clone()); });
  return at::cat(chunks, 1);
}

TEST(MappedSource, GivesTheNumbersOfANpyFile) {
  const TemporaryFolder folder;
  const auto values = numbers({5000, 3});
  const std::vector<std::pair<std::string, at::ScalarType>> types{
      {"<f2", at::kHalf}, {"<f4", at::kFloat}, {"<f8", at::kDouble}};
  for (const auto& [descr, type] : types) {
    for (const size_t misplaced : {0, 3}) {
      put(folder / "a.npy", npy(descr, "(5000, 3)", values.to(type), misplaced));
      const auto source = mapped_source(folder / "a.npy");
      EXPECT_EQ(source.batch_size(), 1);
      EXPECT_EQ(source.keys(), 5000);
      EXPECT_EQ(source.width(), 3);
      for (const int64_t chunk : {1699, 5000, 9000}) {
        EXPECT_TRUE(at::equal(whole(source, chunk), values.to(type).unsqueeze(0))) << descr << " " << misplaced;
      }
    }
  }
}

TEST(MappedSource, GivesABatchAChunkAtATime) {
  const TemporaryFolder folder;
  const auto values = numbers({3, 2000, 4});
  put(folder / "a.npy", npy("<f4", "(3, 2000, 4)", values));
  put(folder / "b.npy", npy("<f4", "(3, 2000, 4)", values, 2));
  for (const char* name : {"a.npy", "b.npy"}) EXPECT_TRUE(at::equal(whole(mapped_source(folder / name), 700), values));
}

TEST(MappedSource, GivesATensorOfASafetensorsFile) {
  const TemporaryFolder folder;
  const auto values = numbers({2, 300, 5});
  for (const auto type : {at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    save_tensors(folder / "a.safetensors", {{"x", values.to(type)}, {"n", at::arange(3)}});
    EXPECT_TRUE(at::equal(whole(mapped_source(folder / "a.safetensors", {.tensor = "x"}), 90), values.to(type)));
  }
  save_tensors(folder / "one.safetensors", {{"only", values}});
  EXPECT_TRUE(at::equal(whole(mapped_source(folder / "one.safetensors"), 90), values));
}

TEST(MappedSource, CopiesWhatIsNotAligned) {
  const TemporaryFolder folder;
  const auto values = numbers({1, 40, 5});
  std::string header = R"({"x":{"dtype":"F32","shape":[40,5],"data_offsets":[0,800]}})";
  while (header.size() % 4 != 1) header += ' ';
  put(folder / "a.safetensors",
      std::string{static_cast<char>(header.size()), 0, 0, 0, 0, 0, 0, 0} + header + bytes_of(values));
  EXPECT_TRUE(at::equal(whole(mapped_source(folder / "a.safetensors"), 7), values));
}

TEST(MappedSource, MapsWhatIsAligned) {
  const TemporaryFolder folder;
  put(folder / "a.npy", npy("<f4", "(4096, 4)", numbers({4096, 4})));
  const auto chunk = mapped_source(folder / "a.npy").read(1024, 512);
  std::ifstream maps("/proc/self/maps");
  const std::string all(std::istreambuf_iterator<char>(maps), {});
  EXPECT_THAT(all, HasSubstr("/a.npy"));
  EXPECT_TRUE(at::equal(chunk, numbers({1, 4096, 4}).narrow(1, 1024, 512)));
}

TEST(MappedSource, ServesBothPassesOfTheOperator) {
  const TemporaryFolder folder;
  at::manual_seed(2);
  const auto values = numbers({2, 900, 3});
  put(folder / "a.npy", npy("<f4", "(2, 900, 3)", values));
  const ops::Projection projection{.key_weight = at::randn({8, 5}).requires_grad_(),
                                   .value_weight = at::randn({8, 5}).requires_grad_(),
                                   .normalize = true};
  const ops::Positions positions{.axes = {at::randn({30, 1}), at::randn({30, 1})}};
  const auto mask = at::rand({2, 900}) > 0.3;
  const auto q = at::randn({2, 2, 4, 4});
  auto two_heads = projection;
  two_heads.heads = 2;
  std::vector<std::vector<at::Tensor>> results;
  for (const auto& source : {ops::Source::of(values, positions, mask),
                             mapped_source(folder / "a.npy", {.positions = positions, .mask = mask, .chunk = 128})}) {
    const auto attended = ops::attend_source(q, source, two_heads);
    auto all = torch::autograd::grad({attended.out.sin().sum()}, {projection.key_weight, projection.value_weight});
    all.push_back(attended.out.detach());
    results.push_back(all);
  }
  for (size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(at::allclose(results[0][i], results[1][i], 1e-4, 1e-5)) << i;
  }
}

TEST(MappedSource, HoldsAFewChunksInMemory) {
  const TemporaryFolder folder;
  constexpr int64_t kKeys = int64_t{1} << 21, kBatch = 2, kChannels = 64;
  const std::string start = npy_start("<f4", "(2, 2097152, 64)");
  put(folder / "a.npy", start);
  std::filesystem::resize_file(folder / "a.npy", start.size() + 4 * kBatch * kKeys * kChannels);  // 1 GiB, all holes
  // Misplaced numbers would be copied: this is about those that are mapped.
  ASSERT_EQ(start.size() % 4, 0u) << start.size();
  const auto source = mapped_source(folder / "a.npy");
  double sum = 0;
  int64_t keys = 0;
  const double growth = peak_growth([&] {
    ops::for_chunks(source, [&](const at::Tensor& values, int64_t) {
      for (int64_t b = 0; b < kBatch; ++b) sum += values[b].sum().item<double>();
      keys += values.size(1);
    });
  });
  EXPECT_EQ(keys, kKeys);
  EXPECT_EQ(sum, 0);
  EXPECT_LT(growth, 64e6);
}

TEST(MappedSource, TakesAnArrayWithoutKeys) {
  const TemporaryFolder folder;
  put(folder / "a.npy", npy("<f4", "(0, 3)", at::empty({0})));
  const auto source = mapped_source(folder / "a.npy");
  EXPECT_EQ(source.keys(), 0);
  ops::for_chunks(source, [](const at::Tensor&, int64_t) { FAIL(); });
}

TEST(MappedSource, NoticesAFileThatWasCut) {
  const TemporaryFolder folder;
  put(folder / "a.npy", npy("<f4", "(100000, 4)", numbers({100000, 4})));
  const auto source = mapped_source(folder / "a.npy", {.chunk = 10000});
  std::filesystem::resize_file(folder / "a.npy", 5000);
  EXPECT_THAT(error_of([&] { source.read(50000, 10000); }), HasSubstr("the file was cut meanwhile"));
}

TEST(MappedSource, RefusesWhatItCannotMap) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& name, const std::string& bytes, const std::string& tensor = "") {
    put(folder / name, bytes);
    return error_of([&] { mapped_source(folder / name, {.tensor = tensor}); });
  };
  EXPECT_THAT(error_of([&] { mapped_source(folder / "none.npy"); }), AllOf(HasSubstr("none.npy"), HasSubstr("open")));
  EXPECT_THAT(refused("a.bin", "x"), HasSubstr("a.bin: expected a name that ends in .npy or .safetensors"));
  EXPECT_THAT(refused("a.npy", "x"), HasSubstr("a.npy: not an .npy file"));
  EXPECT_THAT(refused("a.safetensors", "x"), HasSubstr("not a safetensors file"));
  EXPECT_THAT(refused("a.npy", npy("<f4", "(3, 4)", numbers({11}))), HasSubstr("truncated"));
  EXPECT_THAT(refused("a.npy", npy("<f4", "(12,)", numbers({12}))),
              HasSubstr("expected an array [M, C] or [B, M, C]; found [12]"));
  EXPECT_THAT(refused("a.npy", npy("<f4", "(1, 2, 2, 3)", numbers({12}))), HasSubstr("found [1, 2, 2, 3]"));
  save_tensors(folder / "a.safetensors", {{"x", numbers({3, 4})}, {"n", at::arange(6).view({2, 3})}});
  const auto of = [&](const std::string& tensor) {
    return error_of([&] { mapped_source(folder / "a.safetensors", {.tensor = tensor}); });
  };
  EXPECT_THAT(of(""), HasSubstr("holds 2 tensors; name the one to read"));
  EXPECT_THAT(of("y"), HasSubstr("expected a tensor \"y\"; found 2 others"));
  EXPECT_THAT(of("n"), HasSubstr("tensor \"n\": expected the dtype F16, BF16, F32 or F64; found I64"));
  EXPECT_THAT(error_of([&] { mapped_source(folder / "a.safetensors", {.tensor = "x", .chunk = -1}); }),
              HasSubstr("chunk must not be negative; got -1"));
}

}  // namespace
}  // namespace perceive::io
