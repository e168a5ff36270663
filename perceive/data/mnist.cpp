// MNIST and Fashion-MNIST: 70,000 pictures of 28 x 28 pixels in ten classes, as four IDX files.
#include "perceive/data/mnist.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <mutex>

#include "perceive/core/error.h"
#include "perceive/data/idx.h"
#include "perceive/data/random.h"
#include "perceive/data/split.h"
#include "perceive/data/tensor_dataset.h"

namespace perceive::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSide = 28;
constexpr int64_t kClasses = 10;

struct Examples {
  at::Tensor images;  // uint8 [N, 28, 28]
  at::Tensor labels;  // uint8 [N]
};

std::string fingerprint_of(const Examples& examples) {
  return TensorDataset({{"image", examples.images}, {"label", examples.labels}}).fingerprint();
}

// Some of the examples, in an order of their own.
class MnistExamples : public Dataset {
 public:
  // `order` int64 [n], or undefined for all as they come.
  MnistExamples(std::shared_ptr<const Examples> examples, at::Tensor order, const MnistFormatOptions& options)
      : examples_(std::move(examples)),
        order_(std::move(order)),
        side_(options.random_crop.value_or(kSide)),
        channels_last_(options.channels_last),
        values_(Normalization(options.normalize).values(0)) {}

  int64_t size() const override { return order_.defined() ? order_.size(0) : examples_->labels.size(0); }

  // Straight from the bytes into the batch: one pass, no copies between.
  Batch batch(const std::vector<int64_t>& indices, uint64_t seed) const override {
    const auto count = static_cast<int64_t>(indices.size());
    at::Tensor images = at::empty({count, side_, side_}, at::kFloat);
    at::Tensor labels = at::empty({count}, at::kLong);
    float* pixel = images.mutable_data_ptr<float>();
    int64_t* label = labels.mutable_data_ptr<int64_t>();
    SplitMix64 random(seed);
    for (const int64_t index : indices) {
      const int64_t example = example_of(index);
      *label++ = examples_->labels.const_data_ptr<uint8_t>()[example];
      const int64_t top = side_ < kSide ? random.below(kSide - side_ + 1) : 0;
      const int64_t left = side_ < kSide ? random.below(kSide - side_ + 1) : 0;
      const uint8_t* corner = examples_->images.const_data_ptr<uint8_t>() + (example * kSide + top) * kSide + left;
      for (int64_t y = 0; y < side_; ++y) {
        for (int64_t x = 0; x < side_; ++x) *pixel++ = values_[corner[y * kSide + x]];
      }
    }
    return {{"image", images.unsqueeze(channels_last_ ? 3 : 1)}, {"label", labels}};
  }

  std::string fingerprint() const override { return fmt::format("{} of {}", size(), fingerprint_of(*examples_)); }

 private:
  int64_t example_of(int64_t index) const {
    TORCH_CHECK_INDEX(index >= 0 && index < size(), "expected an example below ", size(), ", got ", index);
    return order_.defined() ? order_.const_data_ptr<int64_t>()[index] : index;
  }

  std::shared_ptr<const Examples> examples_;
  at::Tensor order_;
  int64_t side_;
  bool channels_last_;
  std::array<float, 256> values_;
};

}  // namespace

void check(const MnistFormatOptions& o) {
  check(LoaderOptions{.batch_size = o.batch_size, .num_workers = o.num_workers});
  if (o.val_split < 0) throw core::ConfigError(fmt::format("val_split: expected 0 or more, got {}", o.val_split));
  if (o.random_crop && (*o.random_crop < 1 || *o.random_crop > kSide)) {
    throw core::ConfigError(
        fmt::format("random_crop: expected null, or a side of 1 to {}, got {}", kSide, *o.random_crop));
  }
}

struct MnistDataModule::State {
  MnistFormatOptions options;
  Kind kind;
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<const Examples>> loaded;  // by the begin of the files' names

  // The path of "train-images" and the like, by any of the names it goes by.
  std::string find(const std::string& part, int dimensions) const {
    const std::vector<fs::path> folders{options.data_dir, fs::path(options.data_dir) / kind.subfolder};
    const std::string name = fmt::format("{}-idx{}-ubyte", part, dimensions);
    for (const auto& folder : folders) {
      for (const auto& candidate : {name, fmt::format("{}.idx{}-ubyte", part, dimensions)}) {
        for (const auto* ending : {"", ".gz"}) {
          const fs::path path = folder / (candidate + ending);
          std::error_code error;
          if (fs::exists(path, error)) return path.native();
        }
      }
    }
    std::vector<std::string> looked;
    for (const auto& folder : folders) looked.push_back(fs::absolute(folder).lexically_normal().native());
    throw core::DataError(
        fmt::format("{}: no {} or {}.gz in {}; {}", kind.name, name, name, fmt::join(looked, " or "), kind.how_to_get));
  }

  // `part` is "train" or "t10k".
  std::shared_ptr<const Examples> examples(const std::string& part) {
    const std::lock_guard lock(mutex);
    auto& kept = loaded[part];
    if (!kept) kept = read(part);
    return kept;
  }

  std::shared_ptr<const Examples> read(const std::string& part) const {
    const std::string image_file = find(part + "-images", 3);
    const std::string label_file = find(part + "-labels", 1);
    Examples examples{read_idx(image_file, 3), read_idx(label_file, 1)};
    const int64_t count = examples.images.size(0);
    if (examples.images.size(1) != kSide || examples.images.size(2) != kSide) {
      throw core::DataError(fmt::format("{}: expected images of {} x {} pixels, got {} x {}", image_file, kSide, kSide,
                                        examples.images.size(1), examples.images.size(2)));
    }
    if (count != examples.labels.size(0)) {
      throw core::DataError(fmt::format("{} holds {} images, and {} holds {} labels", image_file, count, label_file,
                                        examples.labels.size(0)));
    }
    if (count == 0) throw core::DataError(fmt::format("{}: there are no images in it", image_file));
    const uint8_t* labels = examples.labels.const_data_ptr<uint8_t>();
    for (int64_t i = 0; i < count; ++i) {
      if (labels[i] >= kClasses) {
        throw core::DataError(
            fmt::format("{}: label {} of example {}; expected 0 to {}", label_file, labels[i], i, kClasses - 1));
      }
    }
    return std::make_shared<const Examples>(std::move(examples));
  }

  struct SplitExamples : Split {
    std::shared_ptr<const Examples> examples;
  };
  SplitExamples split() {
    auto all = examples("train");
    return {random_split(all->labels.size(0), options.val_split, options.seed), std::move(all)};
  }

  std::unique_ptr<Loader> loader(std::shared_ptr<const Examples> examples, at::Tensor order, bool training) const {
    const LoaderOptions load{.batch_size = options.batch_size,
                             .shuffle = training && options.shuffle,
                             .drop_last = training && options.drop_last,
                             .num_workers = options.num_workers,
                             .seed = static_cast<uint64_t>(options.seed)};
    return std::make_unique<Loader>(std::make_shared<MnistExamples>(std::move(examples), std::move(order), options),
                                    load);
  }
};

MnistDataModule::MnistDataModule(const MnistDataModuleOptions& options)
    : MnistDataModule(options,
                      {.name = options.kName,
                       .subfolder = "MNIST/raw",
                       .class_names = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
                       .how_to_get = "put MNIST's four original files into one of these folders, or name theirs "
                                     "by data_dir"}) {}

FashionMnist::FashionMnist(const FashionMnistOptions& options)
    : MnistDataModule(options, {.name = options.kName,
                                .subfolder = "FashionMNIST/raw",
                                .class_names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal",
                                                "Shirt", "Sneaker", "Bag", "Ankle boot"},
                                .how_to_get = "install them (apt-get install dataset-fashion-mnist), or name their "
                                              "folder by data_dir"}) {}

MnistDataModule::MnistDataModule(const MnistFormatOptions& options, Kind kind)
    : state_(new State{options, std::move(kind), {}, {}}) {
  check(options);
}
MnistDataModule::~MnistDataModule() = default;

std::unique_ptr<Loader> MnistDataModule::train() const {
  const auto split = state_->split();
  return state_->loader(split.examples, split.training, true);
}

std::unique_ptr<Loader> MnistDataModule::validation() const {
  if (state_->options.val_split == 0) return nullptr;
  const auto split = state_->split();
  return state_->loader(split.examples, split.validation, false);
}

std::unique_ptr<Loader> MnistDataModule::test() const {
  return state_->loader(state_->examples("t10k"), {}, false);
}
std::unique_ptr<Loader> MnistDataModule::predict() const {
  return test();
}

std::string MnistDataModule::fingerprint() const {
  return fingerprint_of(*state_->examples("train"));
}

std::vector<int64_t> MnistDataModule::image_shape() const {
  const int64_t side = state_->options.random_crop.value_or(kSide);
  return state_->options.channels_last ? std::vector<int64_t>{side, side, 1} : std::vector<int64_t>{1, side, side};
}
bool MnistDataModule::channels_last() const {
  return state_->options.channels_last;
}
Normalization MnistDataModule::normalization() const {
  return state_->options.normalize;
}
int64_t MnistDataModule::num_classes() const {
  return kClasses;
}
const std::vector<std::string>& MnistDataModule::class_names() const {
  return state_->kind.class_names;
}

}  // namespace perceive::data
