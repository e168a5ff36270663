// Batches in a reproducible order, prepared by worker threads, from any position of any epoch.
#include "perceive/data/loader.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <omp.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <new>
#include <numeric>
#include <stop_token>
#include <system_error>
#include <thread>

#include "perceive/core/error.h"
#include "perceive/data/random.h"

namespace perceive::data {
namespace {

constexpr int64_t kMostWorkers = 1024;
constexpr int64_t kBatchesAheadPerWorker = 2;

std::vector<int64_t> shuffled(int64_t size, uint64_t seed) {
  std::vector<int64_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  SplitMix64 random(seed);
  for (int64_t i = size - 1; i > 0; --i) std::swap(order[i], order[random.below(i + 1)]);
  return order;
}

// Copying a batch gains nothing from a pool of threads for each worker. at::set_num_threads would change what other
// threads start with; OpenMP's own setting is the calling thread's, once ATen has done its lazy one.
void keep_this_thread_serial() {
  at::get_num_threads();
  omp_set_num_threads(1);
}

}  // namespace

void check(const LoaderOptions& o) {
  if (o.batch_size < 1) throw core::ConfigError(fmt::format("batch_size: expected 1 or more, got {}", o.batch_size));
  if (o.num_workers < 0 || o.num_workers > kMostWorkers) {
    throw core::ConfigError(fmt::format("num_workers: expected 0 to {}, got {}", kMostWorkers, o.num_workers));
  }
}

struct Loader::State {
  struct Prepared {
    Batch batch;
    std::exception_ptr error;
  };

  State(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options)
      : dataset(std::move(dataset)), options(options), size(this->dataset->size()) {
    const bool partial_counts = !options.drop_last && size % options.batch_size != 0;
    batches = size / options.batch_size + (partial_counts ? 1 : 0);
  }
  ~State() { stop(); }

  void stop() {
    for (auto& worker : workers) worker.request_stop();
    workers.clear();
    prepared.clear();
  }

  std::vector<int64_t> indices(int64_t number) const {
    const int64_t begin = number * options.batch_size;
    const int64_t end = begin + std::min(options.batch_size, size - begin);
    if (options.shuffle) return {order.begin() + begin, order.begin() + end};
    std::vector<int64_t> range(end - begin);
    std::iota(range.begin(), range.end(), begin);
    return range;
  }

  Batch make(int64_t number) const {
    at::NoGradGuard no_grad;
    const auto chosen = indices(number);
    const auto where = [&] {
      const auto shown = std::min<int64_t>(chosen.size(), 8);
      return fmt::format("batch {} of epoch {} (examples {}{})", number, epoch,
                         fmt::join(chosen.begin(), chosen.begin() + shown, ", "),
                         shown < static_cast<int64_t>(chosen.size()) ? ", …" : "");
    };
    try {
      return dataset->batch(chosen, derive_seed(options.seed, epoch, number + 1));
    } catch (const core::Error&) {
      throw;
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const c10::Error& error) {
      throw core::DataError(fmt::format("{}: {}", where(), error.what_without_backtrace()));
    } catch (const std::exception& error) {
      throw core::DataError(fmt::format("{}: {}", where(), error.what()));
    }
  }

  void work(const std::stop_token& stopped) {
    keep_this_thread_serial();
    while (true) {
      std::unique_lock lock(mutex);
      room.wait(lock, stopped, [&] { return claimed == batches || claimed < delivered + window(); });
      if (stopped.stop_requested() || claimed == batches) return;
      const int64_t number = claimed++;
      lock.unlock();
      Prepared result;
      try {
        result.batch = make(number);
      } catch (...) {
        result.error = std::current_exception();
      }
      lock.lock();
      prepared[number] = std::move(result);
      ready.notify_one();
    }
  }

  int64_t window() const { return options.num_workers * kBatchesAheadPerWorker; }

  const std::shared_ptr<const Dataset> dataset;
  const LoaderOptions options;
  const int64_t size;
  int64_t batches = 0;
  int64_t epoch = -1;          // not started
  std::vector<int64_t> order;  // of this epoch's examples, where shuffled

  std::mutex mutex;
  std::condition_variable ready;
  std::condition_variable_any room;
  int64_t claimed = 0;                   // batches below are prepared, or a worker is at it
  int64_t delivered = 0;                 // batches below have left
  std::map<int64_t, Prepared> prepared;  // at most window() of them
  std::vector<std::jthread> workers;
};

Loader::Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options) {
  check(options);
  TORCH_CHECK(dataset, "Loader: there is no data set");
  state_ = std::make_unique<State>(std::move(dataset), options);
  if (state_->size < 1) throw core::DataError("Loader: the data set is empty; there is nothing to make a batch of");
  if (state_->batches == 0) {
    throw core::DataError(
        fmt::format("Loader: {} examples do not fill one batch of {}, and drop_last drops what is not full; lower "
                    "batch_size or leave drop_last off",
                    state_->size, options.batch_size));
  }
}

Loader::~Loader() = default;

int64_t Loader::batches() const {
  return state_->batches;
}
const Dataset& Loader::dataset() const {
  return *state_->dataset;
}
const LoaderOptions& Loader::options() const {
  return state_->options;
}

std::unique_ptr<Loader> Loader::with(const LoaderOptions& options) const {
  return std::make_unique<Loader>(state_->dataset, options);
}

void Loader::start(int64_t epoch, int64_t first_batch) {
  State& s = *state_;
  TORCH_CHECK(epoch >= 0, "Loader: expected an epoch of 0 or more, got ", epoch);
  if (first_batch < 0 || first_batch > s.batches) {
    throw core::DataError(fmt::format(
        "Loader: cannot begin at batch {} of an epoch of {} batches; is this another data set or batch_size "
        "than before?",
        first_batch, s.batches));
  }
  s.stop();
  if (s.options.shuffle && epoch != s.epoch) s.order = shuffled(s.size, derive_seed(s.options.seed, epoch, 0));
  s.epoch = epoch;
  s.claimed = s.delivered = first_batch;
  const int64_t workers = std::min(s.options.num_workers, s.batches - first_batch);
  try {
    for (int64_t i = 0; i < workers; ++i) {
      s.workers.emplace_back([&s](const std::stop_token& stopped) { s.work(stopped); });
    }
  } catch (const std::system_error& error) {
    s.stop();
    throw core::Error(
        core::ExitCode::failure,
        fmt::format("Loader: cannot start {} worker threads ({}); lower num_workers", workers, error.what()));
  }
}

std::optional<Batch> Loader::next() {
  State& s = *state_;
  TORCH_CHECK(s.epoch >= 0, "Loader: call start() before next()");
  if (s.delivered == s.batches) return std::nullopt;
  if (s.workers.empty()) {
    Batch batch = s.make(s.delivered);
    ++s.delivered;
    return batch;
  }
  std::unique_lock lock(s.mutex);
  s.ready.wait(lock, [&] { return s.prepared.contains(s.delivered); });
  const auto found = s.prepared.find(s.delivered);
  if (found->second.error) std::rethrow_exception(found->second.error);
  Batch batch = std::move(found->second.batch);
  s.prepared.erase(found);
  ++s.delivered;
  lock.unlock();
  s.room.notify_all();
  return batch;
}

}  // namespace perceive::data
