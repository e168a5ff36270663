// Language models that tell the next token.
#include "cli/tasks/clm.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "cli/tasks/predictions.h"
#include "cli/tasks/text_task.h"
#include "perceive/core/terminal.h"
#include "perceive/core/text.h"
#include "perceive/io/files.h"
#include "perceive/train/evaluation.h"
#include "perceive/train/language_model.h"

namespace perceive::cli {
namespace {

class Clm : public TextTask<LanguageModelOptions<CausalLinformerOptions>> {
 public:
  std::string name() const override { return "clm"; }

  train::LanguageModel& learner() override {
    if (!learner_) {
      if (!options_.model.layer.attention.causal) {
        throw core::ConfigError("model.causal: expected true, since the next token must not be seen; got false");
      }
      data().tokenizer();  // whatever is wrong with it is told first
      model_ = in_group("model", [&] { return models::LinformerLM(options_.model); });
      learner_ = std::make_unique<train::LanguageModel>(
          model_.ptr(), token_model(model_).forward,
          [](const data::Batch& batch, train::Stage) { return train::next_tokens(batch); },
          [this] { return continued_prompts(); });
      learner_->set_bytes_per_token([this] { return data().bytes_per_token(); });
    }
    return *learner_;
  }

  void predict(train::Trainer& trainer, const PredictRequest& request, const std::filesystem::path& checkpoint,
               const std::filesystem::path& output) override {
    if (request.top_k) options_.model.generate.top_k = request.top_k;
    std::vector<data::NamedText> texts;
    if (request.inputs.empty()) {
      for (const auto& prompt : options_.model.prompts) texts.push_back({prompt, prompt});
    } else {
      texts = texts_of(request.inputs);
    }
    trainer.load(learner(), checkpoint.string());
    std::string csv = "text,continuation\n";
    for (const auto& [name, text] : texts) {
      const auto more = continuation(text);
      csv += fmt::format("{},{}\n", csv_cell(text), csv_cell(more));
      core::write_all(1, fmt::format("{}{}\n", text, more));
    }
    io::write_file(output, csv);
    core::write_all(1, fmt::format("{} texts, in {}\n", texts.size(), output.string()));
  }

 private:
  // What follows `text`, as far as the model's length goes.
  std::string continuation(const std::string& text) {
    const train::EvaluationMode evaluation(*model_);
    const auto tokenizer = data().tokenizer();
    const auto ids = tokenizer->encode(text);
    const auto length = static_cast<int64_t>(ids.size()), longest = data().max_seq_len();
    if (length < 1 || length >= longest) {
      throw core::DataError(fmt::format("{}: expected a text of 1 to {} tokens to go on with, got {}",
                                        core::in_quotes(text), longest - 1, length));
    }
    auto options = options_.model.generate;
    options.tokens = std::min(options.tokens, longest - length);
    const auto row = model_->generate(at::tensor(ids, at::kLong).unsqueeze(0), options)[0].contiguous();
    const auto* begin = row.const_data_ptr<int64_t>() + length;
    return tokenizer->decode({begin, static_cast<size_t>(row.numel() - length)});
  }

  std::map<std::string, std::string> continued_prompts() {
    std::string words;
    for (const auto& prompt : options_.model.prompts) {
      words += fmt::format("{}{}|{}", words.empty() ? "" : "\n\n", prompt, continuation(prompt));
    }
    if (words.empty()) return {};
    return {{"sample continuations", words}};
  }

  models::LinformerLM model_{nullptr};
  std::unique_ptr<train::LanguageModel> learner_;
};

}  // namespace

std::unique_ptr<Task> clm() {
  return std::make_unique<Clm>();
}

}  // namespace perceive::cli
