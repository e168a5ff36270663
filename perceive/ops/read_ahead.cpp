// A thread that reads chunks into two places in turn.
#include "perceive/ops/read_ahead.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <semaphore>
#include <thread>

namespace perceive::ops {
namespace {

class ReadAhead {
 public:
  explicit ReadAhead(const Source& source)
      : source_(source), step_(std::max<int64_t>(source.chunk, 1)), thread_([this] { read_all(); }) {}
  ~ReadAhead() {
    stopped_ = true;
    free_.release();
  }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  void each(const std::function<void(const at::Tensor&, int64_t)>& body) {
    for (int64_t first = 0; first < source_.length; first += step_) {
      ready_.acquire();
      Place& place = place_of(first);
      if (place.error) std::rethrow_exception(place.error);
      body(place.values, first);
      place.values.reset();
      free_.release();
    }
  }

 private:
  struct Place {
    at::Tensor buffer;  // one-dimensional, for a whole chunk; undefined where nothing need be copied
    at::Tensor values;
    std::exception_ptr error;
  };

  Place& place_of(int64_t first) { return places_[first / step_ % 2]; }

  void read_all() {
    const at::NoGradGuard no_grad;
    for (int64_t first = 0; first < source_.length; first += step_) {
      free_.acquire();
      if (stopped_) return;
      Place& place = place_of(first);
      try {
        read(place, first);
      } catch (...) {
        place.error = std::current_exception();
      }
      const bool failed = place.error != nullptr;  // afterwards the place is the other thread's
      ready_.release();
      if (failed) return;
    }
  }

  void read(Place& place, int64_t first) {
    const int64_t count = std::min(step_, source_.length - first);
    const auto values = source_.read(first, count);
    const std::vector<int64_t> expected = {source_.batch, count, source_.channels};
    TORCH_CHECK(values.defined() && values.sizes() == at::IntArrayRef(expected),
                "attend_source: the reader was asked for the keys ", first, " to ", first + count, ", ",
                at::IntArrayRef(expected), ", and gave ",
                values.defined() ? c10::str(values.sizes()) : std::string("nothing"));
    place.values = source_.stays ? values.detach() : copied(place.buffer, values);
  }

  at::Tensor copied(at::Tensor& buffer, const at::Tensor& values) const {
    if (!buffer.defined() || buffer.scalar_type() != values.scalar_type() || buffer.device() != values.device()) {
      buffer = at::empty({source_.batch * step_ * source_.channels}, values.options());
    }
    const auto copy = buffer.narrow(0, 0, values.numel()).view(values.sizes());
    // A pool of threads for this thread alone would cost more than the copy; `read` may still have one.
    const int threads = at::get_num_threads();
    omp_set_num_threads(1);
    copy.copy_(values);
    omp_set_num_threads(threads);
    return copy;
  }

  const Source& source_;
  const int64_t step_;
  std::array<Place, 2> places_;
  std::counting_semaphore<3> free_{2};   // places; one more to wake the thread for its end
  std::counting_semaphore<2> ready_{0};  // places filled, or failed
  std::atomic<bool> stopped_ = false;
  std::jthread thread_;  // last: it ends before what it uses
};

}  // namespace

void for_chunks(const Source& source, const std::function<void(const at::Tensor& values, int64_t first)>& body) {
  if (source.length > 0) ReadAhead(source).each(body);
}

}  // namespace perceive::ops
