// Checkpoints: whole or not at all, and never silently wrong.
#include "perceive/io/checkpoint.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "perceive/io/files.h"
#include "tests/io/temporary_folder.h"

namespace perceive::io {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::HasSubstr;

Checkpoint checkpoint_of(int step) {
  return {.model = {{"weight", at::full({5, 3}, step, at::kFloat)}},
          .trainer = {{"moments", at::full({15}, step, at::kDouble)}},
          .state = {{"step", step}, {"rate", 0.1}, {"name", "ü"}}};
}

// The step of a checkpoint all parts of which are of one save; fails otherwise.
int step_of(const fs::path& folder) {
  const auto checkpoint = load_checkpoint(folder);
  const int step = checkpoint.state.at("step");
  EXPECT_TRUE((checkpoint.model.at("weight") == step).all().item<bool>());
  EXPECT_TRUE((checkpoint.trainer.at("moments") == step).all().item<bool>());
  return step;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  return names;
}

void flip_bit(const fs::path& file, size_t at) {
  std::string bytes = read_file(file);
  bytes.at(at) = static_cast<char>(bytes[at] ^ 1);
  put(file, bytes);
}

TEST(Checkpoint, LoadsAsItWasSaved) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "epochs/last", checkpoint_of(1));
  const auto loaded = load_checkpoint(folder / "epochs/last");
  EXPECT_EQ(loaded.state.at("rate"), 0.1);
  EXPECT_EQ(loaded.state.at("name"), "ü");
  EXPECT_EQ(loaded.state.at("format"), kCheckpointFormat);
  EXPECT_EQ(step_of(folder / "epochs/last"), 1);
  const auto model = load_model(folder / "epochs/last");
  EXPECT_EQ(model.model.size(), 1);
  EXPECT_TRUE(model.trainer.empty());
}

TEST(Checkpoint, IsReplacedWithoutATrace) {
  const TemporaryFolder folder;
  for (int step = 1; step <= 3; ++step) save_checkpoint(folder / "last/", checkpoint_of(step));
  EXPECT_EQ(step_of(folder / "last"), 3);
  EXPECT_THAT(names_in(folder.path()), testing::ElementsAre("last"));
}

TEST(Checkpoint, FollowsALinkAndReplacesADanglingOne) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "real", checkpoint_of(1));
  fs::create_directory_symlink("real", folder / "last");
  save_checkpoint(folder / "last", checkpoint_of(2));
  EXPECT_EQ(step_of(folder / "real"), 2);
  fs::remove_all(folder / "real");
  save_checkpoint(folder / "last", checkpoint_of(3));
  EXPECT_EQ(step_of(folder / "last"), 3);
  EXPECT_THAT(names_in(folder.path()), testing::ElementsAre("last"));
}

TEST(Checkpoint, NeverReplacesWhatIsNotOne) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "work");
  put(folder / "work/thesis.tex", "x");
  EXPECT_THAT(error_of([&] { save_checkpoint(folder / "work", checkpoint_of(1)); }),
              HasSubstr("exists and is not a checkpoint"));
  put(folder / "file", "x");
  EXPECT_THAT(error_of([&] { save_checkpoint(folder / "file", checkpoint_of(1)); }),
              HasSubstr("exists and is not a checkpoint"));
  EXPECT_EQ(read_file(folder / "work/thesis.tex"), "x");
}

TEST(Checkpoint, RefusesAStateThatJsonCannotHold) {
  const TemporaryFolder folder;
  auto checkpoint = checkpoint_of(1);
  checkpoint.state["best"] = {{"scores", {1.0, INFINITY}}};
  EXPECT_THAT(error_of([&] { save_checkpoint(folder / "c", checkpoint); }),
              HasSubstr("state.best.scores.1 is not finite"));
  checkpoint.state["best"] = nlohmann::json::parse(std::string(70, '[') + std::string(70, ']'));
  EXPECT_THAT(error_of([&] { save_checkpoint(folder / "c", checkpoint); }), HasSubstr("nested deeper than 64 levels"));
  checkpoint.state["best"] = "\xff";
  EXPECT_THAT(error_of([&] { save_checkpoint(folder / "c", checkpoint); }), HasSubstr("not UTF-8"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Checkpoint, SurvivesTheFailureOfEverySystemCall) {
  const TemporaryFolder folder;
  for (const int error : {ENOSPC, EIO, EINVAL}) {  // EINVAL at the exchange: a file system that has none
    save_checkpoint(folder / "last", checkpoint_of(0));
    for (int n = 0;; ++n) {
      const int before = step_of(folder / "last");
      bool failed = false;
      {
        const FaultAtCall fault(n, error);
        try {
          save_checkpoint(folder / "last", checkpoint_of(before + 1));
        } catch (const core::FileError& e) {
          failed = true;
          EXPECT_THAT(e.what(), HasSubstr(folder.path().string()));
        }
        if (!fault.happened()) break;
      }
      EXPECT_THAT(step_of(folder / "last"),
                  failed ? testing::Matcher<int>(AnyOf(before, before + 1)) : testing::Eq(before + 1))
          << n;
      remove_unfinished(folder.path());
      EXPECT_THAT(names_in(folder.path()), testing::ElementsAre("last")) << n;
    }
  }
}

// Runs `work` in a child process; true if it ended by itself.
template <class Work>
bool in_child(Work&& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status);
}

TEST(Checkpoint, SurvivesAKillAtEverySystemCall) {
  for (const bool can_exchange : {true, false}) {
    const TemporaryFolder folder;
    save_checkpoint(folder / "last", checkpoint_of(0));
    for (int n = 0, ended = false; !ended; ++n) {
      const int before = step_of(folder / "last");
      ended = in_child([&] {
        static int left, exchange;
        left = n;
        exchange = can_exchange;
        system_calls::set_hook([](const char* call) {
          if (left-- == 0) ::kill(::getpid(), SIGKILL);
          return std::string_view(call) == "exchange" && !exchange ? ENOSYS : 0;
        });
        save_checkpoint(folder / "last", checkpoint_of(before + 1));
      });
      ASSERT_THAT(step_of(folder / "last"), AnyOf(before, before + 1)) << n;
      if (n % 2 == 0) continue;  // the next save must also do with what is left
      remove_unfinished(folder.path());
      ASSERT_THAT(names_in(folder.path()), testing::ElementsAre("last")) << n;
      ASSERT_THAT(step_of(folder / "last"), AnyOf(before, before + 1)) << n;
      ASSERT_LT(n, 200);
    }
  }
}

TEST(Checkpoint, SurvivesAKillAtAnyMoment) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "last", checkpoint_of(0));
  int before = 0;
  for (int round = 0; round < 25; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int step = before + 1;; ++step) save_checkpoint(folder / "last", checkpoint_of(step));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(1000 + 1777 * round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const int after = step_of(folder / "last");
    ASSERT_GE(after, before);
    before = after;
  }
  EXPECT_GT(before, 0);
  remove_unfinished(folder.path());
  EXPECT_THAT(names_in(folder.path()), testing::ElementsAre("last"));
}

TEST(Checkpoint, IsReadWholeWhileARunReplacesIt) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "last", checkpoint_of(0));
  const pid_t child = ::fork();
  if (child == 0) {
    for (int step = 1; step <= 30; ++step) save_checkpoint(folder / "last", checkpoint_of(step));
    ::_exit(0);
  }
  int seen = 0;
  do {
    const int step = step_of(folder / "last");
    EXPECT_GE(step, seen);
    seen = step;
  } while (::waitpid(child, nullptr, WNOHANG) == 0);
  EXPECT_EQ(step_of(folder / "last"), 30);
}

TEST(Checkpoint, IsReadFromWhereACrashLeftIt) {
  const TemporaryFolder folder;
  save_checkpoint(folder / "last", checkpoint_of(1));
  fs::rename(folder / "last", folder / ".last.perceive-replaced");
  EXPECT_EQ(step_of(folder / "last"), 1);
  EXPECT_FALSE(fs::exists(folder / "last"));
  remove_unfinished(folder.path());
  EXPECT_EQ(step_of(folder / "last"), 1);
  EXPECT_THAT(names_in(folder.path()), testing::ElementsAre("last"));
}

TEST(Checkpoint, CleaningLeavesEverythingElseAlone) {
  const TemporaryFolder folder;
  remove_unfinished(folder / "no such folder");
  save_checkpoint(folder / "last", checkpoint_of(1));
  for (const char* name : {".hidden", ".last.tmp-1", "notes.perceive-tmp-1", ".last.perceive-tmp-7-0"})
    put(folder / name, "x");
  remove_unfinished(folder.path());
  EXPECT_THAT(names_in(folder.path()),
              testing::UnorderedElementsAre("last", ".hidden", ".last.tmp-1", "notes.perceive-tmp-1"));
}

TEST(Checkpoint, NamesWhatIsWrongWithAPath) {
  const TemporaryFolder folder;
  const auto refusal = [&](const fs::path& path) { return error_of([&] { load_checkpoint(path); }); };
  EXPECT_EQ(refusal(folder / "none"), "no checkpoint at " + (folder / "none").string());
  EXPECT_EQ(refusal(folder.path()), folder.path().string() + " is not a checkpoint: it has no state.json");
  put(folder / "file", "x");
  EXPECT_THAT(refusal(folder / "file"), HasSubstr("is a file; a checkpoint is a folder with model.safetensors"));
}

class DamagedCheckpoint : public testing::Test {
 protected:
  DamagedCheckpoint() { save_checkpoint(at_, checkpoint_of(1)); }
  std::string refusal() const {
    return error_of([&] { load_checkpoint(at_); });
  }
  void edit_state(const std::function<void(nlohmann::json&)>& edit) const {
    auto state = nlohmann::json::parse(read_file(at_ / "state.json"));
    edit(state);
    put(at_ / "state.json", state.dump());
  }

  const TemporaryFolder folder_;
  const fs::path at_ = folder_ / "last";
};

TEST_F(DamagedCheckpoint, TellsAMissingFile) {
  for (const char* name : {"model.safetensors", "trainer.safetensors"}) {
    fs::rename(at_ / name, folder_ / "away");
    EXPECT_THAT(refusal(), HasSubstr(std::string("damaged: ") + name + " is missing. Use another checkpoint"));
    fs::rename(folder_ / "away", at_ / name);
  }
  fs::remove(at_ / "trainer.safetensors");
  EXPECT_EQ(load_model(at_).model.size(), 1);
}

TEST_F(DamagedCheckpoint, TellsEveryFlippedBitOfAnyFile) {
  for (const char* name : {"model.safetensors", "trainer.safetensors"}) {
    const size_t size = fs::file_size(at_ / name);
    for (size_t at = 0; at < size; at += 13) {
      flip_bit(at_ / name, at);
      EXPECT_THAT(refusal(), HasSubstr(std::string(name) + ": damaged: expected the SHA-256")) << at;
      flip_bit(at_ / name, at);
    }
  }
  const size_t size = fs::file_size(at_ / "state.json");
  for (size_t at = 0; at < size; ++at) {
    flip_bit(at_ / "state.json", at);
    const std::string message = refusal();
    if (message == "(no error)") {
      // Blanks outside of strings carry nothing.
      EXPECT_THAT(read_file(at_ / "state.json")[at], AnyOf('!', '\v', '\n', ' ')) << at;
    }
    flip_bit(at_ / "state.json", at);
  }
  EXPECT_EQ(refusal(), "(no error)");
}

TEST_F(DamagedCheckpoint, TellsATruncatedFile) {
  const size_t size = fs::file_size(at_ / "model.safetensors");
  for (const size_t kept : {size_t{0}, size_t{7}, size / 2, size - 1}) {
    const std::string bytes = read_file(at_ / "model.safetensors");
    put(at_ / "model.safetensors", bytes.substr(0, kept));
    EXPECT_THAT(refusal(), HasSubstr("over " + std::to_string(kept) + " bytes"));
    put(at_ / "model.safetensors", bytes);
  }
  put(at_ / "state.json", "{\"step\": 1");
  EXPECT_THAT(refusal(), HasSubstr("state.json: byte 10: this is not JSON"));
}

TEST_F(DamagedCheckpoint, TellsANewerFormat) {
  edit_state([](auto& state) { state["format"] = kCheckpointFormat + 1; });
  EXPECT_THAT(refusal(), HasSubstr("has checkpoint format 2; this program reads up to 1: use a newer perceive"));
}

TEST_F(DamagedCheckpoint, TellsAStateThatIsNotOurs) {
  for (const char* text : {"[]", "1", "{}", R"({"format":"1"})", R"({"format":1.5})"}) {
    put(at_ / "state.json", text);
    EXPECT_THAT(refusal(), HasSubstr("is not a checkpoint: its state.json has no \"format\"")) << text;
  }
  for (const char* text :
       {R"({"format":1})", R"({"format":1,"sha256":[]})", R"({"format":1,"sha256":{"model.safetensors":1}})"}) {
    put(at_ / "state.json", text);
    EXPECT_THAT(refusal(), HasSubstr("it has no hash of model.safetensors")) << text;
  }
  put(at_ / "state.json", std::string(1'000'000, '['));
  EXPECT_THAT(refusal(), HasSubstr("nested deeper than 64 levels"));
  fs::remove(at_ / "state.json");
  fs::create_directory(at_ / "state.json");
  EXPECT_THAT(refusal(), HasSubstr("is a folder; expected a file"));
}

TEST_F(DamagedCheckpoint, TellsAStateThatWasEdited) {
  edit_state([](auto& state) { state["step"] = 2; });
  EXPECT_THAT(refusal(), HasSubstr("state.json: damaged: its content does not match its hash"));
}

}  // namespace
}  // namespace perceive::io
