// SPDX-License-Identifier: Apache-2.0
#include "api/context.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/config/config.h"
#include "base/os/fd.h"
#include "base/text/text.h"

namespace slipway {
namespace {

constexpr const char* kInsideContainer = "/run/slipway/client/context.toml";
constexpr const char* kSite = "/etc/slipway/context.toml";

const Settings& ContextSettings() {
  static const Settings settings = {
      {.key = "name", .type = Setting::kString, .doc = "how commands call this cluster"},
      {.key = "controller", .type = Setting::kString, .doc = "unix:/path or host:port"},
      {.key = "ca", .type = Setting::kString, .doc = "the cluster's CA, PEM; for host:port"},
      {.key = "token_socket", .type = Setting::kString, .doc = "where this host gives out tokens"},
  };
  return settings;
}

bool Exists(const std::string& path) {
  struct stat there;
  return ::stat(path.c_str(), &there) == 0;
}

// A NAME becomes a file name: it may not lead elsewhere.
bool IsContextName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         name.find('/') == std::string_view::npos;
}

Result<Context> ReadNamed(const std::string& name_or_file, std::string_view from) {
  if (name_or_file.find('/') != std::string::npos) return ReadContext(name_or_file);
  if (!IsContextName(name_or_file))
    return Fail(Code::kInvalidArgument, from, ": \"", name_or_file, "\" is no context name");
  std::string file = Cat(TRY(UserContextFolder()), "/", name_or_file, ".toml");
  if (!Exists(file))
    return Fail(Code::kNotFound, from, ": there is no context \"", name_or_file, "\" (", file, ")");
  return ReadContext(file);
}

Result<> CheckContext(const Context& context) {
  bool unix_socket = context.controller.starts_with("unix:/");
  if (!unix_socket && (context.controller.empty() || context.controller.rfind(':') == std::string::npos)) {
    return Fail(Code::kInvalidArgument, context.file,
                ": controller must be \"unix:/path\" or \"host:port\", not \"", context.controller, "\"");
  }
  if (!unix_socket && context.ca.empty())
    return Fail(Code::kInvalidArgument, context.file, ": host:port needs `ca`");
  if (context.token_socket.empty())
    return Fail(Code::kInvalidArgument, context.file, ": token_socket is missing");
  for (const std::string& path : {context.ca, context.token_socket}) {
    if (!path.empty() && path.front() != '/')
      return Fail(Code::kInvalidArgument, context.file, ": \"", path, "\" must be an absolute path");
  }
  return {};
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

}  // namespace

Result<Context> ReadContext(const std::string& file) {
  std::string text = TRY(ReadFile(file, 1 << 16));
  Config config = TRY(Config::Parse(ContextSettings(), text, file));
  Context context{config.String("name"), config.String("controller"), config.String("ca"),
                  config.String("token_socket"), file};
  TRY(CheckContext(context));
  return context;
}

Result<> WriteContext(const std::string& file, const Context& context) {
  TRY(CheckContext(context));
  std::string text =
      Cat("name = ", Quoted(context.name), "\ncontroller = ", Quoted(context.controller), "\n");
  if (!context.ca.empty()) text += Cat("ca = ", Quoted(context.ca), "\n");
  text += Cat("token_socket = ", Quoted(context.token_socket), "\n");
  return WriteFileAtomically(file, text, 0644);
}

std::string StepSocketBeside(const std::string& token_socket) {
  return token_socket.substr(0, token_socket.rfind('/') + 1) + "steps.sock";
}

Result<std::string> UserContextFolder() {
  const char* config = std::getenv("XDG_CONFIG_HOME");
  if (config != nullptr && config[0] == '/') return Cat(config, "/slipway/contexts");
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return Cat(home, "/.config/slipway/contexts");
  return Fail(Code::kNotFound, "neither HOME nor XDG_CONFIG_HOME is set: there is no place for contexts");
}

Result<Context> FindContext(std::string_view option) {
  if (!option.empty()) return ReadNamed(std::string(option), "--context");
  const char* variable = std::getenv("SLIPWAY_CONTEXT");
  if (variable != nullptr && variable[0] != '\0') return ReadNamed(variable, "SLIPWAY_CONTEXT");
  auto folder = UserContextFolder();
  if (folder && Exists(*folder + "/current")) {
    std::string name(Trim(TRY(ReadFile(*folder + "/current", 4096))));
    return ReadNamed(name, *folder + "/current");
  }
  for (const char* file : {kInsideContainer, kSite}) {
    if (Exists(file)) return ReadContext(file);
  }
  return Fail(Code::kNotFound, "no cluster is configured (tried --context, SLIPWAY_CONTEXT, ",
              folder ? *folder + "/current" : std::string("~/.config"), ", ", kInsideContainer, ", ", kSite,
              "); `slipway dev up` starts one on this machine");
}

Result<> SetUserContext(const Context& context) {
  if (!IsContextName(context.name))
    return Fail(Code::kInvalidArgument, "\"", context.name, "\" cannot be a context's name");
  std::string folder = TRY(UserContextFolder());
  TRY(MakeDirectories(folder, 0755));
  TRY(WriteContext(Cat(folder, "/", context.name, ".toml"), context));
  return WriteFileAtomically(folder + "/current", context.name + "\n", 0644);
}

Result<> RemoveUserContext(const std::string& name) {
  if (!IsContextName(name)) return Fail(Code::kInvalidArgument, "\"", name, "\" cannot be a context's name");
  std::string folder = TRY(UserContextFolder());
  auto current = ReadFile(folder + "/current", 4096);
  if (current && Trim(*current) == name && ::unlink((folder + "/current").c_str()) < 0)
    return ErrnoFail("unlink", folder + "/current");
  std::string file = Cat(folder, "/", name, ".toml");
  if (::unlink(file.c_str()) < 0 && errno != ENOENT) return ErrnoFail("unlink", file);
  return {};
}

}  // namespace slipway
