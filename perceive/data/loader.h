// Batches in a reproducible order, prepared by worker threads, from any position of any epoch.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "perceive/data/dataset.h"

namespace perceive::data {

struct LoaderOptions {
  int64_t batch_size = 64;
  bool shuffle = false;     // the order is a function of (seed, epoch)
  bool drop_last = false;   // drop a last batch that is not full
  int64_t num_workers = 0;  // threads that prepare batches ahead; 0: the calling thread does
  uint64_t seed = 0;        // of the order and of random transforms
};
// Throws core::ConfigError.
void check(const LoaderOptions& options);

// Neither the order nor the content of the batches depends on the number of workers. A loader belongs to one thread.
class Loader {
 public:
  // Throws core::DataError where there would be no batch at all.
  Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options);
  ~Loader();

  int64_t batches() const;  // of one epoch
  const Dataset& dataset() const;
  const LoaderOptions& options() const;
  // Another loader of the same examples.
  std::unique_ptr<Loader> with(const LoaderOptions& options) const;

  // Begins `epoch` at its batch number `first_batch`; whatever was under way is dropped.
  void start(int64_t epoch, int64_t first_batch = 0);
  // The next batch, or nothing at the end of the epoch. Throws what went wrong while that batch was made, again at
  // every call until start(); what is no core::Error becomes a core::DataError naming batch and examples.
  std::optional<Batch> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perceive::data
