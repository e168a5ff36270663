// Reading the calls that make tensors, with distrust in every number.
#include "perceive/io/formats/pt_tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "perceive/core/error.h"
#include "perceive/core/text.h"

namespace perceive::io::pt {
namespace {

using core::in_quotes;
using pickle::Graph;
using pickle::Kind;
using pickle::Object;
using pickle::Ref;

constexpr const char* kModule = "torch._utils";
constexpr const char* kTensor = "_rebuild_tensor_v2";
constexpr const char* kTypedTensor = "_rebuild_tensor_v3";  // of dtypes that have no storage class of their own
constexpr const char* kParameter = "_rebuild_parameter";
constexpr const char* kParameterWithState = "_rebuild_parameter_with_state";

bool calls(const Graph& graph, Ref ref, const char* function) {
  return graph[ref].kind == Kind::call && graph.is(graph[ref].items[0], kModule, function);
}

// Why a tensor does not lie in a storage of so many elements, or nothing.
std::string objection(const Tensor& tensor, uint64_t elements) {
  const auto negative = [](int64_t number) { return number < 0; };
  if (tensor.shape.size() != tensor.strides.size()) return "as many strides as sizes are expected";
  if (tensor.offset < 0 || std::any_of(tensor.shape.begin(), tensor.shape.end(), negative) ||
      std::any_of(tensor.strides.begin(), tensor.strides.end(), negative)) {
    return "none may be negative";
  }
  // Axes of length 0 count as 1 against overflow: the size of the others must be a number too.
  int64_t last = tensor.offset, bytes = static_cast<int64_t>(info(tensor.dtype).bytes);
  bool empty = false;
  for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    const int64_t size = std::max<int64_t>(tensor.shape[axis], 1);
    int64_t reach = 0;
    empty = empty || tensor.shape[axis] == 0;
    if (__builtin_mul_overflow(bytes, size, &bytes) || __builtin_mul_overflow(size - 1, tensor.strides[axis], &reach) ||
        __builtin_add_overflow(last, reach, &last)) {
      return "the size overflows";
    }
  }
  if (empty ? static_cast<uint64_t>(tensor.offset) > elements : static_cast<uint64_t>(last) >= elements) {
    return fmt::format("it reaches element {} of a storage of {}", last, elements);
  }
  return {};
}

}  // namespace

const DtypeInfo* dtype_of(const Graph& graph, Ref ref) {
  const auto found =
      std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& d) { return graph.is(ref, "torch", d.name); });
  return found == kDtypes.end() ? nullptr : &*found;
}

bool is_tensor(const Graph& graph, Ref ref) {
  return calls(graph, ref, kTensor) || calls(graph, ref, kTypedTensor) || calls(graph, ref, kParameter) ||
         calls(graph, ref, kParameterWithState);
}

// A call that makes a tensor, with its arguments.
class TensorReader::Call {
 public:
  Call(const std::string& file, const Graph& graph, Ref ref, const std::string& tensor)
      : file_(file), graph_(graph), ref_(ref), tensor_(tensor) {
    if (graph[ref].items.size() != 2) fail("items are set in it, as in a dict");
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw core::FileError(
        fmt::format("{}: tensor {}, byte {} of the pickle: {}", file_, in_quotes(tensor_), graph_[ref_].at, what));
  }
  bool has(size_t index) const { return index < arguments().size(); }
  Ref ref(size_t index) const {
    if (!has(index)) fail(fmt::format("expected an argument {}; found {} arguments", index, arguments().size()));
    return arguments()[index];
  }
  const Object& get(size_t index, Kind kind) const {
    const Object& object = graph_[ref(index)];
    if (object.kind == kind) return object;
    fail(fmt::format("expected argument {} to be {}; found {}", index, name_of(kind), graph_.described(ref(index))));
  }
  std::vector<int64_t> numbers(size_t index) const {
    constexpr size_t kMostAxes = 64;
    std::vector<int64_t> result;
    for (const Ref number : get(index, Kind::tuple).items) {
      if (result.size() == kMostAxes) fail(fmt::format("it has more than {} axes", kMostAxes));
      if (graph_[number].kind != Kind::integer) {
        fail("expected integers as sizes and strides; found " + graph_.described(number));
      }
      result.push_back(graph_[number].number);
    }
    return result;
  }
  bool typed() const { return calls(graph_, ref_, kTypedTensor); }

 private:
  const std::vector<Ref>& arguments() const { return graph_[graph_[ref_].items[1]].items; }

  const std::string& file_;
  const Graph& graph_;
  Ref ref_;
  const std::string& tensor_;
};

Tensor TensorReader::read(Ref ref, const std::string& name) {
  if (calls(graph_, ref, kParameter) || calls(graph_, ref, kParameterWithState)) {
    const Call parameter(archive_.name(), graph_, ref, name);
    ref = parameter.ref(0);
    if (!calls(graph_, ref, kTensor) && !calls(graph_, ref, kTypedTensor)) {
      parameter.fail("expected a parameter of a dense tensor; found one of " + graph_.described(ref));
    }
  }
  const Call call(archive_.name(), graph_, ref, name);
  const auto& id = call.get(0, Kind::external);
  const auto& parts = graph_[id.items[0]].items;
  if (parts.size() != 5 || graph_[parts[0]].text != "storage" || graph_[parts[2]].kind != Kind::string ||
      graph_[parts[4]].kind != Kind::integer) {
    call.fail("expected its storage to be ('storage', class, key, location, elements)");
  }
  const Ref storage_class = parts[1];
  const DtypeInfo* dtype = nullptr;
  if (call.typed()) {
    if (!graph_.is(storage_class, "torch.storage", "UntypedStorage")) {
      call.fail("expected a torch.storage.UntypedStorage; found " + graph_.described(storage_class));
    }
    dtype = dtype_of(graph_, call.ref(6));
    if (dtype == nullptr) call.fail("expected a dtype that is supported; found " + graph_.described(call.ref(6)));
  } else {
    const auto found = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& d) {
      return d.storage != nullptr && graph_.is(storage_class, "torch", d.storage);
    });
    if (found == kDtypes.end()) call.fail("its storage is " + graph_.described(storage_class) + ", not supported");
    dtype = &*found;
  }
  const size_t flags = call.typed() ? 7 : 6;
  if (call.has(flags) && !graph_[call.ref(flags)].items.empty()) {
    call.fail("it is to be conjugated or negated; save tensor.resolve_conj().resolve_neg()");
  }

  Tensor tensor{name, dtype->dtype, call.numbers(2), call.numbers(3), call.get(1, Kind::integer).number};
  // An untyped storage counts bytes.
  const uint64_t unit = call.typed() ? 1 : dtype->bytes;
  const std::string_view key = graph_[parts[2]].text;
  const int64_t elements = graph_[parts[4]].number;
  const auto* entry = archive_.find(folder_ + "data/" + std::string(key));
  if (entry == nullptr) call.fail(fmt::format("the archive has no record {} in data/ for its storage", in_quotes(key)));
  if (elements < 0 || entry->size % unit != 0 || static_cast<uint64_t>(elements) != entry->size / unit) {
    call.fail(fmt::format("its storage is said to have {} elements of {} bytes; its record has {} bytes", elements,
                          unit, entry->size));
  }
  if (const std::string why = objection(tensor, entry->size / dtype->bytes); !why.empty()) {
    call.fail(fmt::format("shape [{}], strides [{}], offset {}: {}", fmt::join(tensor.shape, ", "),
                          fmt::join(tensor.strides, ", "), tensor.offset, why));
  }
  const auto [place, is_new] = index_.emplace(entry, storages_.size());
  if (is_new) storages_.push_back(entry);
  tensor.storage = place->second;
  return tensor;
}

}  // namespace perceive::io::pt
