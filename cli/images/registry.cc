// SPDX-License-Identifier: Apache-2.0
// slipway registry login | logout | ls: a registry's password is typed once.
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/os/fd.h"
#include "base/text/text.h"
#include "cli/images/pull_options.h"
#include "cli/images/subcommands.h"
#include "imagestore/oci/login.h"

namespace slipway::cli {
namespace {

constexpr std::size_t kPasswordMax = 64 << 10;  // tokens are long

Result<std::string> HostOf(std::string word) {
  for (std::string_view scheme : {"docker://", "oras://", "https://", "http://"}) {
    if (word.starts_with(scheme)) word.erase(0, scheme.size());
  }
  while (word.ends_with('/')) word.pop_back();
  if (word.empty() || word.find_first_of("/ @\t\n") != std::string::npos)
    return Fail(Code::kInvalidArgument, "'", word, "' is no registry; HOST[:PORT] is wanted");
  return word == "index.docker.io" ? "docker.io" : word;
}

// The terminal shows again what is typed, however we leave; a signal ends us as it would have.
class HiddenTyping {
 public:
  HiddenTyping() {
    if (::tcgetattr(STDIN_FILENO, &before_) < 0) return;
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &now) == 0;
  }
  ~HiddenTyping() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  HiddenTyping(const HiddenTyping&) = delete;
  HiddenTyping& operator=(const HiddenTyping&) = delete;

 private:
  termios before_{};
  bool changed_ = false;
};

// Up to the line's end, or all of it; a byte at a time, since what follows is not ours.
Result<std::string> ReadLine() {
  std::string line;
  for (char c = 0; line.size() < kPasswordMax;) {
    ssize_t n = ::read(STDIN_FILENO, &c, 1);
    if (n < 0 && errno == EINTR) {
      if (Cancelled()) return Fail(Code::kCancelled, "interrupted");
      continue;
    }
    if (n < 0) return ErrnoFail("reading the password");
    if (n == 0 || c == '\n') break;
    line += c;
  }
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

Result<std::string> Ask(const char* what, bool hidden) {
  if (::isatty(STDIN_FILENO) != 1)
    return Fail(Code::kInvalidArgument, "there is no terminal to ask for the ", what,
                "; give --username NAME and --password-stdin");
  std::fprintf(stderr, "%s: ", what);
  std::optional<HiddenTyping> typing;
  if (hidden) typing.emplace();
  auto line = ReadLine();
  if (hidden) std::fputc('\n', stderr);
  return line;
}

Result<int> Login(const Parsed& options) {
  UseAuthFile(options);
  std::string host = TRY(HostOf(options.positionals()[0]));
  InterruptOnSignals();
  oci::Credentials credentials;
  credentials.user = options.Has("username") ? options.Value("username") : TRY(Ask("user", false));
  if (credentials.user.empty() || credentials.user.find(':') != std::string::npos)
    return Fail(Code::kInvalidArgument, "--username: a name without ':' is wanted");
  credentials.password = options.Has("password")         ? options.Value("password")
                         : options.Has("password-stdin") ? TRY(ReadLine())
                                                         : TRY(Ask("password", true));
  if (credentials.password.empty()) return Fail(Code::kInvalidArgument, "no password came");
  oci::RegistryOptions registry;
  registry.plain_http = options.Has("no-https") || options.Has("nohttps") || options.Has("insecure");
  registry.http = oci::HttpOptions::FromEnvironment();
  registry.http.cancelled = &Cancelled();
  TRY(oci::TryLogin(host, credentials, registry));
  std::string place = TRY(oci::KeepLogin(host, credentials));
  std::fprintf(stderr, "slipway: %s takes it; kept in %s\n", Printable(host).c_str(),
               Printable(place).c_str());
  return 0;
}

Result<int> Logout(const Parsed& options) {
  UseAuthFile(options);
  std::string host = TRY(HostOf(options.positionals()[0]));
  if (TRY(oci::ForgetLogin(host))) return 0;
  return Fail(Code::kNotFound, "no password for ", host, " is kept in ", oci::CredentialFiles()[0]);
}

Result<int> Ls(const Parsed& options) {
  UseAuthFile(options);
  auto logins = TRY(oci::Logins());
  if (options.Has("json")) {
    Print(nlohmann::json{{"registries", logins}}.dump() + "\n");
    return 0;
  }
  for (const std::string& login : logins) Print(Printable(login) + "\n");
  return 0;
}

}  // namespace

const Subcommand kRegistryLogin{{"registry", "login"}, DeclareRegistryLogin, Login},
    kRegistryLogout{{"registry", "logout"}, DeclareRegistryLogout, Logout},
    kRegistryLs{{"registry", "ls"}, DeclareRegistryLs, Ls},
    kRegistryList{{"registry", "list"}, DeclareRegistryLs, Ls, 1, true};  // Apptainer's word

}  // namespace slipway::cli
