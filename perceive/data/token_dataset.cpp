// Texts as token ids, in batches.
#include "perceive/data/token_dataset.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <thread>

#include "perceive/core/error.h"
#include "perceive/core/progress.h"

namespace perceive::data {
namespace {

constexpr int64_t kTextsAtOnce = 64;

// What one thread makes of some texts.
struct Part {
  std::vector<int32_t> ids;
  std::vector<int64_t> lengths;  // of the examples
  double whole_bytes = 0, whole_tokens = 0;
  int64_t cut = 0;
};

void add(const std::string& text, const Tokenizer& tokenizer, const EncodeOptions& options, Part& part) {
  // One more tells whether there are more.
  auto ids = tokenizer.encode(text, options.split ? kNoLimit : options.length + 1);
  const bool cut = !options.split && static_cast<int64_t>(ids.size()) > options.length;
  if (cut) {
    ids.resize(options.length);
    ++part.cut;
  }
  const auto count = static_cast<int64_t>(ids.size());
  if (!cut) {
    part.whole_bytes += static_cast<double>(text.size());
    part.whole_tokens += static_cast<double>(count);
  }
  part.ids.insert(part.ids.end(), ids.begin(), ids.end());
  if (!options.split) {
    part.lengths.push_back(count);
    return;
  }
  for (int64_t begin = 0; begin < count; begin += options.length) {
    part.lengths.push_back(std::min(options.length, count - begin));
  }
}

}  // namespace

Tokens encode(const Texts& texts, const Tokenizer& tokenizer, const EncodeOptions& options) {
  const int64_t count = (texts.size() + kTextsAtOnce - 1) / kTextsAtOnce;
  std::vector<Part> parts(static_cast<size_t>(count));
  core::Progress progress("reading texts", texts.size(), {.enabled = options.progress});
  std::atomic<int64_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    try {
      for (int64_t p; (p = next++) < count;) {
        const int64_t begin = p * kTextsAtOnce, end = std::min(begin + kTextsAtOnce, texts.size());
        for (int64_t i = begin; i < end; ++i) add(texts.text(i), tokenizer, options, parts[static_cast<size_t>(p)]);
        const std::lock_guard lock(mutex);
        progress.advance(end - begin);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) threads.emplace_back(work);
    work();
  }
  if (error) std::rethrow_exception(error);

  Tokens tokens;
  double whole_bytes = 0, whole_tokens = 0;
  int64_t end = 0;
  for (const auto& part : parts) {
    for (const int64_t length : part.lengths) tokens.ends.push_back(end += length);
    whole_bytes += part.whole_bytes;
    whole_tokens += part.whole_tokens;
    tokens.cut += part.cut;
  }
  tokens.bytes_per_token = whole_tokens > 0 ? whole_bytes / whole_tokens : 0;
  tokens.ids = at::empty({end}, at::kInt);
  auto* to = tokens.ids.mutable_data_ptr<int32_t>();
  for (auto& part : parts) {
    to = std::copy(part.ids.begin(), part.ids.end(), to);
    part = {};
  }
  return tokens;
}

TokenDataset::TokenDataset(std::shared_ptr<const Tokens> tokens, int64_t pad, at::Tensor labels, at::Tensor order)
    : tokens_(std::move(tokens)), pad_(pad), labels_(std::move(labels)), order_(std::move(order)) {
  const auto all = static_cast<int64_t>(tokens_->ends.size());
  TORCH_CHECK(!labels_.defined() || labels_.size(0) == all, "TokenDataset: expected ", all, " labels, got ",
              labels_.defined() ? labels_.size(0) : 0);
}

int64_t TokenDataset::size() const {
  return order_.defined() ? order_.size(0) : static_cast<int64_t>(tokens_->ends.size());
}

Batch TokenDataset::batch(const std::vector<int64_t>& indices, uint64_t /*seed*/) const {
  struct Row {
    int64_t begin, length, example;
  };
  std::vector<Row> rows;
  int64_t longest = 1;
  for (const int64_t index : indices) {
    TORCH_CHECK_INDEX(index >= 0 && index < size(), "expected an example below ", size(), ", got ", index);
    const int64_t example = order_.defined() ? order_.const_data_ptr<int64_t>()[index] : index;
    const int64_t begin = example > 0 ? tokens_->ends[static_cast<size_t>(example) - 1] : 0;
    rows.push_back({begin, tokens_->ends[static_cast<size_t>(example)] - begin, example});
    longest = std::max(longest, rows.back().length);
  }
  const auto count = static_cast<int64_t>(rows.size());
  const at::Tensor ids = at::full({count, longest}, pad_, at::kLong);
  const at::Tensor labels = labels_.defined() ? at::empty({count}, at::kLong) : at::Tensor();
  const auto* from = tokens_->ids.const_data_ptr<int32_t>();
  auto* to = ids.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) {
    const Row& row = rows[static_cast<size_t>(i)];
    std::copy_n(from + row.begin, row.length, to + i * longest);
    if (labels.defined()) labels.mutable_data_ptr<int64_t>()[i] = labels_.const_data_ptr<int64_t>()[row.example];
  }
  Batch batch{{"ids", ids}, {"mask", ids.ne(pad_)}};
  if (labels.defined()) batch["label"] = labels;
  return batch;
}

std::string TokenDataset::fingerprint() const {
  const auto crc = [](uint64_t sum, const void* bytes, size_t size) {
    return crc32_z(static_cast<uLong>(sum), static_cast<const Bytef*>(bytes), size);
  };
  uint64_t sum = crc(0, tokens_->ids.const_data_ptr(), tokens_->ids.nbytes());
  sum = crc(sum, tokens_->ends.data(), tokens_->ends.size() * sizeof(int64_t));
  for (const auto& tensor : {labels_, order_}) {
    if (tensor.defined()) sum = crc(sum, tensor.const_data_ptr(), tensor.nbytes());
  }
  return fmt::format("{} of {} texts, {} tokens, crc32 {:08x}", size(), tokens_->ends.size(), tokens_->ids.size(0),
                     sum);
}

Batch encode_batch(const Texts& texts, const Tokenizer& tokenizer, int64_t length) {
  const auto tokens = encode(texts, tokenizer, {.length = length, .progress = false});
  std::vector<int64_t> all(static_cast<size_t>(texts.size()));
  std::iota(all.begin(), all.end(), 0);
  return TokenDataset(std::make_shared<const Tokens>(tokens), pad_id(tokenizer)).batch(all, 0);
}

int64_t pad_id(const Tokenizer& tokenizer) {
  const auto pad = tokenizer.id_of("[PAD]");
  if (!pad) throw core::ConfigError("tokenizer: expected one with the special token [PAD], and it has none");
  return *pad;
}

}  // namespace perceive::data
