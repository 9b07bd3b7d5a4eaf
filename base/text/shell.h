// SPDX-License-Identifier: Apache-2.0
// Words for a shell.
#pragma once

#include <string>
#include <string_view>

namespace slipway {

// As one word of a POSIX shell's, whatever is in it (but NUL, which no word can have).
std::string ShellQuoted(std::string_view word);

}  // namespace slipway
