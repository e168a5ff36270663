// CIFAR-10: 60,000 colour pictures of 32 x 32 pixels in ten classes, as the six files of its binary version.
#include "perceive/data/cifar.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <fstream>
#include <mutex>

#include "perceive/core/error.h"
#include "perceive/data/cifar_records.h"
#include "perceive/data/random.h"
#include "perceive/data/split.h"
#include "perceive/data/tensor_dataset.h"

namespace perceive::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPadding = 4;
constexpr const char* kSubfolder = "cifar-10-batches-bin";  // as the archive has it
const std::vector<std::string> kTrainingFiles{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                              "data_batch_4.bin", "data_batch_5.bin"};
const std::vector<std::string> kClassNames{"airplane", "automobile", "bird",  "cat",  "deer",
                                           "dog",      "frog",       "horse", "ship", "truck"};

Normalization normalization_of(const Cifar10Options& options) {
  if (!options.normalize) return false;
  return Normalization(std::vector<PixelScale>{{0.4914f, 0.2023f}, {0.4822f, 0.1994f}, {0.4465f, 0.2010f}});
}

std::string fingerprint_of(const at::Tensor& records) {
  return TensorDataset({{"records", records}}).fingerprint();
}

// How a picture is moved: by (down, right) pixels, after it is mirrored or not.
struct Move {
  int64_t down = 0, right = 0;
  bool mirror = false;
};

// Some of the records, in an order of their own.
class CifarExamples : public Dataset {
 public:
  // `order` int64 [n], or undefined for all as they come.
  CifarExamples(at::Tensor records, at::Tensor order, bool augment, const Cifar10Options& options)
      : records_(std::move(records)),
        order_(std::move(order)),
        augment_(augment),
        channels_last_(options.channels_last) {
    for (int64_t channel = 0; channel < 3; ++channel) values_[channel] = normalization_of(options).values(channel);
  }

  int64_t size() const override { return order_.defined() ? order_.size(0) : records_.size(0); }

  Batch batch(const std::vector<int64_t>& indices, uint64_t seed) const override {
    const auto count = static_cast<int64_t>(indices.size());
    at::Tensor images = channels_last_ ? at::empty({count, kCifarSide, kCifarSide, 3}, at::kFloat)
                                       : at::empty({count, 3, kCifarSide, kCifarSide}, at::kFloat);
    at::Tensor labels = at::empty({count}, at::kLong);
    float* image = images.mutable_data_ptr<float>();
    int64_t* label = labels.mutable_data_ptr<int64_t>();
    SplitMix64 random(seed);
    for (const int64_t index : indices) {
      const uint8_t* record = records_.const_data_ptr<uint8_t>() + example_of(index) * kCifarRecord;
      *label++ = record[0];
      write(record + 1, augment_ ? draw(random) : Move{}, image);
      image += 3 * kCifarPlane;
    }
    return {{"image", images}, {"label", labels}};
  }

  std::string fingerprint() const override { return fmt::format("{} of {}", size(), fingerprint_of(records_)); }

 private:
  int64_t example_of(int64_t index) const {
    TORCH_CHECK_INDEX(index >= 0 && index < size(), "expected an example below ", size(), ", got ", index);
    return order_.defined() ? order_.const_data_ptr<int64_t>()[index] : index;
  }

  // A crop of the picture with black around it, mirrored or not, as torchvision's RandomCrop and RandomHorizontalFlip.
  static Move draw(SplitMix64& random) {
    const auto top = static_cast<int64_t>(random.below(2 * kPadding + 1));
    const auto left = static_cast<int64_t>(random.below(2 * kPadding + 1));
    const bool mirror = random.below(2) == 1;
    // Mirrored after the crop, a picture moves the other way than before it.
    return {kPadding - top, mirror ? left - kPadding : kPadding - left, mirror};
  }

  // Straight from the bytes into the batch: one pass, no copies between.
  void write(const uint8_t* planes, const Move& move, float* image) const {
    const int64_t step = channels_last_ ? 3 : 1;
    for (int64_t channel = 0; channel < 3; ++channel) {
      const auto& values = values_[channel];
      float* to = image + (channels_last_ ? channel : channel * kCifarPlane);
      for (int64_t y = 0; y < kCifarSide; ++y) {
        const int64_t from_y = y - move.down;
        const uint8_t* row = planes + channel * kCifarPlane + from_y * kCifarSide;
        for (int64_t x = 0; x < kCifarSide; ++x, to += step) {
          const int64_t moved_x = x - move.right;
          const bool inside = from_y >= 0 && from_y < kCifarSide && moved_x >= 0 && moved_x < kCifarSide;
          *to = values[inside ? row[move.mirror ? kCifarSide - 1 - moved_x : moved_x] : 0];
        }
      }
    }
  }

  at::Tensor records_;  // uint8 [N, 3073]
  at::Tensor order_;
  bool augment_;
  bool channels_last_;
  std::array<std::array<float, 256>, 3> values_;
};

// One name a line; files that people wrote end in empty lines.
std::vector<std::string> read_names(const std::string& path) {
  std::vector<std::string> names;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (static_cast<int64_t>(names.size()) != kCifarClasses) {
    throw core::DataError(
        fmt::format("{}: expected the names of {} classes, one a line, got {}; without the file, {} "
                    "to {} are taken",
                    path, kCifarClasses, names.size(), kClassNames.front(), kClassNames.back()));
  }
  return names;
}

}  // namespace

void check(const Cifar10Options& o) {
  check(LoaderOptions{.batch_size = o.batch_size, .num_workers = o.num_workers});
  if (o.val_split < 0) throw core::ConfigError(fmt::format("val_split: expected 0 or more, got {}", o.val_split));
}

struct Cifar10::State {
  Cifar10Options options;
  std::mutex mutex;
  at::Tensor training, test;  // undefined until read
  std::vector<std::string> names;

  std::vector<fs::path> folders() const { return {options.data_dir, fs::path(options.data_dir) / kSubfolder}; }

  // Empty where there is no such file.
  std::string find(const std::string& name) const {
    for (const auto& folder : folders()) {
      std::error_code error;
      if (fs::exists(folder / name, error)) return folder / name;
    }
    return {};
  }

  at::Tensor read(const std::vector<std::string>& files) const {
    std::vector<std::string> paths;
    for (const auto& name : files) {
      paths.push_back(find(name));
      if (!paths.back().empty()) continue;
      std::vector<std::string> looked;
      for (const auto& folder : folders()) looked.push_back(fs::absolute(folder).lexically_normal().native());
      throw core::DataError(
          fmt::format("{}: no {} in {}; unpack cifar-10-binary.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html, "
                      "\"binary version\"; the Python version is not read) into {}, or name its folder by data_dir",
                      options.kName, name, fmt::join(looked, " or "), looked.front()));
    }
    return read_cifar_records(paths);
  }

  at::Tensor training_records() {
    const std::lock_guard lock(mutex);
    if (!training.defined()) training = read(kTrainingFiles);
    return training;
  }
  at::Tensor test_records() {
    const std::lock_guard lock(mutex);
    if (!test.defined()) test = read({"test_batch.bin"});
    return test;
  }

  std::unique_ptr<Loader> loader(at::Tensor records, at::Tensor order, bool training) const {
    const LoaderOptions load{.batch_size = options.batch_size,
                             .shuffle = training && options.shuffle,
                             .drop_last = training && options.drop_last,
                             .num_workers = options.num_workers,
                             .seed = static_cast<uint64_t>(options.seed)};
    const bool augment = training && options.augment;
    return std::make_unique<Loader>(
        std::make_shared<CifarExamples>(std::move(records), std::move(order), augment, options), load);
  }
};

Cifar10::Cifar10(const Cifar10Options& options) : state_(new State{options, {}, {}, {}, {}}) {
  check(options);
}
Cifar10::~Cifar10() = default;

std::unique_ptr<Loader> Cifar10::train() const {
  const at::Tensor records = state_->training_records();
  const auto split = random_split(records.size(0), state_->options.val_split, state_->options.seed);
  return state_->loader(records, split.training, true);
}

std::unique_ptr<Loader> Cifar10::validation() const {
  if (state_->options.val_split == 0) return nullptr;
  const at::Tensor records = state_->training_records();
  const auto split = random_split(records.size(0), state_->options.val_split, state_->options.seed);
  return state_->loader(records, split.validation, false);
}

std::unique_ptr<Loader> Cifar10::test() const {
  return state_->loader(state_->test_records(), {}, false);
}
std::unique_ptr<Loader> Cifar10::predict() const {
  return test();
}

std::string Cifar10::fingerprint() const {
  return fingerprint_of(state_->training_records());
}

std::vector<int64_t> Cifar10::image_shape() const {
  return state_->options.channels_last ? std::vector<int64_t>{kCifarSide, kCifarSide, 3}
                                       : std::vector<int64_t>{3, kCifarSide, kCifarSide};
}
bool Cifar10::channels_last() const {
  return state_->options.channels_last;
}
Normalization Cifar10::normalization() const {
  return normalization_of(state_->options);
}
int64_t Cifar10::num_classes() const {
  return kCifarClasses;
}
const std::vector<std::string>& Cifar10::class_names() const {
  const std::lock_guard lock(state_->mutex);
  if (state_->names.empty()) {
    const auto file = state_->find("batches.meta.txt");
    state_->names = file.empty() ? kClassNames : read_names(file);
  }
  return state_->names;
}

}  // namespace perceive::data
