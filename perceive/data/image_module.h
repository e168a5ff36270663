// A data set of pictures in classes, as image classification asks for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "perceive/data/module.h"
#include "perceive/data/normalize.h"

namespace perceive::data {

// Batches are {"image": float [B, …image_shape()], "label": int64 [B], below num_classes()}. What is said here is known
// without the files, but for the names of classes that lie in one.
class ImageDataModule : public DataModule {
 public:
  virtual std::vector<int64_t> image_shape() const = 0;  // [H, W, C], or [C, H, W] without channels_last()
  virtual bool channels_last() const = 0;
  virtual Normalization normalization() const = 0;
  virtual int64_t num_classes() const = 0;
  virtual const std::vector<std::string>& class_names() const = 0;
};

}  // namespace perceive::data
