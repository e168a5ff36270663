// mlm and seq_clf, as their users call them.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "perceive/io/tensors.h"
#include "tests/cli/tiny_text.h"

namespace perceive::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Words = std::vector<std::string>;

struct Text : testing::Test {
  Text() { write_tiny_reviews(data); }
  Ended fit(const std::string& task, const Words& more) const { return perceive(tiny_text(task, data, logs, more)); }
  Words fit_words(const std::string& task, const Words& more) const { return tiny_text(task, data, logs, more); }
  static Words replaced(Words words, const std::string& from, const std::string& to) {
    std::replace(words.begin(), words.end(), from, to);
    return words;
  }
  std::string run(const std::string& task, int version = 0) const {
    return (logs / (task + "/version_" + std::to_string(version))).string();
  }
  const Folder data, logs;
};

TEST_F(Text, AMaskedLanguageModelTrainsAndShowsWhatItFills) {
  const auto ended = fit("mlm", {"--optimizer.lr=1e-2", "--trainer.max_steps=6"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, AllOf(HasSubstr("val_loss="), HasSubstr("train_loss="), Not(HasSubstr("perplexity"))));
  const auto samples = contents(run("mlm") + "/sample_predictions.txt");
  EXPECT_THAT(samples, AllOf(HasSubstr("# step 0\n\nI have watched this [MASK] and it was awesome  \n"),
                             HasSubstr("# step 3\n"), HasSubstr("# step 6\n")));
  EXPECT_THAT(contents(run("mlm") + "/metrics.csv"), HasSubstr("lr-AdamW"));
  EXPECT_TRUE(std::filesystem::exists(data / "imdb-tokenizer-120.json"));

  const auto filled = perceive({"mlm", "predict", "--ckpt_path=" + run("mlm"), "--top_k=2", "-"},
                               {.input = "the <MASK> was\nno mask here\n"});
  ASSERT_EQ(filled.code, 0) << filled.err;
  EXPECT_THAT(filled.out, AllOf(HasSubstr("the [MASK] was\n  the"), HasSubstr("(no [MASK] among"),
                                HasSubstr("2 texts, in " + run("mlm") + "/predictions.csv")));
  EXPECT_THAT(contents(run("mlm") + "/predictions.csv"),
              AllOf(HasSubstr("text,mask,token,probability,token_2,probability_2\nthe [MASK] was,1,"),
                    Not(HasSubstr("no mask here"))));
  const auto own = perceive({"mlm", "predict", "--ckpt_path=" + run("mlm")});
  EXPECT_THAT(own.out, HasSubstr("I have [MASK] this movie and [MASK] was really terrible\n"));
}

TEST_F(Text, AClassifierTrainsTestsAndPredicts) {
  const auto ended = fit("seq_clf", {"--optimizer=AdamW", "--optimizer.lr=2e-2", "--trainer.max_epochs=20",
                                     "--trainer.check_val_every_n_epoch=20"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("val_acc=1"));
  const auto tested = perceive({"seq_clf", "test", "--ckpt_path=" + run("seq_clf")});
  EXPECT_THAT(tested.out, HasSubstr("test_acc=1"));
  const auto file = data / "aclImdb/test/neg/0_1.txt";
  const auto lines = perceive({"seq_clf", "predict", "--ckpt_path=" + run("seq_clf"), file.string(), "-"},
                              {.input = "a lovely film, great and funny\n"});
  ASSERT_EQ(lines.code, 0) << lines.err;
  EXPECT_THAT(lines.out, AllOf(HasSubstr("negative"), HasSubstr("a lovely film, great and funny"),
                               HasSubstr("positive"), HasSubstr("2 texts")));
  std::filesystem::remove_all(data / "aclImdb");  // the tokenizer stays
  EXPECT_THAT(
      perceive({"seq_clf", "predict", "--ckpt_path=" + run("seq_clf"), "-"}, {.input = "an awful, dull one"}).out,
      HasSubstr("negative"));
}

TEST_F(Text, AClassifierBeginsWithAPretrainedEncoder) {
  ASSERT_EQ(fit("mlm", {"--trainer.max_steps=3"}).code, 0);
  const Words more{"--optimizer=AdamW", "--trainer.max_epochs=1"};
  const auto frozen =
      fit("seq_clf", Words(more) + Words{"--model.mlm_ckpt=" + run("mlm"), "--model.encoder.freeze=true"});
  ASSERT_EQ(frozen.code, 0) << frozen.err;
  EXPECT_THAT(frozen.err, HasSubstr("encoder from " + run("mlm")));
  const auto pretrained = io::load_tensors(run("mlm") + "/checkpoints/last/model.safetensors");
  const auto classifier = io::load_tensors(run("seq_clf") + "/checkpoints/last/model.safetensors");
  int encoder = 0;
  for (const auto& [name, tensor] : classifier) {
    if (!name.starts_with("0.")) continue;
    EXPECT_TRUE(tensor.equal(pretrained.at("encoder." + name.substr(2)))) << name;
    ++encoder;
  }
  EXPECT_GT(encoder, 20);

  const auto tuned = fit("seq_clf", Words(more) + Words{"--model.clf_ckpt=" + run("seq_clf")});
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  EXPECT_THAT(tuned.err, HasSubstr("weights from " + run("seq_clf")));
  EXPECT_FALSE(io::load_tensors(run("seq_clf", 1) + "/checkpoints/last/model.safetensors")
                   .at("0.latent")
                   .equal(classifier.at("0.latent")));
  // As Lightning names what perceiver-io trains.
  io::Tensors theirs;
  for (const auto& [name, tensor] : pretrained) theirs.emplace("model." + name, tensor);
  const auto file = (logs / "epoch=254-val_loss=4.527.ckpt").string();
  io::save_tensors(file, theirs);
  const auto from_theirs =
      fit("seq_clf", Words(more) + Words{"--model.mlm_ckpt=" + file, "--model.encoder.freeze=true"});
  ASSERT_EQ(from_theirs.code, 0) << from_theirs.err;
  EXPECT_TRUE(io::load_tensors(run("seq_clf", 2) + "/checkpoints/last/model.safetensors")
                  .at("0.latent")
                  .equal(pretrained.at("encoder.latent")));
  // A checkpoint of another program, with the configuration on the command line.
  const auto validated = fit_words("mlm", {"--ckpt_path=" + file, "--seed_everything=1"});
  const auto theirs_validated = perceive(replaced(validated, "fit", "validate"));
  ASSERT_EQ(theirs_validated.code, 0) << theirs_validated.err;
  EXPECT_THAT(theirs_validated.out, HasSubstr("val_loss="));
  const auto resumed = perceive(validated);
  EXPECT_EQ(resumed.code, 2) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("holds weights, but not where a run of ours was"));
  // What it began with is not asked for again.
  std::filesystem::rename(run("seq_clf"), run("seq_clf", 7));
  EXPECT_EQ(perceive({"seq_clf", "test", "--ckpt_path=" + run("seq_clf", 1)}).code, 0);
}

TEST_F(Text, ARunIsAModel) {
  ASSERT_EQ(fit("mlm", {"--trainer.max_steps=3"}).code, 0);
  const auto inputs = (data / "in.safetensors").string(), outputs = (data / "out.safetensors").string();
  io::save_tensors(inputs, {{"x", at::arange(20).view({2, 10})}});
  const auto ended = perceive({"run", "--model", run("mlm"), "--inputs", inputs, "--outputs", outputs});
  ASSERT_EQ(ended.code, 0) << ended.err;
}

TEST_F(Text, NativeModelsDoTheSame) {
  const Words model{"--model=PerceiverIO", "--model.input.channels=8", "--model.encoder.num_latents=4",
                    "--model.encoder.num_latent_channels=8"};
  const auto begin = [&](const std::string& task) {
    return Words{task,
                 "fit",
                 "--data=TextFolder",
                 "--data.data_dir=" + (data / "aclImdb").string(),
                 "--data.tokenizer=bytes",
                 "--data.max_seq_len=64",
                 "--trainer.max_epochs=1",
                 "--trainer.default_root_dir=" + logs.string()};
  };
  const auto ended = perceive(begin("mlm") + model);
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.err, AllOf(HasSubstr("texts have more than 64 tokens and were cut"),
                               HasSubstr("examples to train with: all of them are one smaller batch")));
  const auto first = perceive({"mlm", "validate", "--ckpt_path=" + run("mlm"), "--seed_everything=1"});
  const auto second = perceive({"mlm", "validate", "--ckpt_path=" + run("mlm"), "--seed_everything=2"});
  EXPECT_THAT(first.out, HasSubstr("val_loss="));
  EXPECT_EQ(first.out, second.out);  // the same masks
  const auto classifier =
      perceive(begin("seq_clf") + model +
               Words{"--model.mlm_ckpt=" + run("mlm"), "--model.freeze_encoder=true", "--optimizer=AdamW"});
  EXPECT_EQ(classifier.code, 0) << classifier.err;
}

TEST_F(Text, ALinformerTellsTheNextByte) {
  const auto path = data / "book.txt";
  std::string book;
  for (int i = 0; i < 400; ++i) book += "abcd";
  write(path, book);
  const auto ended =
      perceive({"clm", "fit", "--data=TextFile", "--data.files=[" + path.string() + "]", "--data.max_seq_len=64",
                "--data.batch_size=4", "--data.num_workers=0", "--model.channels=32", "--model.heads=2",
                "--model.projected=8", "--model.block=16", "--model.prompts=[ab]", "--model.generate.tokens=6",
                "--model.generate.temperature=0", "--optimizer.lr=1e-2", "--trainer.max_steps=60",
                "--seed_everything=1", "--trainer.default_root_dir=" + logs.string()});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("val_bits_per_byte=0.0"));
  EXPECT_THAT(contents(run("clm") + "/sample_continuations.txt"), HasSubstr("ab|cdabcd"));
  const auto more = perceive({"clm", "predict", "--ckpt_path=" + run("clm"), "-"}, {.input = "abcda\nbcd\n"});
  ASSERT_EQ(more.code, 0) << more.err;
  EXPECT_THAT(more.out, AllOf(HasSubstr("abcdabcdabc\n"), HasSubstr("bcdabcdab\n"), HasSubstr("2 texts")));
  const auto inputs = (data / "in.safetensors").string(), outputs = (data / "out.safetensors").string();
  io::save_tensors(inputs, {{"ids", at::arange(103, 107).view({1, 4})}});  // "abcd", behind six special tokens
  for (const auto* model : {"", "/checkpoints/last"}) {
    const auto ran = perceive({"run", "--model", run("clm") + model, "--inputs", inputs, "--outputs", outputs});
    ASSERT_EQ(ran.code, 0) << ran.err;
    const auto logits = io::load_tensors(outputs).at("output");
    EXPECT_TRUE(logits.argmax(-1).equal(at::tensor({104, 105, 106, 103}).view({1, 4}))) << logits.sizes();
  }
  const auto both_sides = perceive({"clm", "fit", "--ckpt_path=" + run("clm"), "--model.causal=false"});
  EXPECT_EQ(both_sides.code, 2);
  EXPECT_THAT(both_sides.err, HasSubstr("model.causal: expected true"));
  const auto too_long = perceive({"clm", "predict", "--ckpt_path=" + run("clm"), path.string()});
  EXPECT_EQ(too_long.code, 3);
  EXPECT_THAT(too_long.err, HasSubstr("expected a text of 1 to 63 tokens"));
}

TEST_F(Text, ALinformerIsAMaskedLanguageModelToo) {
  const auto ended =
      perceive({"mlm", "fit", "--data=ImdbDataModule", "--data.data_dir=" + data.string(), "--data.vocab_size=120",
                "--data.max_seq_len=32", "--model=Linformer", "--model.channels=16", "--model.heads=2",
                "--model.projected=8", "--trainer.max_steps=2", "--trainer.default_root_dir=" + logs.string()});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(contents(run("mlm") + "/sample_predictions.txt"), HasSubstr("# step 1"));
  EXPECT_THAT(ended.out, AllOf(HasSubstr("train_perplexity="), HasSubstr("val_perplexity=")));
}

TEST_F(Text, SaysWhatIsWrong) {
  EXPECT_THAT(perceive({"mlm", "fit", "--trainer.max_steps=1"}).err, HasSubstr("data: none was chosen"));
  const Folder empty;
  const auto missing = perceive(tiny_text("mlm", empty, logs, {"--trainer.max_steps=1"}));
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.err, HasSubstr("aclImdb_v1.tar.gz"));
  const auto vocabulary = fit("mlm", {"--trainer.max_steps=1", "--model.encoder.vocab_size=7"});
  EXPECT_EQ(vocabulary.code, 2);
  EXPECT_THAT(vocabulary.err, HasSubstr("model.encoder.vocab_size: this follows from the data"));
  const auto gone = fit("seq_clf", {"--optimizer=AdamW", "--trainer.max_epochs=1", "--model.mlm_ckpt=nowhere.ckpt"});
  EXPECT_EQ(gone.code, 4) << gone.err;
  EXPECT_THAT(gone.err, HasSubstr("nowhere.ckpt"));
  ASSERT_EQ(fit("mlm", {"--trainer.max_steps=1"}).code, 0);
  const auto other = fit("seq_clf", {"--optimizer=AdamW", "--trainer.max_epochs=1", "--model.mlm_ckpt=" + run("mlm"),
                                     "--model.encoder.num_self_attention_layers_per_block=2"});
  EXPECT_EQ(other.code, 4);
  EXPECT_THAT(other.err, HasSubstr("0.self_attn_n.1"));
  const auto nothing = perceive({"mlm", "predict", "--ckpt_path=" + run("mlm"), "-"});
  EXPECT_EQ(nothing.code, 3);
  EXPECT_THAT(nothing.err, HasSubstr("there is no text to predict"));
}

}  // namespace
}  // namespace perceive::tests
