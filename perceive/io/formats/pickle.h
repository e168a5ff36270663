// What a pickle says, without doing any of it. No tensors here.
//
// Format: Python's pickle protocols 2 to 5 (the comments of Lib/pickletools.py), the opcodes that pickle and torch.save
// write. A pickle is a program that imports and calls what it names; here a name stays a name and a call a record of
// it, and who reads them decides which it knows the meaning of. Time and memory are bounded by the pickle's size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace perceive::io::pickle {

enum class Kind : uint8_t {
  none,
  boolean,      // number
  integer,      // number
  big_integer,  // of more than 64 bits; text: its bytes, little-endian two's complement
  real,         // real
  string,       // text, in UTF-8
  bytes,        // text
  list,         // items
  tuple,        // items
  set,          // items
  dict,         // items: key, value, key, value; also what OrderedDict() and defaultdict() make
  global,       // text: its name; items: the string that names its module
  call,         // items: the global called, the tuple of its arguments; key, value, … that were set in its result
  external,     // items: what names it, in a tuple (BINPERSID): a storage of torch
};
const char* name_of(Kind kind);

using Ref = uint32_t;  // an object; a list may hold itself

struct Object {
  Kind kind = Kind::none;
  uint32_t at = 0;  // byte of the pickle that made it
  union {
    int64_t number = 0;
    double real;
  };
  std::string_view text;  // in the pickle
  std::vector<Ref> items;
};

struct Limits {
  uint64_t bytes = 128 << 20;
  uint64_t objects = 16 << 20;  // about 15 a tensor
};

class Graph {
 public:
  // Throws core::FileError naming `file`, the byte and the reason. The text must outlive the graph.
  Graph(std::string_view text, const std::string& file, const Limits& limits = {});

  const Object& root() const { return objects_[root_]; }
  const Object& operator[](Ref ref) const { return objects_[ref]; }
  Ref root_ref() const { return root_; }
  // Whether this is the global of that module and name.
  bool is(Ref ref, std::string_view module, std::string_view name) const;
  // 'collections.OrderedDict' for a global or for a call of it; what kind of thing it is for others.
  std::string described(Ref ref) const;

 private:
  friend class Machine;
  std::vector<Object> objects_;
  Ref root_ = 0;
};

}  // namespace perceive::io::pickle
