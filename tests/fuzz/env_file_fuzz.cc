// SPDX-License-Identifier: Apache-2.0
// --env and --env-file are a user's text: what passes must be variables that execve can carry.
#include <cstdint>
#include <string>
#include <string_view>

#include "launcher/client/container_env.h"

namespace {

void AreVariables(const slipway::Result<slipway::Variables>& variables, bool from_text) {
  if (!variables) {
    CHECK(!variables.error().message.empty());
    return;
  }
  for (const std::string& entry : *variables) {
    auto equals = entry.find('=');
    CHECK(equals != std::string::npos && equals > 0);
    CHECK(!from_text || entry.find('\0') == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  AreVariables(slipway::ParseEnvFile(text, "a.env"), true);
  AreVariables(slipway::ParseEnv(std::string(text)), false);
  return 0;
}
