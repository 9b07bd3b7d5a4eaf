// SPDX-License-Identifier: Apache-2.0
#include "api/tres.h"

#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {

Result<v1::Tres> ParseTres(std::string_view text) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 60;
  v1::Tres tres;
  if (Trim(text).empty()) return tres;
  for (const std::string& part : Split(text, ',')) {
    std::size_t equals = part.find('=');
    if (equals == std::string::npos)
      return Fail(Code::kInvalidArgument, "\"", part, "\": NAME=NUMBER is wanted, such as cpu=64");
    std::string name(Trim(std::string_view(part).substr(0, equals)));
    std::string_view value = Trim(std::string_view(part).substr(equals + 1));
    if (name == "mem") {
      tres.set_memory_bytes(static_cast<std::int64_t>(std::min(TRY_CONTEXT(ParseBytes(value), name), kMost)));
      continue;
    }
    auto number = static_cast<std::int64_t>(TRY_CONTEXT(ParseNumber(value, 0, kMost), name));
    if (name == "cpu") {
      tres.set_cpu(number);
    } else if (name == "node") {
      tres.set_node(number);
    } else if (name == "gpu" || name == "gres/gpu") {
      tres.set_gpu(number);
    } else {
      return Fail(Code::kInvalidArgument, "\"", name, "\" is none of cpu, mem, node, gpu");
    }
  }
  return tres;
}

std::string FormatTres(const v1::Tres& tres) {
  std::vector<std::string> parts;
  if (tres.has_cpu()) parts.push_back(Cat("cpu=", tres.cpu()));
  if (tres.has_memory_bytes())
    parts.push_back(Cat("mem=", FormatBytes(static_cast<std::uint64_t>(tres.memory_bytes()))));
  if (tres.has_node()) parts.push_back(Cat("node=", tres.node()));
  if (tres.has_gpu()) parts.push_back(Cat("gpu=", tres.gpu()));
  return Join(parts, ",");
}

}  // namespace slipway
