// SPDX-License-Identifier: Apache-2.0
#include "base/json/strict.h"

#include <algorithm>

#include "base/text/text.h"

namespace slipway {

Result<Json> ParseJson(std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) return Fail(Code::kOutOfRange, "over ", bytes_max, " bytes");
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    std::string what = error.what();  // "[json.exception.parse_error.101] parse error at line 1, …"
    auto end = what.find("] ");
    if (end != std::string::npos) what.erase(0, end + 2);
    std::replace_if(
        what.begin(), what.end(), [](unsigned char c) { return c < ' ' || c == 127; }, '?');
    return Fail(Code::kInvalidArgument, "not JSON: ", what.substr(0, 256));
  }
}

Failure JsonWrong(std::string_view where, std::string_view what) {
  return Fail(Code::kInvalidArgument, Printable(where), ": ", Printable(what));
}

Result<> CheckJsonFields(const Json& object, std::string_view where,
                         std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return JsonWrong(where, "not an object");
  for (auto at = object.begin(); at != object.end(); ++at) {
    if (std::find(known.begin(), known.end(), at.key()) == known.end())
      return JsonWrong(where, Cat("unknown field \"", at.key().substr(0, 64), "\""));
  }
  return {};
}

const Json& JsonField(const Json& object, const char* name) {
  static const Json kNull;
  auto at = object.find(name);
  return at == object.end() ? kNull : *at;
}

Result<std::string> JsonText(const Json& value, std::string_view where) {
  if (!value.is_string()) return JsonWrong(where, value.is_null() ? "missing" : "not a string");
  return value.get<std::string>();
}

Result<std::uint64_t> JsonNumber(const Json& value, std::string_view where, std::uint64_t most) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most)
    return JsonWrong(where,
                     value.is_null() ? std::string("missing") : Cat("not a whole number from 0 to ", most));
  return value.get<std::uint64_t>();
}

Result<bool> JsonFlag(const Json& value, std::string_view where) {
  if (!value.is_boolean()) return JsonWrong(where, "neither true nor false");
  return value.get<bool>();
}

Result<std::vector<std::string>> JsonTexts(const Json& value, std::string_view where) {
  if (value.is_null()) return std::vector<std::string>();
  if (!value.is_array() || value.size() > kJsonListMax) return JsonWrong(where, "not a list of strings");
  std::vector<std::string> texts;
  for (const Json& one : value) texts.push_back(TRY(JsonText(one, where)));
  return texts;
}

}  // namespace slipway
