// CIFAR-10: 60,000 colour pictures of 32 x 32 pixels in ten classes, as the six files of its binary version.
//
// Split sizes, transforms and numbers are those of flash-perceiver 0.2.0's example, with two corrections: validation
// images are not distorted, and which images they are follows from the seed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "perceive/data/image_module.h"

namespace perceive::data {

struct Cifar10Options {
  static constexpr const char* kName = "Cifar10";
  std::string data_dir = ".cache";
  int64_t val_split = 5000;
  int64_t batch_size = 128;
  int64_t num_workers = 3;
  bool augment = true;
  bool normalize = true;
  bool channels_last = true;
  int64_t seed = 42;
  bool shuffle = true;
  bool drop_last = false;
};
template <class Visitor>
void visit(Cifar10Options& o, Visitor&& field) {
  field("data_dir", o.data_dir,
        "folder of data_batch_1.bin to data_batch_5.bin and test_batch.bin, or the one above it");
  field("val_split", o.val_split, "training images held out for validation; 0: train on all and validate on none");
  field("batch_size", o.batch_size, "images in a batch");
  field("num_workers", o.num_workers, "threads that prepare batches ahead; 0: none");
  field("augment", o.augment,
        "training images are moved by up to 4 pixels each way, over black, and half are mirrored");
  field("normalize", o.normalize, "each colour with mean 0 and deviation 1 over the training images, not in [0, 1]");
  field("channels_last", o.channels_last, "images are [H, W, C] instead of [C, H, W]");
  field("seed", o.seed, "of the split, the order of training images, and how they are moved and mirrored");
  field("shuffle", o.shuffle, "training images in a new order each epoch");
  field("drop_last", o.drop_last, "drop a last training batch that is not full; evaluation never drops an image");
}
// Throws core::ConfigError.
void check(const Cifar10Options& options);

// Files are looked for and read when a split is first asked for, and stay in memory as bytes; then core::DataError is
// thrown where they are missing or wrong.
class Cifar10 : public ImageDataModule {
 public:
  explicit Cifar10(const Cifar10Options& options);
  ~Cifar10() override;

  std::unique_ptr<Loader> train() const override;
  std::unique_ptr<Loader> validation() const override;  // null with val_split 0
  std::unique_ptr<Loader> test() const override;
  std::unique_ptr<Loader> predict() const override;  // the test images
  std::string fingerprint() const override;          // of the training images and labels

  std::vector<int64_t> image_shape() const override;
  bool channels_last() const override;
  Normalization normalization() const override;
  int64_t num_classes() const override;
  // Those in batches.meta.txt, where it lies beside the batches; else the ones that CIFAR-10 has.
  const std::vector<std::string>& class_names() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perceive::data
