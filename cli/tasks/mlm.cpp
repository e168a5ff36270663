// Masked language models as perceiver-io 0.2.1's mlm script does it, on any of our data sets and models.
#include "cli/tasks/mlm.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "cli/tasks/mlm_predictions.h"
#include "cli/tasks/text_task.h"
#include "perceive/core/terminal.h"
#include "perceive/data/fill_masks.h"
#include "perceive/data/token_dataset.h"
#include "perceive/models/text_masking.h"
#include "perceive/train/language_model.h"

namespace perceive::cli {
namespace {

models::TextMasking masking_for(const data::Tokenizer& tokenizer, int64_t vocabulary) {
  const int64_t pad = data::pad_id(tokenizer);
  models::TextMaskingOptions options{.vocab_size = vocabulary,
                                     .unk_token_id = tokenizer.id_of("[UNK]").value_or(pad),
                                     .mask_token_id = data::mask_id(tokenizer),
                                     .num_special_tokens = 0};
  for (const auto* token : {"[PAD]", "[UNK]", "[BOS]", "[EOS]", "[MASK]", "[CLS]", "[SEP]"}) {
    options.num_special_tokens = std::max(options.num_special_tokens, tokenizer.id_of(token).value_or(-1) + 1);
  }
  return models::TextMasking(options);
}

class Mlm : public TextTask<LanguageModelOptions<MaskedLMOptions>> {
 public:
  std::string name() const override { return "mlm"; }

  train::LanguageModel& learner() override {
    if (!learner_) {
      const auto tokenizer = data().tokenizer();
      const auto masking = masking_for(*tokenizer, data().vocab_size());
      const auto model = in_group("model", [&] { return make_model(options_.model); });
      const bool native = !std::holds_alternative<MaskedLanguageModelOptions>(options_.model);
      const auto prepare = [masking, native](const data::Batch& batch, train::Stage stage) {
        const auto &ids = batch.at("ids"), &mask = batch.at("mask");
        const auto [masked, labels] = native && stage != train::Stage::fit
                                          ? masking.same_each_time(ids, mask.logical_not())
                                          : masking(ids, mask.logical_not());
        // The dialect weights a batch by its texts, as the original; only by its questions the mean is one a token.
        const auto questions = labels.ne(train::kNotAsked).sum().item<int64_t>();
        return train::TokenTask{masked, mask, labels, native ? std::max<int64_t>(1, questions) : ids.size(0)};
      };
      learner_ = std::make_unique<train::LanguageModel>(
          model.module, model.forward, prepare, [this, forward = model.forward] { return fill_samples(forward); });
      if (native) learner_->add_perplexity();  // the dialect logs the original's tags and no others
    }
    return *learner_;
  }

  void predict(train::Trainer& trainer, const PredictRequest& request, const std::filesystem::path& checkpoint,
               const std::filesystem::path& output) override {
    auto texts = request.inputs.empty() ? samples() : texts_of(request.inputs);
    for (auto& text : texts) text.text = data::with_mask_tokens(text.text);
    const TextInputs inputs(data(), std::move(texts));
    std::vector<data::FilledText> filled;
    trainer.predict(
        learner(), inputs,
        [&](const data::Batch& batch, const data::Batch& said) {
          for (auto& text : data::fill_masks(batch.at("ids"), said.at("logits"), *data().tokenizer(),
                                             request.top_k.value_or(asked().num_predictions))) {
            filled.push_back(std::move(text));
          }
        },
        checkpoint.string());
    write_filled(filled, inputs.texts(), output);
    core::write_all(1, filled_text(filled, inputs.texts()));
    core::write_all(1, fmt::format("{} texts, in {}\n", filled.size(), output.string()));
  }

 private:
  const MaskedSamples& asked() const {
    return std::visit([](const auto& model) -> const MaskedSamples& { return model; }, options_.model);
  }
  std::vector<data::NamedText> samples() const {
    std::vector<data::NamedText> texts;
    for (const auto& sample : asked().masked_samples) texts.push_back({sample, data::with_mask_tokens(sample)});
    return texts;
  }

  // For TensorBoard, in Markdown.
  std::map<std::string, std::string> fill_samples(const train::LanguageModel::Forward& forward) {
    if (asked().masked_samples.empty()) return {};
    const data::TextsInMemory texts(samples());
    const auto tokenizer = data().tokenizer();
    const auto batch = data::encode_batch(texts, *tokenizer, data().max_seq_len());
    const auto logits = forward(batch.at("ids"), batch.at("mask"), {});
    const auto filled = data::fill_masks(batch.at("ids"), logits, *tokenizer, asked().num_predictions);
    std::string words;
    for (size_t i = 0; i < filled.size(); ++i) {
      words += (i == 0 ? "" : "\n\n") + texts.text(static_cast<int64_t>(i));
      for (const auto& text : filled[i].texts) words += "  \n" + text;
    }
    return {{"sample predictions", words}};
  }

  std::unique_ptr<train::LanguageModel> learner_;
};

}  // namespace

std::unique_ptr<Task> mlm() {
  return std::make_unique<Mlm>();
}

}  // namespace perceive::cli
