// YAML into values. yaml-cpp reads the syntax; this layer refuses what it lets pass without a word.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <utility>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/core/value.h"

namespace perceive::core {
namespace {

using Source = std::shared_ptr<const std::string>;

[[noreturn]] void fail(const Origin& origin, const std::string& message) {
  throw ConfigError(origin.text() + ": " + message);
}

// Counts what a document holds, and stops it where it exceeds the limits.
class Limits {
 public:
  void add_node(const Origin& origin) {
    if (++nodes_ > kConfigNodes) {
      fail(origin, "the configuration has more than " + std::to_string(kConfigNodes) + " values");
    }
  }
  static void check_depth(size_t depth, const Origin& origin) {
    if (depth > kConfigDepth) {
      fail(origin, "the configuration is nested deeper than " + std::to_string(kConfigDepth) + " levels");
    }
  }

 private:
  int64_t nodes_ = 0;
};

// Builds the value of one document while it is parsed, so that no limit is ever exceeded by more than one node.
class Builder : public YAML::EventHandler {
 public:
  Builder(Source source, bool has_lines) : source_(std::move(source)), has_lines_(has_lines) {}

  Origin origin(const YAML::Mark& mark) const {
    return has_lines_ && mark.line >= 0 ? Origin{source_, mark.line + 1, mark.column + 1} : Origin{source_, 0, 0};
  }
  Value take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) fail(origin(mark), "a second document begins where one is expected");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Value value = value_at(mark, Value::Kind::null);
    if (!open_.empty() && open_.back().key) {
      // Where the null of "name:" stands, yaml-cpp says the next line; where it is that of a line "name", which is no
      // YAML, it says the name itself.
      const Open& map = open_.back();
      const bool without_colon = map.in_block && map.key_at.pos == mark.pos;
      if (without_colon) fail(origin(mark), in_quotes(*map.key) + " has no value; write 'name: value'");
      value.origin = origin(map.key_at);
    }
    add(std::move(value), mark, anchor);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    check_tag(tag, mark);
    if (first_invalid_utf8(text) != std::string::npos) fail(origin(mark), in_quotes(text) + " is not UTF-8");
    Value value = value_at(mark, Value::Kind::scalar);
    value.style = tag == "!" ? Value::Style::quoted : Value::Style::plain;
    value.text = text;
    add(std::move(value), mark, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) fail(origin(mark), "an alias stands inside of what it is an alias of");
    const Value copy = found->second;
    count_copy(copy, open_.size(), origin(mark));
    add(copy, mark, 0);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    start(Value::Kind::list, mark, tag, anchor, style);
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    start(Value::Kind::map, mark, tag, anchor, style);
  }
  void OnMapEnd() override { end(); }

 private:
  // A list or a map whose end has not come yet.
  struct Open {
    Value value;
    YAML::Mark mark;
    YAML::anchor_t anchor = 0;
    bool in_block = false;           // told by indentation, not by braces
    std::optional<std::string> key;  // read, and waiting for its value
    YAML::Mark key_at;
    std::map<std::string, Origin> keys;
  };

  void check_tag(const std::string& tag, const YAML::Mark& mark) const {
    if (!tag.empty() && tag != "?" && tag != "!") {
      fail(origin(mark), "the tag " + in_quotes(tag) + " is not supported; the option decides what a text means");
    }
  }

  Value value_at(const YAML::Mark& mark, Value::Kind kind) const {
    Value value;
    value.kind = kind;
    value.origin = origin(mark);
    return value;
  }

  void start(Value::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YAML::EmitterStyle::value style) {
    check_tag(tag, mark);
    Limits::check_depth(open_.size() + 1, origin(mark));
    Open& open = open_.emplace_back();
    open.value = value_at(mark, kind);
    open.mark = mark;
    open.anchor = anchor;
    open.in_block = style == YAML::EmitterStyle::Block;
  }

  void end() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    add(std::move(closed.value), closed.mark, closed.anchor);
  }

  void add(Value value, const YAML::Mark& mark, YAML::anchor_t anchor) {
    limits_.add_node(value.origin);
    if (anchor) {
      count_copy(value, 0, value.origin);
      anchors_[anchor] = value;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Open& parent = open_.back();
    if (parent.value.kind == Value::Kind::list) {
      parent.value.items.push_back(std::move(value));
    } else if (parent.key) {
      parent.value.entries.push_back({*parent.key, origin(parent.key_at), std::move(value)});
      parent.key.reset();
    } else {
      open_key(&parent, value, mark);
    }
  }

  void open_key(Open* map, const Value& key, const YAML::Mark& mark) {
    if (key.kind != Value::Kind::scalar) fail(origin(mark), "a key must be a name, not a list, a mapping or null");
    const auto [first, is_new] = map->keys.emplace(key.text, origin(mark));
    if (!is_new) {
      fail(origin(mark),
           "the key " + in_quotes(key.text) + " stands here a second time; the first is at " + first->second.text());
    }
    map->key = key.text;
    map->key_at = mark;
  }

  void count_copy(const Value& value, size_t depth, const Origin& origin) {
    Limits::check_depth(depth, origin);
    limits_.add_node(origin);
    for (const Value& item : value.items) count_copy(item, depth + 1, origin);
    for (const Value::Entry& entry : value.entries) count_copy(entry.value, depth + 1, origin);
  }

  Source source_;
  bool has_lines_;
  Value root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Value> anchors_;
  Limits limits_;
  int documents_ = 0;
};

Value parse(const std::string& text, const Source& source, bool has_lines) {
  Builder builder(source, has_lines);
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    fail(builder.origin(error.mark), "this is not YAML: " + error.msg);
  }
  return builder.take();
}

void check_text(const std::string& text, const Source& source) {
  const auto fail_at = [&](size_t offset, const std::string& message) {
    const std::string_view before = std::string_view(text).substr(0, offset);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const size_t newline = before.rfind('\n');
    const size_t column = newline == std::string_view::npos ? offset + 1 : offset - newline;
    fail({source, line, static_cast<int64_t>(column)}, message);
  };
  if (text.size() > static_cast<size_t>(kConfigBytes)) {
    fail({source, 0, 0}, "the configuration has more than " + std::to_string(kConfigBytes) + " bytes");
  }
  if (const size_t at = first_invalid_utf8(text); at != std::string::npos) fail_at(at, "this is not UTF-8 text");
  if (const size_t at = text.find('\0'); at != std::string::npos) fail_at(at, "a NUL byte does not belong in a text");
  // yaml-cpp drops a carriage return wherever it stands, which would join "a: 1\rb: 2" to "a: 1b: 2".
  for (size_t at = text.find('\r'); at != std::string::npos; at = text.find('\r', at + 1)) {
    if (at + 1 >= text.size() || text[at + 1] != '\n') fail_at(at, "a carriage return without a line feed");
  }
}

Value value_of(const nlohmann::json& json, const Source& source, size_t depth, Limits* limits) {
  Value value;
  value.origin = {source, 0, 0};
  limits->add_node(value.origin);
  Limits::check_depth(depth, value.origin);
  if (json.is_object()) {
    value.kind = Value::Kind::map;
    for (const auto& [key, item] : json.items()) {
      value.entries.push_back({key, value.origin, value_of(item, source, depth + 1, limits)});
    }
  } else if (json.is_array()) {
    value.kind = Value::Kind::list;
    for (const auto& item : json) value.items.push_back(value_of(item, source, depth + 1, limits));
  } else if (!json.is_null()) {
    value.kind = Value::Kind::scalar;
    value.style = json.is_string() ? Value::Style::quoted : Value::Style::plain;
    value.text = json.is_string() ? json.get<std::string>() : json.dump();
  }
  return value;
}

}  // namespace

std::string Origin::text() const {
  const std::string name = source ? *source : "the configuration";
  return line > 0 ? name + ":" + std::to_string(line) + ":" + std::to_string(column) : name;
}

Value parse_yaml(const std::string& text, const std::string& source_name) {
  const auto source = std::make_shared<const std::string>(source_name);
  check_text(text, source);
  Value value = parse(text, source, true);
  if (value.kind == Value::Kind::null) value.kind = Value::Kind::map;
  if (value.kind != Value::Kind::map)
    fail(value.origin, "a configuration is a mapping, with lines such as 'name: value'");
  return value;
}

Value read_yaml(const std::filesystem::path& file) {
  const auto refuse = [&](const std::string& reason) {
    std::error_code ignored;
    throw ConfigError("cannot read the configuration " + std::filesystem::absolute(file, ignored).string() + ": " +
                      reason);
  };
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) refuse("it is a directory");
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) refuse(errno ? std::strerror(errno) : "it cannot be opened");
  // One byte past the limit, which tells a file of that size from a longer one (or an endless one).
  std::string text(static_cast<size_t>(kConfigBytes) + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) refuse("reading failed");
  text.resize(static_cast<size_t>(in.gcount()));
  return parse_yaml(text, file.string());
}

Value parse_flag_value(const Value& flag) {
  return parse(flag.text, flag.origin.source, false);
}

Value value_of(const nlohmann::json& json, const std::string& source) {
  Limits limits;
  return value_of(json, std::make_shared<const std::string>(source), 1, &limits);
}

}  // namespace perceive::core
