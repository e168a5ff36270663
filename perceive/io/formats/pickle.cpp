// Reading pickles: a machine of the opcodes' stack and memo, which builds records only.
#include "perceive/io/formats/pickle.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "perceive/core/error.h"
#include "perceive/core/text.h"

namespace perceive::io::pickle {
namespace {

constexpr Ref kNone = 0, kFalse = 1, kTrue = 2, kEmptyTuple = 3;  // made once
constexpr Ref kUnset = 0xffffffff;
constexpr uint8_t kLowestProtocol = 2, kHighestProtocol = 5;

// Named as in pickletools.
enum Op : uint8_t {
  PROTO = 0x80,
  FRAME = 0x95,
  STOP = '.',
  MARK = '(',
  POP = '0',
  POP_MARK = '1',
  DUP = '2',
  MEMOIZE = 0x94,
  BINPUT = 'q',
  LONG_BINPUT = 'r',
  BINGET = 'h',
  LONG_BINGET = 'j',
  NONE = 'N',
  NEWTRUE = 0x88,
  NEWFALSE = 0x89,
  BININT = 'J',
  BININT1 = 'K',
  BININT2 = 'M',
  LONG1 = 0x8a,
  LONG4 = 0x8b,
  BINFLOAT = 'G',
  BINUNICODE = 'X',
  SHORT_BINUNICODE = 0x8c,
  BINUNICODE8 = 0x8d,
  BINSTRING = 'T',
  SHORT_BINSTRING = 'U',
  BINBYTES = 'B',
  SHORT_BINBYTES = 'C',
  BINBYTES8 = 0x8e,
  BYTEARRAY8 = 0x96,
  EMPTY_LIST = ']',
  APPEND = 'a',
  APPENDS = 'e',
  EMPTY_TUPLE = ')',
  TUPLE = 't',
  TUPLE1 = 0x85,
  TUPLE2 = 0x86,
  TUPLE3 = 0x87,
  EMPTY_SET = 0x8f,
  ADDITEMS = 0x90,
  FROZENSET = 0x91,
  EMPTY_DICT = '}',
  SETITEM = 's',
  SETITEMS = 'u',
  GLOBAL = 'c',
  STACK_GLOBAL = 0x93,
  REDUCE = 'R',
  NEWOBJ = 0x81,
  NEWOBJ_EX = 0x92,
  BUILD = 'b',
  BINPERSID = 'Q',
};

}  // namespace

class Machine {
 public:
  Machine(Graph& graph, std::string_view text, const std::string& file, const Limits& limits)
      : objects_(graph.objects_), graph_(graph), text_(text), file_(file), limits_(limits) {}

  void run() {
    if (text_.size() > limits_.bytes) {
      fail(fmt::format("it has {} bytes; at most {} are read", text_.size(), limits_.bytes));
    }
    for (const Kind kind : {Kind::none, Kind::boolean, Kind::boolean, Kind::tuple}) make(kind);
    objects_[kTrue].number = 1;
    if (text_.empty() || static_cast<uint8_t>(text_[0]) != PROTO) {
      fail("expected it to begin with the opcode PROTO: it is no pickle, or one of the protocols 0 and 1");
    }
    while (!stopped_) {
      at_ = next_;
      if (next_ == text_.size()) fail("it ends without the opcode STOP: it is cut");
      step(static_cast<uint8_t>(text_[next_++]));
    }
    if (next_ != text_.size()) fail(fmt::format("{} bytes follow the opcode STOP", text_.size() - next_));
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw core::FileError(fmt::format("{}: the pickle, at byte {}: {}", file_, at_, what));
  }

  // The bytes behind the opcode.
  std::string_view take(uint64_t bytes) {
    if (bytes > text_.size() - next_) {
      fail(fmt::format("opcode 0x{:02x} needs {} bytes; {} are left", static_cast<uint8_t>(text_[at_]), bytes,
                       text_.size() - next_));
    }
    return text_.substr(std::exchange(next_, next_ + bytes), bytes);
  }
  template <class Number>
  Number take() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view take_line() {
    const size_t end = text_.find('\n', next_);
    if (end == text_.npos) fail("a name has no end");
    const auto line = take(end - next_);
    ++next_;
    return line;
  }

  Ref make(Kind kind, std::string_view text = {}, std::vector<Ref> items = {}) {
    if (objects_.size() >= limits_.objects) fail(fmt::format("it makes more than {} objects", limits_.objects));
    objects_.push_back({.kind = kind, .at = static_cast<uint32_t>(at_), .text = text, .items = std::move(items)});
    return static_cast<Ref>(objects_.size() - 1);
  }
  void push(Ref ref) { stack_.push_back(ref); }
  void push_integer(int64_t value) {
    push(make(Kind::integer));
    objects_.back().number = value;
  }
  void push_string(std::string_view text) {
    if (core::first_invalid_utf8(text) != text.npos) fail("the string " + core::in_quotes(text) + " is not UTF-8");
    push(make(Kind::string, text));
  }
  void push_long(std::string_view digits) {
    if (digits.size() > sizeof(int64_t)) return push(make(Kind::big_integer, digits));
    int64_t value = !digits.empty() && (digits.back() & 0x80) ? -1 : 0;
    std::memcpy(&value, digits.data(), digits.size());
    push_integer(value);
  }

  size_t bottom() const { return marks_.empty() ? 0 : marks_.back(); }
  Ref top() const {
    if (stack_.size() == bottom()) fail("the stack is empty");
    return stack_.back();
  }
  Ref pop() {
    const Ref ref = top();
    stack_.pop_back();
    return ref;
  }
  std::vector<Ref> pop(size_t count) {
    if (stack_.size() - bottom() < count) fail(fmt::format("expected {} objects on the stack", count));
    std::vector<Ref> items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }
  std::vector<Ref> pop_to_mark() {
    if (marks_.empty()) fail("there is no mark on the stack");
    auto items = pop(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  void put(uint64_t index) {
    if (index >= text_.size()) fail(fmt::format("it stores under {}, which exceeds its size", index));
    if (index >= memo_.size()) memo_.resize(index + 1, kUnset);
    memo_[index] = top();
    ++memoized_;
  }
  Ref get(uint64_t index) const {
    if (index >= memo_.size() || memo_[index] == kUnset) fail(fmt::format("nothing is stored under {}", index));
    return memo_[index];
  }

  // What a class unknown here does with items is not known either: of a call, pairs are kept and others dropped.
  void append(Kind kind, const std::vector<Ref>& items) {
    Object& to = objects_[top()];
    if (to.kind == Kind::call) return;
    if (to.kind != kind) fail(fmt::format("expected a {} to add to; found {}", name_of(kind), graph_.described(top())));
    to.items.insert(to.items.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<Ref>& items) {
    Object& to = objects_[top()];
    if (to.kind != Kind::dict && to.kind != Kind::call) {
      fail("expected a dict to set items in; found " + graph_.described(top()));
    }
    if (items.size() % 2 != 0) fail(fmt::format("expected pairs to set in a dict; found {} objects", items.size()));
    to.items.insert(to.items.end(), items.begin(), items.end());
  }

  void push_global(Ref module, Ref name) {
    if (objects_[module].kind != Kind::string || objects_[name].kind != Kind::string) {
      fail("expected two strings that name a global");
    }
    push(make(Kind::global, objects_[name].text, {module}));
  }
  void call(Ref callee, Ref arguments) {
    if (objects_[arguments].kind != Kind::tuple) fail("expected a tuple of arguments");
    if (const Kind kind = objects_[callee].kind; kind != Kind::global && kind != Kind::call) {
      fail("expected something to call; found " + graph_.described(callee));
    }
    const size_t count = objects_[arguments].items.size();
    const bool dict = (graph_.is(callee, "collections", "OrderedDict") && count == 0) ||
                      (graph_.is(callee, "collections", "defaultdict") && count <= 1);
    // Of a call of what a call gave, the first one's name tells enough.
    if (objects_[callee].kind == Kind::call) callee = objects_[callee].items[0];
    push(dict ? make(Kind::dict) : make(Kind::call, {}, {callee, arguments}));
  }
  void build() {
    const Ref state = pop();
    const Kind kind = objects_[top()].kind;
    // The state of a dict is its attributes, as the _metadata of a state_dict.
    if (kind != Kind::dict && kind != Kind::call) {
      fail(fmt::format("expected an object to give {} to; found {}", graph_.described(state), graph_.described(top())));
    }
  }

  void step(uint8_t op) {
    switch (op) {
      case PROTO:
        if (const auto version = take<uint8_t>(); version < kLowestProtocol || version > kHighestProtocol) {
          fail(fmt::format("expected the protocol {} to {}; found {}", kLowestProtocol, kHighestProtocol, version));
        }
        return;
      case FRAME:
        if (const auto bytes = take<uint64_t>(); bytes > text_.size() - next_) {
          fail(fmt::format("a frame of {} bytes begins, {} are left", bytes, text_.size() - next_));
        }
        return;
      case STOP:
        graph_.root_ = pop();
        if (!stack_.empty() || !marks_.empty()) fail("it stops with more than one object on the stack");
        stopped_ = true;
        return;
      case MARK:
        return marks_.push_back(stack_.size());
      case POP:
        // As the original does: where nothing lies above a mark, it takes the mark.
        if (!marks_.empty() && stack_.size() == marks_.back()) return marks_.pop_back();
        pop();
        return;
      case POP_MARK:
        pop_to_mark();
        return;
      case DUP:
        return push(top());
      case MEMOIZE:
        return put(memoized_);
      case BINPUT:
        return put(take<uint8_t>());
      case LONG_BINPUT:
        return put(take<uint32_t>());
      case BINGET:
        return push(get(take<uint8_t>()));
      case LONG_BINGET:
        return push(get(take<uint32_t>()));

      case NONE:
        return push(kNone);
      case NEWTRUE:
        return push(kTrue);
      case NEWFALSE:
        return push(kFalse);
      case BININT:
        return push_integer(take<int32_t>());
      case BININT1:
        return push_integer(take<uint8_t>());
      case BININT2:
        return push_integer(take<uint16_t>());
      case LONG1:
        return push_long(take(take<uint8_t>()));
      case LONG4:
        return push_long(take(take<uint32_t>()));
      case BINFLOAT:  // the one number that is big-endian
        push(make(Kind::real));
        objects_.back().real = std::bit_cast<double>(__builtin_bswap64(take<uint64_t>()));
        return;
      case BINUNICODE:
        return push_string(take(take<uint32_t>()));
      case SHORT_BINUNICODE:
        return push_string(take(take<uint8_t>()));
      case BINUNICODE8:
        return push_string(take(take<uint64_t>()));
      case BINSTRING:  // of Python 2: the keys of its dicts, as a rule
        return push_string(take(take<uint32_t>()));
      case SHORT_BINSTRING:
        return push_string(take(take<uint8_t>()));
      case BINBYTES:
        return push(make(Kind::bytes, take(take<uint32_t>())));
      case SHORT_BINBYTES:
        return push(make(Kind::bytes, take(take<uint8_t>())));
      case BINBYTES8:
      case BYTEARRAY8:
        return push(make(Kind::bytes, take(take<uint64_t>())));

      case EMPTY_LIST:
        return push(make(Kind::list));
      case APPEND:
        return append(Kind::list, {pop()});
      case APPENDS:
        return append(Kind::list, pop_to_mark());
      case EMPTY_TUPLE:
        return push(kEmptyTuple);
      case TUPLE:
        return push(make(Kind::tuple, {}, pop_to_mark()));
      case TUPLE1:
      case TUPLE2:
      case TUPLE3:
        return push(make(Kind::tuple, {}, pop(op - TUPLE1 + 1)));
      case EMPTY_SET:
        return push(make(Kind::set));
      case ADDITEMS:
        return append(Kind::set, pop_to_mark());
      case FROZENSET:
        return push(make(Kind::set, {}, pop_to_mark()));
      case EMPTY_DICT:
        return push(make(Kind::dict));
      case SETITEM:
        return set_items(pop(2));
      case SETITEMS:
        return set_items(pop_to_mark());

      case GLOBAL: {
        push_string(take_line());
        push_string(take_line());
        const auto names = pop(2);
        return push_global(names[0], names[1]);
      }
      case STACK_GLOBAL: {
        const auto names = pop(2);
        return push_global(names[0], names[1]);
      }
      case REDUCE:
      case NEWOBJ: {
        const auto items = pop(2);
        return call(items[0], items[1]);
      }
      case NEWOBJ_EX: {
        const auto items = pop(3);  // the last: arguments by name
        return call(items[0], items[1]);
      }
      case BUILD:
        return build();
      case BINPERSID:
        return push(make(Kind::external, {}, {pop()}));
      default:
        fail(fmt::format("the opcode 0x{:02x} is none that torch.save writes in the protocols {} to {}", op,
                         kLowestProtocol, kHighestProtocol));
    }
  }

  std::vector<Object>& objects_;
  Graph& graph_;
  std::string_view text_;
  const std::string& file_;
  const Limits& limits_;
  size_t at_ = 0, next_ = 0;  // the opcode, and what is read next
  bool stopped_ = false;
  std::vector<Ref> stack_, memo_;
  std::vector<size_t> marks_;  // where in the stack they lie
  uint64_t memoized_ = 0;
};

const char* name_of(Kind kind) {
  constexpr std::array kNames{
      "None",  "a boolean", "an integer", "an integer",           "a float",  "a string", "bytes", "a list", "a tuple",
      "a set", "a dict",    "a global",   "the result of a call", "a storage"};
  return kNames[static_cast<size_t>(kind)];
}

Graph::Graph(std::string_view text, const std::string& file, const Limits& limits) {
  Machine(*this, text, file, limits).run();
}

bool Graph::is(Ref ref, std::string_view module, std::string_view name) const {
  const Object& object = objects_[ref];
  return object.kind == Kind::global && object.text == name && objects_[object.items[0]].text == module;
}

std::string Graph::described(Ref ref) const {
  if (objects_[ref].kind == Kind::call) ref = objects_[ref].items[0];
  const Object& object = objects_[ref];
  if (object.kind != Kind::global) return name_of(object.kind);
  constexpr size_t kShown = 200;
  const auto module = objects_[object.items[0]].text.substr(0, kShown);
  return core::in_quotes(std::string(module) + "." + std::string(object.text.substr(0, kShown)));
}

}  // namespace perceive::io::pickle
