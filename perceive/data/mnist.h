// MNIST and Fashion-MNIST: 70,000 pictures of 28 x 28 pixels in ten classes, as four IDX files.
//
// Splits, transforms and order are those of perceiver-io 0.2.1's MnistDataModule (and of lightning-bolts below it),
// with two corrections: validate has the same validation set as fit, and random_crop changes image_shape() too.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "perceive/data/image_module.h"

namespace perceive::data {

struct MnistFormatOptions {
  std::string data_dir = ".cache";
  int64_t val_split = 10000;
  int64_t batch_size = 32;
  int64_t num_workers = 3;
  bool normalize = true;
  bool channels_last = true;
  std::optional<int64_t> random_crop = {};
  int64_t seed = 42;
  bool shuffle = true;
  bool drop_last = false;
  bool pin_memory = false;
};
template <class Visitor>
void visit(MnistFormatOptions& o, Visitor&& field) {
  field("data_dir", o.data_dir,
        "folder of the four IDX files, plain or .gz; also looked for in its MNIST/raw or FashionMNIST/raw");
  field("val_split", o.val_split, "training images held out for validation; 0: train on all and validate on none");
  field("batch_size", o.batch_size, "images in a batch");
  field("num_workers", o.num_workers, "threads that prepare batches ahead; 0: none");
  field("normalize", o.normalize, "pixels in [-1, 1] instead of [0, 1]");
  field("channels_last", o.channels_last, "images are [H, W, C] instead of [C, H, W]");
  field("random_crop", o.random_crop,
        "side of a square cut out of each image at random, in every split; image_shape follows it");
  field("seed", o.seed, "of the split, the order of training images, and random crops");
  field("shuffle", o.shuffle, "training images in a new order each epoch");
  field("drop_last", o.drop_last, "drop a last training batch that is not full; evaluation never drops an image");
  field("pin_memory", o.pin_memory, "accepted for the sake of existing configurations; without effect on a CPU");
}
// Throws core::ConfigError.
void check(const MnistFormatOptions& options);

struct MnistDataModuleOptions : MnistFormatOptions {
  static constexpr const char* kName = "MnistDataModule";
  static constexpr std::array kAliases{"Mnist"};
};
struct FashionMnistOptions : MnistFormatOptions {
  static constexpr const char* kName = "FashionMnist";
  FashionMnistOptions() { data_dir = "/usr/share/datasets/fashion-mnist"; }
};

// Files are looked for and read when a split is first asked for, and stay in memory as bytes; then core::DataError is
// thrown where they are missing or wrong.
class MnistDataModule : public ImageDataModule {
 public:
  explicit MnistDataModule(const MnistDataModuleOptions& options);
  ~MnistDataModule() override;

  std::unique_ptr<Loader> train() const override;
  std::unique_ptr<Loader> validation() const override;  // null with val_split 0
  std::unique_ptr<Loader> test() const override;
  std::unique_ptr<Loader> predict() const override;  // the test images
  std::string fingerprint() const override;          // of the training images and labels

  std::vector<int64_t> image_shape() const override;
  bool channels_last() const override;
  Normalization normalization() const override;
  int64_t num_classes() const override;
  const std::vector<std::string>& class_names() const override;

 protected:
  struct Kind {
    std::string name;
    std::string subfolder;  // where torchvision puts the files
    std::vector<std::string> class_names;
    std::string how_to_get;
  };
  MnistDataModule(const MnistFormatOptions& options, Kind kind);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class FashionMnist : public MnistDataModule {
 public:
  explicit FashionMnist(const FashionMnistOptions& options);
};

}  // namespace perceive::data
