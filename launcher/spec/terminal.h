// SPDX-License-Identifier: Apache-2.0
// `slipway launch --pty`: rank 0 runs on a terminal that the caller sees. That it is wanted, and how large
// the caller's own is, only the step's own processes need to know: it travels in the step's environment and
// is taken out of it before a rank sees it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/wire/wire.h"

namespace slipway {

inline constexpr const char* kTerminalVariable = "SLIPWAY_TERMINAL";  // "ROWSxCOLUMNS"

struct TerminalSize {
  std::uint16_t rows = 0, columns = 0;  // characters; 0: not known
};
void Fields(auto& archive, IsA<TerminalSize> auto& v) { archive(v.rows, v.columns); }

// Pure.
std::string TerminalText(TerminalSize size);
// Of an environment's NAME=value entries; nothing: no terminal is wanted. An error names what means nothing.
Result<std::optional<TerminalSize>> TerminalOf(const std::vector<std::string>& env);

}  // namespace slipway
