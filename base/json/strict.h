// SPDX-License-Identifier: Apache-2.0
// Files that an admin wrote by hand are read strictly: a field that we do not know is a mistake to be named,
// not skipped. `where` says which part of the file a value is from: "devices[0].name".
//
// Pure; any thread. No exception leaves here.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway {

using Json = nlohmann::json;

inline constexpr std::size_t kJsonListMax = 65536;

// kInvalidArgument says line and column; kOutOfRange beyond `bytes_max`.
Result<Json> ParseJson(std::string_view text, std::size_t bytes_max);

// All of these: kInvalidArgument "WHERE: what is wrong".
Failure JsonWrong(std::string_view where, std::string_view what);
Result<> CheckJsonFields(const Json& object, std::string_view where,
                         std::initializer_list<std::string_view> known);
// The field, or null when it is absent: both mean "not said".
const Json& JsonField(const Json& object, const char* name);
Result<std::string> JsonText(const Json& value, std::string_view where);
Result<std::uint64_t> JsonNumber(const Json& value, std::string_view where, std::uint64_t most);
Result<bool> JsonFlag(const Json& value, std::string_view where);
// Null is an empty list.
Result<std::vector<std::string>> JsonTexts(const Json& value, std::string_view where);

}  // namespace slipway
