// SPDX-License-Identifier: Apache-2.0
#include "base/log/log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace slipway {
namespace {

LogOptions& Options() {
  static LogOptions options;
  return options;
}

std::string_view LevelName(Level level) {
  static constexpr std::array<std::string_view, 4> kNames = {"debug", "info", "warn", "error"};
  return kNames[static_cast<std::size_t>(level)];
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char hex[8];
      std::snprintf(hex, sizeof hex, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += hex;
    } else {
      out.push_back(c);
    }
  }
  return out;
}

bool NeedsQuotes(std::string_view text) {
  return text.empty() || std::any_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f;
         });
}

std::string Timestamp() {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts;
  ::gmtime_r(&now.tv_sec, &parts);
  char text[40];
  std::size_t n = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + n, sizeof text - n, ".%03ldZ", now.tv_nsec / 1000000);
  return text;
}

void Append(std::string& line, bool json, std::string_view key, std::string_view value, bool quote) {
  if (!line.empty()) line += json ? "," : " ";
  if (json) {
    line += Cat("\"", key, "\":\"", Escaped(value), "\"");
  } else if (quote || NeedsQuotes(value)) {
    line += Cat(key, "=\"", Escaped(value), "\"");
  } else {
    line += Cat(key, "=", value);
  }
}

}  // namespace

void SetLogOptions(LogOptions options) { Options() = std::move(options); }

std::string FormatLogLine(const LogOptions& options, Level level, std::string_view message,
                          std::initializer_list<LogField> fields) {
  std::string line;
  Append(line, options.json, "level", LevelName(level), false);
  if (!options.program.empty()) Append(line, options.json, "prog", options.program, false);
  Append(line, options.json, "msg", message, true);
  for (const LogField& field : fields) Append(line, options.json, field.key, field.value, false);
  return line;
}

void Log(Level level, std::string_view message, std::initializer_list<LogField> fields) {
  const LogOptions& options = Options();
  if (level < options.threshold) return;
  std::string body = FormatLogLine(options, level, message, fields);
  std::string line = options.json ? Cat("{\"time\":\"", Timestamp(), "\",", body, "}\n")
                                  : Cat("time=", Timestamp(), " ", body, "\n");
  [[maybe_unused]] auto n = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace slipway
