// SPDX-License-Identifier: Apache-2.0
// One event is one line on stderr, key=value (or JSON by setting), so that journald and grep both serve.
// Libraries return errors; programs log:   Log(Level::kWarn, "image fetch failed", {{"digest", d},
// {"retry_s", "5"}});
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/result/result.h"

namespace slipway {

enum class Level { kDebug, kInfo, kWarn, kError };

struct LogField {
  std::string_view key;
  std::string value;
  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  template <class N>
  requires std::is_arithmetic_v<N> LogField(std::string_view k, N v) : key(k), value(Cat(v)) {}
};

struct LogOptions {
  Level threshold = Level::kInfo;
  bool json = false;
  std::string program;  // becomes prog=…
};
void SetLogOptions(LogOptions options);  // before other threads start

// Any thread; one write(2) a line.
void Log(Level level, std::string_view message, std::initializer_list<LogField> fields = {});
// The line itself, without time stamp and newline: for tests.
std::string FormatLogLine(const LogOptions& options, Level level, std::string_view message,
                          std::initializer_list<LogField> fields);

}  // namespace slipway
