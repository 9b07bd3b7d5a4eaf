// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/container_env.h"

#include <algorithm>

#include "base/os/fd.h"
#include "base/text/text.h"

namespace slipway {
namespace {

constexpr std::size_t kEnvFileBytesMax = 1 << 20;

bool NameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool NameRest(char c) { return NameStart(c) || (c >= '0' && c <= '9'); }

bool BeginsWithName(std::string_view text) {
  auto equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0 || !NameStart(text[0])) return false;
  std::string_view name = text.substr(0, equals);
  return std::all_of(name.begin(), name.end(), NameRest);
}

std::string_view NameOf(std::string_view entry) { return entry.substr(0, entry.find('=')); }

bool PassesOn(std::string_view name, bool clean) {
  for (const char* prefix : {"SLIPWAYENV_", "APPTAINERENV_", "SINGULARITYENV_"}) {
    if (name.starts_with(prefix)) return true;
  }
  if (clean) return name == "TERM" || name == "LANG";
  // They name the host's libraries; in the container they would load the wrong ones or none.
  return name != "LD_LIBRARY_PATH" && name != "LD_PRELOAD" && name != "HOME";
}

// The value after "NAME=": bare to the end of the line or a " #", or in one pair of quotes.
Result<std::string> ValueOf(std::string_view text) {
  text = Trim(text);
  if (text.empty()) return std::string();
  char quote = text[0];
  if (quote != '"' && quote != '\'') return std::string(Trim(text.substr(0, text.find(" #"))));
  auto end = text.find(quote, 1);
  if (end == std::string_view::npos) return Fail(Code::kInvalidArgument, "the quote is not closed");
  std::string_view rest = Trim(text.substr(end + 1));
  if (!rest.empty() && rest[0] != '#')
    return Fail(Code::kInvalidArgument, "'", rest.substr(0, 32), "' stands behind the quoted value");
  return std::string(text.substr(1, end - 1));
}

}  // namespace

Result<Variables> ParseEnv(const std::string& argument) {
  Variables variables;
  for (const std::string& part : Split(argument, ',')) {
    if (BeginsWithName(part) || variables.empty()) {
      variables.push_back(part);
    } else {
      variables.back() += "," + part;
    }
  }
  if (!BeginsWithName(variables[0]))
    return Fail(Code::kInvalidArgument, "--env '", argument.substr(0, 64), "' is not NAME=VALUE");
  return variables;
}

Result<Variables> ReadEnvFile(const std::string& path) {
  std::string text = TRY_CONTEXT(ReadFile(path, kEnvFileBytesMax), "--env-file");
  return ParseEnvFile(text, path);
}

Result<Variables> ParseEnvFile(std::string_view text, const std::string& path) {
  Variables variables;
  int number = 0;
  for (const std::string& whole : Split(text, '\n')) {
    ++number;
    std::string_view line = Trim(whole);
    if (line.empty() || line[0] == '#') continue;
    if (line.find('\0') != std::string_view::npos)
      return Fail(Code::kInvalidArgument, "--env-file ", path, ", line ", number, ": holds a NUL byte");
    if (line.starts_with("export ")) line = Trim(line.substr(7));
    if (!BeginsWithName(line))
      return Fail(Code::kInvalidArgument, "--env-file ", path, ", line ", number, ": '", line.substr(0, 64),
                  "' is not NAME=VALUE");
    auto value = ValueOf(line.substr(line.find('=') + 1));
    if (!value) return Failure(std::move(value).error().Context(Cat("--env-file ", path, ", line ", number)));
    variables.push_back(Cat(NameOf(line), "=", *value));
  }
  return variables;
}

Result<Variables> ContainerEnv(const std::string& image_path, const EnvOptions& options, const User& user,
                               const Variables& caller_env) {
  std::vector<std::string> kept_out;
  for (const std::string& list : options.kept_out) {
    for (const std::string& name : Split(list, ',')) kept_out.push_back(name);
  }
  Variables env;
  for (const std::string& entry : caller_env) {
    if (entry.find('=') == std::string::npos || entry[0] == '=' || !PassesOn(NameOf(entry), options.clean))
      continue;
    if (std::find(kept_out.begin(), kept_out.end(), NameOf(entry)) == kept_out.end()) env.push_back(entry);
  }
  env.push_back(Cat("HOME=", user.home));
  if (options.clean) env.push_back(Cat("USER=", user.name));
  std::string name = image_path.substr(image_path.rfind('/') + 1);
  for (const char* program : {"SLIPWAY", "APPTAINER", "SINGULARITY"}) {
    env.push_back(Cat(program, "_CONTAINER=", image_path));
    env.push_back(Cat(program, "_NAME=", name));
  }
  Variables set;
  for (const std::string& path : options.files) {
    Variables of_file = TRY(ReadEnvFile(path));
    set.insert(set.end(), of_file.begin(), of_file.end());
  }
  for (const std::string& argument : options.set) {
    Variables of_argument = TRY(ParseEnv(argument));
    set.insert(set.end(), of_argument.begin(), of_argument.end());
  }
  for (const std::string& entry : set) env.push_back(Cat("SLIPWAYENV_", entry));
  return env;
}

}  // namespace slipway
