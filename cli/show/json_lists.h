// SPDX-License-Identifier: Apache-2.0
// Repeated fields of a message as JSON.
#pragma once

#include <nlohmann/json.hpp>

namespace slipway::cli {

using Json = nlohmann::ordered_json;  // members in the order in which they are said

template <class Repeated, class One>
Json ListOf(const Repeated& values, One one) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(one(value));
  return list;
}
template <class Repeated>
Json List(const Repeated& values) {
  return ListOf(values, [](const auto& value) { return Json(value); });
}

}  // namespace slipway::cli
