// SPDX-License-Identifier: Apache-2.0
#include "hooks/cdi/yaml.h"

#include <yaml.h>

#include <charconv>

namespace slipway {
namespace {

constexpr int kDepthMax = 32;
constexpr std::size_t kNodesMax = 1 << 18;

// Base 8 for "0666" and "0o666", as YAML 1.1 and 1.2 have it.
Json PlainScalar(std::string_view text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  std::string_view digits = text;
  int base = 10;
  if (digits.starts_with("0x")) {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.starts_with("0o")) {
    base = 8;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0') {
    base = 8;
    digits.remove_prefix(1);
  }
  bool negative = base == 10 && digits.starts_with('-');
  const char* end = digits.data() + digits.size();
  if (negative) {
    std::int64_t number = 0;
    auto parsed = std::from_chars(digits.data(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) return number;
  } else {
    std::uint64_t number = 0;
    auto parsed = std::from_chars(digits.data(), end, number, base);
    if (!digits.empty() && parsed.ec == std::errc() && parsed.ptr == end) return number;
  }
  return std::string(text);
}

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&event_); }
  yaml_event_t* get() { return &event_; }
  const yaml_event_t* operator->() const { return &event_; }

 private:
  yaml_event_t event_{};
};

class YamlReader {
 public:
  explicit YamlReader(std::string_view text) {
    yaml_parser_initialize(&parser_);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  YamlReader(const YamlReader&) = delete;
  YamlReader& operator=(const YamlReader&) = delete;
  ~YamlReader() { yaml_parser_delete(&parser_); }

  Result<Json> Read() {
    TRY(Expect(YAML_STREAM_START_EVENT));
    TRY(Expect(YAML_DOCUMENT_START_EVENT));
    Event first;
    TRY(Next(first));
    Json value = TRY(Value(first, 0));
    TRY(Expect(YAML_DOCUMENT_END_EVENT));
    TRY(Expect(YAML_STREAM_END_EVENT));
    return value;
  }

 private:
  static Failure Wrong(const yaml_mark_t& mark, std::string_view what) {
    return Fail(Code::kInvalidArgument, "not YAML that a specification needs: ", what, " at line ",
                mark.line + 1, ", column ", mark.column + 1);
  }

  Result<> Next(Event& event) {
    if (yaml_parser_parse(&parser_, event.get()) != 0) return {};
    return Wrong(parser_.problem_mark, parser_.problem != nullptr ? parser_.problem : "out of memory");
  }

  Result<> Expect(yaml_event_type_t type) {
    Event event;
    TRY(Next(event));
    if (event->type == type) return {};
    return Wrong(event->start_mark, type == YAML_DOCUMENT_START_EVENT ? "nothing" : "a second document");
  }

  Result<Json> Value(const Event& event, int depth) {
    if (depth > kDepthMax) return Wrong(event->start_mark, "too deep a nesting");
    if (++nodes_ > kNodesMax) return Wrong(event->start_mark, "too many values");
    switch (event->type) {
      case YAML_SCALAR_EVENT:
        return Scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        if (event->data.sequence_start.anchor != nullptr || event->data.sequence_start.tag != nullptr)
          return Wrong(event->start_mark, "an anchor or a tag");
        return Sequence(depth);
      case YAML_MAPPING_START_EVENT:
        if (event->data.mapping_start.anchor != nullptr || event->data.mapping_start.tag != nullptr)
          return Wrong(event->start_mark, "an anchor or a tag");
        return Mapping(depth);
      default:
        return Wrong(event->start_mark, event->type == YAML_ALIAS_EVENT ? "an alias" : "nothing");
    }
  }

  Result<Json> Scalar(const Event& event) {
    const auto& scalar = event->data.scalar;
    if (scalar.anchor != nullptr || scalar.tag != nullptr)
      return Wrong(event->start_mark, "an anchor or a tag");
    std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    if (scalar.style == YAML_PLAIN_SCALAR_STYLE) return PlainScalar(text);
    return Json(std::string(text));
  }

  Result<Json> Sequence(int depth) {
    Json list = Json::array();
    for (;;) {
      Event event;
      TRY(Next(event));
      if (event->type == YAML_SEQUENCE_END_EVENT) return list;
      list.push_back(TRY(Value(event, depth + 1)));
    }
  }

  Result<Json> Mapping(int depth) {
    Json object = Json::object();
    for (;;) {
      Event name, value;
      TRY(Next(name));
      if (name->type == YAML_MAPPING_END_EVENT) return object;
      if (name->type != YAML_SCALAR_EVENT) return Wrong(name->start_mark, "a key that is no text");
      std::string key(reinterpret_cast<const char*>(name->data.scalar.value), name->data.scalar.length);
      if (object.contains(key)) return Wrong(name->start_mark, Cat("\"", key.substr(0, 64), "\" twice"));
      TRY(Next(value));
      object[key] = TRY(Value(value, depth + 1));
    }
  }

  yaml_parser_t parser_{};
  std::size_t nodes_ = 0;
};

}  // namespace

Result<Json> ParseYaml(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) return Fail(Code::kOutOfRange, "over ", bytes_max, " bytes");
  return YamlReader(text).Read();
}

}  // namespace slipway
