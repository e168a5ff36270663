// What the second run of a part of a model must find as the first one did: random generators and autocast.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <vector>

namespace perceive::nn {

// The default generators that a part on `device` may draw from, as they are now.
class RandomState {
 public:
  explicit RandomState(at::Device device);
  void restore() const;

 private:
  std::vector<at::Generator> generators_;
  std::vector<at::Tensor> states_;
};

// Of a kind of device, as it is now.
class AutocastState {
 public:
  explicit AutocastState(at::DeviceType type);
  void restore() const;

 private:
  at::DeviceType type_;
  bool available_, cache_;
  bool enabled_ = false;
  at::ScalarType dtype_ = at::kFloat;
};

// Brings a state about until the scope ends, however it does, but for the cache: a weight cast in a segment has no
// history; from there it would reach segments that are not checkpointed.
class UncachedAutocast {
 public:
  UncachedAutocast(const AutocastState& wanted, at::DeviceType type);
  ~UncachedAutocast() { before_.restore(); }
  UncachedAutocast(const UncachedAutocast&) = delete;
  UncachedAutocast& operator=(const UncachedAutocast&) = delete;

 private:
  AutocastState before_;
};

// The same for the random generators.
class Redrawn {
 public:
  Redrawn(const RandomState& wanted, at::Device device) : before_(device) { wanted.restore(); }
  ~Redrawn() { before_.restore(); }
  Redrawn(const Redrawn&) = delete;
  Redrawn& operator=(const Redrawn&) = delete;

 private:
  RandomState before_;
};

}  // namespace perceive::nn
