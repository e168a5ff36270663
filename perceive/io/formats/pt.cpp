// Reading PyTorch's checkpoints: the archive's records, and the state dict in what the pickle says.
#include "perceive/io/formats/pt.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/io/formats/pickle.h"
#include "perceive/io/formats/pt_tensor.h"

namespace perceive::io::pt {
namespace {

using core::in_quotes;
using nlohmann::json;
using pickle::Kind;
using pickle::Object;
using pickle::Ref;

static_assert(std::endian::native == std::endian::little, "tensors are copied as they are");

constexpr const char* kSaveAgain =
    "load it in Python where it is trusted, and save its state_dict() by torch.save of version 1.6 or later";
constexpr std::string_view kLegacyMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";  // 0x1950a86a20f9469cfc6c
constexpr size_t kTarMagic = 257;

bool is_zip(std::string_view start) {
  return start.starts_with("PK\x03\x04");
}
bool is_tar(std::string_view start) {
  return start.size() > kTarMagic && start.substr(kTarMagic).starts_with("ustar");
}
bool is_pickle(std::string_view start) {
  return start.size() >= 2 && start[0] == '\x80' && start[1] > 0 && start[1] <= 5;
}

Bytes checked_start(Bytes file) {
  std::string start(std::min(file.size, kStartBytes), '\0');
  file.read(0, start.data(), start.size());
  if (is_zip(start)) return file;
  const bool legacy = is_tar(start) || (is_pickle(start) && start.find(kLegacyMagic) == 2);
  throw core::FileError(fmt::format("{}: {}: {}", file.name,
                                    legacy             ? "a checkpoint of PyTorch before 1.6, which is not supported"
                                    : is_pickle(start) ? "a bare pickle, which is no checkpoint of PyTorch"
                                                       : "not a checkpoint of PyTorch: it is no zip archive",
                                    kSaveAgain));
}

// The folder of the archive, which ends in '/'.
std::string root_folder(const zip::Archive& archive) {
  constexpr std::string_view kPickle = "data.pkl";
  std::optional<std::string> folder;
  for (const auto& entry : archive.entries()) {
    const size_t slash = entry.name.find('/');
    if (slash == entry.name.npos || std::string_view(entry.name).substr(slash + 1) != kPickle) continue;
    if (folder) throw core::FileError(archive.name() + ": holds data.pkl in two folders; expected one");
    folder = entry.name.substr(0, slash + 1);
  }
  if (!folder) {
    throw core::FileError(
        fmt::format("{}: a zip archive, but not of torch.save: no <folder>/data.pkl among its {} "
                    "entries",
                    archive.name(), archive.entries().size()));
  }
  return *folder;
}

std::string read_pickle(const zip::Archive& archive, const std::string& folder) {
  const auto refuse = [&](const std::string& what) { throw core::FileError(archive.name() + ": " + what); };
  if (archive.find(folder + "constants.pkl") != nullptr) {
    refuse(std::string("a TorchScript archive, which is a program: ") + kSaveAgain);
  }
  const auto short_text = [&](const char* name) -> std::optional<std::string> {
    constexpr uint64_t kLongest = 64;
    const auto* entry = archive.find(folder + name);
    if (entry == nullptr) return {};
    if (entry->size > kLongest) refuse(fmt::format("its record {} has {} bytes; expected a word", name, entry->size));
    return archive.read(*entry);
  };
  if (const auto order = short_text("byteorder"); order && *order != "little") {
    refuse(
        fmt::format("its numbers are in {} byte order; only little-endian ones are read: save it again on a "
                    "little-endian machine",
                    in_quotes(*order)));
  }
  const auto* entry = archive.find(folder + "data.pkl");
  if (const uint64_t most = pickle::Limits().bytes; entry->size > most) {
    refuse(fmt::format("its data.pkl has {} bytes; at most {} are read", entry->size, most));
  }
  return archive.read(*entry);
}

// Tensors and values of the objects of a pickle.
class Reader {
 public:
  Reader(const zip::Archive& archive, const std::string& folder, const std::string& text)
      : file_(archive.name()),
        graph_(text, archive.name()),
        reader_(archive, folder, graph_),
        budget_(kLeastBudget + kBudget * text.size()) {}

  void run() {
    const Ref root = graph_.root_ref();
    if (graph_[root].kind == Kind::dict) {
      for (const char* key : {"state_dict", "model_state_dict", "model", "module", "net"}) {
        if (state_ == nullptr) state_ = mapping_of_tensors(graph_[root], key);
      }
    }
    values = walk(root, 0, "", /*in_state=*/state_ == nullptr);
    if (values.is_discarded()) values = json::object();
    if (tensors.empty()) fail("it holds no tensor");
    std::unordered_set<std::string_view> names;
    for (const auto& tensor : tensors) {
      if (!names.insert(tensor.name).second) fail("tensor " + in_quotes(tensor.name) + " comes twice");
    }
  }

  const std::vector<const zip::Entry*>& storages() const { return reader_.storages(); }

  std::vector<Tensor> tensors;
  json values;

 private:
  // What is written out may be so many times as long as the pickle, in which a thing may stand in many places.
  static constexpr uint64_t kBudget = 16, kLeastBudget = 1 << 18, kValueBytes = 16;
  static constexpr int kDeepest = 100;

  [[noreturn]] void fail(const std::string& what) const { throw core::FileError(fmt::format("{}: {}", file_, what)); }
  void spend(uint64_t bytes) {
    if (bytes > budget_) fail("its values, written out wherever they stand, take more than 16 times its pickle's size");
    budget_ -= bytes;
  }

  const Object* mapping_of_tensors(const Object& map, std::string_view key) const {
    for (size_t i = 0; i < map.items.size(); i += 2) {
      const Object& name = graph_[map.items[i]];
      const Object& value = graph_[map.items[i + 1]];
      if (name.kind != Kind::string || name.text != key || value.kind != Kind::dict) continue;
      for (size_t j = 1; j < value.items.size(); j += 2) {
        if (is_tensor(graph_, value.items[j])) return &value;
      }
    }
    return nullptr;
  }

  // The value of this place, discarded where it is a tensor or holds tensors only. In the state dict those are noted.
  json walk(Ref ref, int depth, const std::string& place, bool in_state) {
    if (depth > kDeepest) fail(fmt::format("its values are nested more than {} deep, or hold themselves", kDeepest));
    spend(kValueBytes + (in_state ? place.size() : 0));
    const Object& object = graph_[ref];
    if (&object == state_) {
      state_ = nullptr;  // it may stand in a second place, as a value beside the first
      return walk_dict(object, depth, "", /*in_state=*/true);
    }
    switch (object.kind) {
      case Kind::none:
        return nullptr;
      case Kind::boolean:
        return object.number != 0;
      case Kind::integer:
        return object.number;
      case Kind::big_integer:
        return fmt::format("<an integer of {} bytes>", object.text.size());
      case Kind::real:
        return object.real;
      case Kind::string:
        spend(object.text.size());
        return std::string(object.text);
      case Kind::bytes:
        return fmt::format("<{} bytes>", object.text.size());
      case Kind::list:
      case Kind::tuple:
      case Kind::set:
        return walk_list(object, depth, place, in_state);
      case Kind::dict:
        return walk_dict(object, depth, place, in_state);
      case Kind::global:
      case Kind::external:
      case Kind::call:
        break;
    }
    if (is_tensor(graph_, ref)) {
      if (in_state) tensors.push_back(reader_.read(ref, place));
      return json(json::value_t::discarded);
    }
    return walk_unknown(ref, depth, place, in_state);
  }

  static std::string joined(const std::string& place, std::string_view key) {
    return place.empty() ? std::string(key) : place + "." + std::string(key);
  }

  json walk_list(const Object& list, int depth, const std::string& place, bool in_state) {
    json result = json::array();
    bool plain = list.items.empty();
    for (size_t i = 0; i < list.items.size(); ++i) {
      json value = walk(list.items[i], depth + 1, in_state ? joined(place, std::to_string(i)) : "", in_state);
      plain = plain || !value.is_discarded();
      result.push_back(value.is_discarded() ? json() : std::move(value));
    }
    if (!plain) return json(json::value_t::discarded);  // a conditional expression would copy the result at every depth
    return result;
  }

  json walk_dict(const Object& map, int depth, const std::string& place, bool in_state) {
    json result = json::object();
    for (size_t i = map.kind == Kind::call ? 2 : 0; i < map.items.size(); i += 2) {
      std::string key = key_of(map.items[i], depth, place, in_state);
      json value = walk(map.items[i + 1], depth + 1, in_state ? joined(place, key) : "", in_state);
      if (value.is_discarded()) continue;
      // Two keys may look the same here: of one class, or 1 and "1".
      if (result.contains(key)) key += fmt::format(" #{}", result.size());
      result[key] = std::move(value);
    }
    if (result.empty() && !map.items.empty()) return json(json::value_t::discarded);
    return result;
  }

  std::string key_of(Ref ref, int depth, const std::string& place, bool in_state) {
    const Object& key = graph_[ref];
    if (key.kind == Kind::string) {
      spend(key.text.size());
      return std::string(key.text);
    }
    if (key.kind == Kind::integer) return std::to_string(key.number);
    if (in_state) {
      fail(fmt::format("{} has a key that is {}; expected strings or integers", shown(place), graph_.described(ref)));
    }
    const json value = walk(ref, depth + 1, "", false);
    return value.is_discarded() ? "<a tensor>" : value.dump();
  }

  // The few globals and calls that say something, and the names of all others.
  json walk_unknown(Ref ref, int depth, const std::string& place, bool in_state) {
    const Object& object = graph_[ref];
    if (object.kind == Kind::global) {
      if (const auto* dtype = dtype_of(graph_, ref)) return fmt::format("torch.{}", dtype->name);
    } else if (object.kind == Kind::call && object.items.size() == 2) {
      const Ref callee = object.items[0];
      const Object& arguments = graph_[object.items[1]];
      const auto is = [&](const char* module, const char* name) { return graph_.is(callee, module, name); };
      const bool set = is("__builtin__", "set") || is("builtins", "set") || is("builtins", "frozenset");
      const bool wraps = is("torch", "Size") || is("collections", "OrderedDict") || is("collections", "Counter") || set;
      if (wraps && arguments.items.size() == 1) return walk(arguments.items[0], depth + 1, place, in_state);
      if (is("torch", "device")) return walk(object.items[1], depth + 1, place, in_state);
    }
    if (in_state) {
      fail(fmt::format("{} needs {}, which is not run or imported from a file; expected tensors and plain values: {}",
                       shown(place), graph_.described(ref), kSaveAgain));
    }
    std::string name = graph_.described(ref);
    if (name.front() == '\'') name = name.substr(1, name.size() - 2);
    name = "<" + name + ">";
    spend(name.size());
    if (object.kind != Kind::call || object.items.size() == 2) return name;
    json result = walk_dict(object, depth, "", false);
    if (result.is_object()) result["__class__"] = name;
    return result;
  }

  static std::string shown(const std::string& place) { return place.empty() ? "what it holds" : in_quotes(place); }

  const std::string& file_;
  pickle::Graph graph_;
  TensorReader reader_;
  uint64_t budget_;
  const Object* state_ = nullptr;  // the state dict, where it is not all there is
};

}  // namespace

bool looks_like(std::string_view start) {
  // The length of a safetensors header, below 2^32, could begin as anything.
  const bool safetensors = start.size() > 8 && start[8] == '{' && start.substr(4, 4) == std::string_view("\0\0\0\0", 4);
  return !safetensors && (is_zip(start) || is_tar(start) || is_pickle(start));
}

Checkpoint::Checkpoint(Bytes file) : archive_(checked_start(std::move(file))) {
  const std::string folder = root_folder(archive_);
  const std::string text = read_pickle(archive_, folder);
  Reader reader(archive_, folder, text);
  reader.run();
  storages_ = reader.storages();
  tensors_ = std::move(reader.tensors);
  values_ = std::make_unique<json>(std::move(reader.values));
}

Checkpoint::~Checkpoint() = default;

}  // namespace perceive::io::pt
