// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/terminal.h"

#include <charconv>

#include "launcher/spec/task_binding.h"

namespace slipway {

std::string TerminalText(TerminalSize size) { return Cat(size.rows, "x", size.columns); }

Result<std::optional<TerminalSize>> TerminalOf(const std::vector<std::string>& env) {
  std::string_view text = StepVariable(env, kTerminalVariable);
  if (text.empty()) return std::nullopt;
  TerminalSize size;
  const char* end = text.data() + text.size();
  auto rows = std::from_chars(text.data(), end, size.rows);
  bool cross = rows.ec == std::errc() && rows.ptr != end && *rows.ptr == 'x';
  auto columns = cross ? std::from_chars(rows.ptr + 1, end, size.columns) : rows;
  if (!cross || columns.ec != std::errc() || columns.ptr != end)
    return Fail(Code::kInvalidArgument, kTerminalVariable, ": '", text.substr(0, 64),
                "' is no ROWSxCOLUMNS; `launch --pty` sets it");
  return size;
}

}  // namespace slipway
