// Checkpoints of PyTorch: those of Python, by every tensor in them, and hostile ones, by their messages.
#include "perceive/io/formats/pt.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "perceive/io/formats/pt_writer.h"
#include "tests/io/archive.h"

namespace perceive::io::pt {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

// A line for each tensor.
std::vector<std::string> lines(const Checkpoint& checkpoint) {
  std::vector<std::string> result;
  for (const auto& tensor : checkpoint.tensors()) {
    result.push_back(fmt::format("{} {} [{}] [{}] +{} #{}", tensor.name, info(tensor.dtype).name,
                                 fmt::join(tensor.shape, ","), fmt::join(tensor.strides, ","), tensor.offset,
                                 tensor.storage));
  }
  return result;
}
std::vector<std::string> lines(const std::string& bytes) {
  return lines(Checkpoint(bytes_of(bytes, "f")));
}
std::string refusal(const std::string& bytes) {
  return error_of([&] {
    const Checkpoint checkpoint(bytes_of(bytes, "f"));
    for (size_t i = 0; i < checkpoint.storages(); ++i) {
      std::string content(checkpoint.storage_bytes(i), '\0');
      checkpoint.read_storage(i, content.data());
    }
  });
}

TEST(Pt, ReadsWhatTorchWritesInEveryProtocol) {
  for (const char* name :
       {"linear_protocol2.pt", "linear_protocol3.pt", "linear_protocol4.pt", "linear_protocol5.pt", "deflated.pt"}) {
    const std::string bytes = golden_pt(name);
    const Checkpoint checkpoint(bytes_of(bytes, name));
    EXPECT_THAT(lines(checkpoint), ElementsAre("weight float32 [2,3] [3,1] +0 #0", "bias float32 [2] [1] +0 #1"))
        << name;
    EXPECT_EQ(checkpoint.values(), json::object());
    std::vector<float> weight(6);
    ASSERT_EQ(checkpoint.storage_bytes(0), 24);
    checkpoint.read_storage(0, weight.data());
    EXPECT_THAT(weight, ElementsAre(1, 2, 3, 4, 5, 6));
  }
}

TEST(Pt, KnowsEveryDtype) {
  const std::string bytes = golden_pt("dtypes.pt");
  const Checkpoint checkpoint(bytes_of(bytes, "f"));
  EXPECT_EQ(checkpoint.tensors().size(), 17);
  for (const auto& tensor : checkpoint.tensors()) {
    EXPECT_EQ(tensor.name, info(tensor.dtype).name);
    EXPECT_EQ(checkpoint.storage_bytes(tensor.storage), 6 * info(tensor.dtype).bytes);
  }
}

TEST(Pt, KeepsViewsAndTies) {
  EXPECT_THAT(
      lines(golden_pt("views.pt")),
      ElementsAre("base float32 [3,4] [4,1] +0 #0", "transposed float32 [4,3] [1,4] +0 #0", "row float32 [4] [1] +4 #0",
                  "columns float32 [3,2] [4,2] +1 #0", "expanded float32 [2,5] [0,0] +1 #1",
                  "empty float32 [0,3] [3,1] +0 #2", "scalar float32 [] [] +0 #3", "tied float32 [3,4] [4,1] +0 #0"));
}

TEST(Pt, FlattensWhatIsNested) {
  const std::string bytes = golden_pt("parameters.pt");
  const Checkpoint checkpoint(bytes_of(bytes, "f"));
  EXPECT_THAT(lines(checkpoint), ElementsAre("plain float32 [3] [1] +0 #0", "marked float32 [2] [1] +0 #1",
                                             "inner.weight int64 [2] [1] +0 #2", "inner.list.0 int64 [1] [1] +0 #3"));
  EXPECT_EQ(checkpoint.values(), json::parse(R"({"inner":{"list":[null,5]}})"));
  EXPECT_THAT(lines(golden_pt("tensor.pt")), ElementsAre(" float32 [2] [1] +0 #0"));
}

TEST(Pt, FindsTheStateDictOfLightningAmongClassesItDoesNotKnow) {
  const std::string bytes = golden_pt("lightning.ckpt");
  const Checkpoint checkpoint(bytes_of(bytes, "f"));
  EXPECT_THAT(lines(checkpoint),
              ElementsAre("model.weight float32 [2,3] [3,1] +0 #0", "model.bias float32 [2] [1] +0 #1"));
  const json& values = checkpoint.values();
  EXPECT_EQ(values["epoch"], 3);
  EXPECT_EQ(values["global_step"], int64_t{1} << 40);
  EXPECT_FALSE(values.contains("state_dict"));
  EXPECT_EQ(values["callbacks"]["Best"]["callback"], "<__main__.Callback>");
  EXPECT_EQ(values["lr_schedulers"], json::parse(R"([{"last_lr":[0.001],"milestones":{"3":1,"4":1}}])"));
  EXPECT_EQ(values["hyper_parameters"], json::parse(R"({"__class__":"<__main__.AttributeDict>",
      "args":"<argparse.Namespace>","device":["cpu"],"dtype":"torch.bfloat16","flag":true,"lr":0.25,"names":["a"],
      "none":null,"sizes":[2,3]})"));
}

TEST(Pt, RefusesWhatIsNoneOfItsKindWithAdvice) {
  const std::string advice = "save its state_dict() by torch.save of version 1.6 or later";
  EXPECT_THAT(refusal(golden_pt("legacy.pt")), AllOf(HasSubstr("PyTorch before 1.6"), HasSubstr(advice)));
  EXPECT_THAT(refusal(std::string(257, '\0') + "ustar" + std::string(300, '\0')), HasSubstr("PyTorch before 1.6"));
  EXPECT_THAT(refusal("\x80\x02N."), AllOf(HasSubstr("a bare pickle"), HasSubstr(advice)));
  EXPECT_THAT(refusal("hello"), HasSubstr("not a checkpoint of PyTorch: it is no zip archive"));
  EXPECT_THAT(refusal(golden_pt("script.pt")), AllOf(HasSubstr("a TorchScript archive"), HasSubstr(advice)));
  EXPECT_THAT(refusal(golden_pt("big_endian.pt")), HasSubstr("'big' byte order"));
  EXPECT_THAT(refusal(zip_of({{"a/b", ""}})), HasSubstr("not of torch.save: no <folder>/data.pkl among its 1 entries"));
  EXPECT_THAT(refusal(zip_of({{"a/data.pkl", ""}, {"b/data.pkl", ""}})), HasSubstr("data.pkl in two folders"));
}

TEST(Pt, RunsNothingAndNamesWhatItWouldTake) {
  EXPECT_THAT(refusal(golden_pt("unknown_class.pt")),
              HasSubstr("'extra' needs 'argparse.Namespace', which is not run"));
  EXPECT_THAT(refusal(golden_pt("sparse.pt")), HasSubstr("'weight' needs 'torch._utils._rebuild_sparse_tensor'"));
  EXPECT_THAT(refusal(golden_pt("module.pt")), HasSubstr("what it holds needs 'torch.nn.modules.linear.Linear'"));
  EXPECT_THAT(refusal(golden_pt("conjugated.pt")), HasSubstr("save tensor.resolve_conj()"));
  const std::string proof = testing::TempDir() + "perceive_pt_test_proof";
  const std::string command = "touch " + proof;
  const std::string program =
      "\x80\x02"
      "cos\nsystem\nU" +
      std::string(1, static_cast<char>(command.size())) + command + "\x85R.";
  EXPECT_THAT(refusal(zip_of({{"a/data.pkl", program}})),
              HasSubstr("what it holds needs 'os.system', which is not run"));
  EXPECT_FALSE(std::filesystem::exists(proof));
}

// The opcodes of pickles.
std::string text(const std::string& value) {
  const auto size = static_cast<uint32_t>(value.size());
  return "X" + std::string(reinterpret_cast<const char*>(&size), 4) + value;
}
std::string number(int64_t value) {
  return "\x8a\x08" + std::string(reinterpret_cast<const char*>(&value), 8);
}
std::string tuple(const std::vector<int64_t>& values) {
  std::string result = "(";
  for (const int64_t value : values) result += number(value);
  return result + "t";
}
struct TensorText {
  std::string storage = "ctorch\nFloatStorage\n", key = "0";
  int64_t elements = 4, offset = 0;
  std::vector<int64_t> shape{2, 2}, strides{2, 1};
  std::string end;  // more arguments

  std::string program() const {
    return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + storage + text(key) + text("cpu") +
           number(elements) + "tQ" + number(offset) + tuple(shape) + tuple(strides) + "\x89N" + end + "tR";
  }
};
// A file with this value, and a storage of 16 bytes.
std::string file_of(const std::string& value) {
  return zip_of({{"a/data.pkl", "\x80\x02" + value + "."}, {"a/data/0", std::string(16, 'x')}});
}
std::string refusal_of(const TensorText& tensor) {
  return refusal(file_of("}" + text("w") + tensor.program() + "s"));
}

TEST(Pt, RefusesStoragesThatAreNotWhatIsSaid) {
  EXPECT_EQ(refusal_of({}), "(no error)");
  EXPECT_THAT(refusal_of({.key = "1"}), HasSubstr("f: tensor 'w', byte "));
  EXPECT_THAT(refusal_of({.key = "1"}), HasSubstr("the archive has no record '1' in data/ for its storage"));
  EXPECT_THAT(refusal_of({.key = "../data.pkl"}), HasSubstr("the archive has no record"));
  for (const int64_t elements : {int64_t{-1}, int64_t{0}, int64_t{3}, int64_t{5}, kMost, int64_t{1} << 62}) {
    EXPECT_THAT(refusal_of({.elements = elements}),
                HasSubstr(fmt::format("said to have {} elements of 4 bytes; its record has 16 bytes", elements)));
  }
  EXPECT_THAT(refusal_of({.storage = "ctorch\nQInt8Storage\n"}), HasSubstr("its storage is 'torch.QInt8Storage'"));
  EXPECT_THAT(refusal_of({.storage = "cos\nsystem\n"}), HasSubstr("its storage is 'os.system', not supported"));
  EXPECT_THAT(refusal_of({.storage = "ctorch\nDoubleStorage\n"}), HasSubstr("4 elements of 8 bytes"));
}

TEST(Pt, RefusesViewsThatLeaveTheirStorage) {
  const auto view = [](std::vector<int64_t> shape, std::vector<int64_t> strides, int64_t offset) {
    return refusal_of({.offset = offset, .shape = std::move(shape), .strides = std::move(strides)});
  };
  EXPECT_EQ(view({2}, {1}, 2), "(no error)");
  EXPECT_EQ(view({}, {}, 3), "(no error)");
  EXPECT_EQ(view({0, 7}, {kMost, 1}, 4), "(no error)");
  EXPECT_EQ(view({int64_t{1} << 60}, {0}, 0), "(no error)") << "one element, seen many times";
  EXPECT_THAT(view({2}, {1}, 3), HasSubstr("shape [2], strides [1], offset 3: it reaches element 4 of a storage of 4"));
  EXPECT_THAT(view({}, {}, 4), HasSubstr("it reaches element 4"));
  EXPECT_THAT(view({0}, {1}, 5), HasSubstr("it reaches element 5"));
  EXPECT_THAT(view({2, 2}, {3, 1}, 0), HasSubstr("it reaches element 4"));
  EXPECT_THAT(view({2}, {1, 1}, 0), HasSubstr("as many strides as sizes"));
  EXPECT_THAT(view({-1}, {1}, 0), HasSubstr("none may be negative"));
  EXPECT_THAT(view({2}, {-1}, 1), HasSubstr("none may be negative"));
  EXPECT_THAT(view({2}, {1}, -1), HasSubstr("none may be negative"));
  EXPECT_THAT(view({kMost}, {1}, 0), HasSubstr("overflows"));
  EXPECT_THAT(view({3}, {kMost}, 0), HasSubstr("overflows"));
  EXPECT_THAT(view({2}, {kMost}, 1), HasSubstr("overflows"));
  EXPECT_THAT(view({1 << 30, 1 << 30, 0}, {0, 0, 0}, 0), HasSubstr("(no error)"));
  EXPECT_THAT(view({int64_t{1} << 32, int64_t{1} << 32, 0}, {0, 0, 0}, 0), HasSubstr("overflows"));
  EXPECT_THAT(view(std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1), 0), HasSubstr("more than 64 axes"));
}

TEST(Pt, RefusesArgumentsOfTheWrongKind) {
  const auto made = [](const std::string& arguments) {
    return refusal(file_of("}" + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + "tRs"));
  };
  EXPECT_THAT(made(""), HasSubstr("expected an argument 0; found 0 arguments"));
  EXPECT_THAT(made("K\1"), HasSubstr("expected argument 0 to be a storage; found an integer"));
  EXPECT_THAT(made("K\1Q"), HasSubstr("expected its storage to be ('storage', class, key, location, elements)"));
  const std::string storage = "(" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + "K\4tQ";
  EXPECT_THAT(made(storage), HasSubstr("expected an argument 2; found 1 arguments"));
  EXPECT_THAT(made(storage + "K\1]"), HasSubstr("expected argument 2 to be a tuple; found a list"));
  EXPECT_THAT(made(storage + "K\1(Nt"), HasSubstr("expected integers as sizes and strides; found None"));
  EXPECT_THAT(made(storage + "N))"), HasSubstr("expected argument 1 to be an integer; found None"));
  EXPECT_THAT(refusal(file_of("ctorch._utils\n_rebuild_parameter\n(K\1tR")),
              HasSubstr("expected a parameter of a dense tensor; found one of an integer"));
  EXPECT_THAT(refusal(file_of(TensorText{}.program() + "NNs")), HasSubstr("items are set in it, as in a dict"));
  // A tensor inside of itself cannot be said; a parameter of a parameter can.
  EXPECT_THAT(refusal(file_of("ctorch._utils\n_rebuild_parameter\nctorch._utils\n_rebuild_parameter\n(NtR\x85R")),
              HasSubstr("found one of 'torch._utils._rebuild_parameter'"));
}

TEST(Pt, RefusesNamesThatAreNone) {
  const std::string tensor = TensorText{}.program();
  EXPECT_THAT(refusal(file_of("}" + text("a.b") + tensor + "s" + text("a") + "}" + text("b") + tensor + "ss")),
              HasSubstr("tensor 'a.b' comes twice"));
  EXPECT_THAT(refusal(file_of("}" + text("w") + tensor + "s" + text("w") + tensor + "s")),
              HasSubstr("tensor 'w' comes twice"));
  EXPECT_THAT(refusal(file_of("}N" + tensor + "s")), HasSubstr("what it holds has a key that is None"));
  EXPECT_THAT(lines(file_of("}K\7" + tensor + "s")), ElementsAre("7 float32 [2,2] [2,1] +0 #0"));
  EXPECT_THAT(refusal(file_of("}")), HasSubstr("f: it holds no tensor"));
  EXPECT_THAT(refusal(file_of("K\1")), HasSubstr("f: it holds no tensor"));
}

TEST(Pt, TakesTheFirstKeyThatHasTensors) {
  const std::string tensor = TensorText{}.program(), state = "}" + text("w") + tensor + "s";
  const std::string unknown = "cos\nsystem\n)R";
  const auto with = [&](const std::string& first, const std::string& second) {
    return file_of("}" + text(first) + state + "s" + text(second) + "}" + text("v") + tensor + "s" + text("x") +
                   unknown + "ss");
  };
  EXPECT_THAT(lines(with("state_dict", "model")), ElementsAre("w float32 [2,2] [2,1] +0 #0"));
  EXPECT_THAT(lines(with("model_state_dict", "ema")), ElementsAre("w float32 [2,2] [2,1] +0 #0"));
  EXPECT_THAT(lines(with("net", "epoch")), ElementsAre("w float32 [2,2] [2,1] +0 #0"));
  EXPECT_THAT(refusal(with("net", "state_dict")), HasSubstr("'x' needs 'os.system'"));
  EXPECT_THAT(refusal(with("weights", "ema")), HasSubstr("'ema.x' needs 'os.system'"));
  // `model` without a tensor, such as its options, is not it.
  EXPECT_THAT(lines(file_of("}" + text("model") + "}" + text("depth") + "K\2ss" + text("w") + tensor + "s")),
              ElementsAre("w float32 [2,2] [2,1] +0 #0"));
  // One mapping under two keys.
  EXPECT_THAT(lines(file_of("}" + text("model") + state + "q\1s" + text("state_dict") + "h\1s")),
              ElementsAre("w float32 [2,2] [2,1] +0 #0"));
}

TEST(Pt, IsBoundedWhereThingsStandInManyPlaces) {
  const std::string tensor = "}" + text("w") + TensorText{}.program() + "s";
  std::string doubling = "]q\1";
  for (int i = 1; i < 90; ++i) doubling += std::string("0](h") + char(i) + "h" + char(i) + "eq" + char(i + 1);
  EXPECT_THAT(refusal(file_of(tensor + text("x") + doubling + "s")), HasSubstr("more than 16 times its pickle's size"));
  EXPECT_THAT(refusal(file_of(tensor + text("x") + "]q\1h\1as")),
              HasSubstr("nested more than 100 deep, or hold themselves"));
  std::string deep(200, ']');
  deep.append(199, 'a');
  EXPECT_THAT(refusal(file_of(tensor + text("x") + deep + "s")), HasSubstr("nested more than 100 deep"));
  std::string copies = "](" + text(std::string(100'000, 'x')) + "q\1";
  for (int i = 0; i < 10'000; ++i) copies += "h\1";
  EXPECT_THAT(refusal(file_of(tensor + text("x") + copies + "es")), HasSubstr("more than 16 times its pickle's size"));
}

TEST(Pt, ReadsWhatItWrote) {
  Output output{.tensors = {{"a", Dtype::float32, {2, 2}, {1, 2}, 0, 0},
                            {"tied", Dtype::float32, {3}, {1}, 1, 0},
                            {"ü", Dtype::uint16, {}, {}, 1, 1},
                            {"none", Dtype::int64, {0, 3}, {3, 1}, 0, 2}},
                .storage_bytes = {16, 4, 0},
                .values = {{"epoch", "3"}},
                .file = "f"};
  const std::vector<std::string> contents{std::string(16, 'a'), "bcde", ""};
  std::string bytes;
  const auto written = [&] {
    bytes.clear();
    write(
        output, [&](size_t i) { return std::string_view(contents[i]); },
        [&](std::string_view piece) { bytes += piece; });
    return bytes;
  };
  written();
  const Checkpoint checkpoint(bytes_of(bytes, "f"));
  EXPECT_THAT(lines(checkpoint), ElementsAre("a float32 [2,2] [1,2] +0 #0", "tied float32 [3] [1] +1 #0",
                                             "ü uint16 [] [] +1 #1", "none int64 [0,3] [3,1] +0 #2"));
  EXPECT_EQ(checkpoint.values(), json::parse(R"({"epoch":"3"})"));
  for (size_t i = 0; i < contents.size(); ++i) {
    std::string content(checkpoint.storage_bytes(i), '\0');
    checkpoint.read_storage(i, content.data());
    EXPECT_EQ(content, contents[i]);
  }
  output.values = {{"state_dict", ""}};
  EXPECT_THAT(error_of(written), HasSubstr("f: no metadata can be named state_dict"));
  output.values = {{"\xff", ""}};
  EXPECT_THAT(error_of(written), HasSubstr("not valid UTF-8"));
}

TEST(Pt, IsTakenForItselfAndNotForSafetensors) {
  EXPECT_TRUE(looks_like(golden_pt("views.pt")));
  EXPECT_TRUE(looks_like(golden_pt("deflated.pt")));
  EXPECT_TRUE(looks_like(golden_pt("legacy.pt")));
  // A header of 640 bytes begins as a pickle does, one of 67 MB as a zip archive.
  EXPECT_FALSE(looks_like(std::string("\x80\x02\0\0\0\0\0\0{", 9)));
  EXPECT_FALSE(looks_like(std::string("PK\3\4\0\0\0\0{", 9)));
  EXPECT_FALSE(looks_like(""));
}

TEST(Pt, SurvivesRandomDamage) {
  for (const char* name : {"lightning.ckpt", "dtypes.pt", "views.pt", "deflated.pt"}) {
    const std::string start = golden_pt(name);
    std::mt19937 random(1);
    for (int round = 0; round < 3'000; ++round) {
      std::string bytes = start;
      for (int i = 0; i < 1 + round % 4; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
      if (round % 7 == 0) bytes.resize(random() % bytes.size());
      refusal(bytes);
    }
  }
}

}  // namespace
}  // namespace perceive::io::pt
