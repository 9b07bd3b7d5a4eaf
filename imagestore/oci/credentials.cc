// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/credentials.h"

#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/crypto/base64.h"
#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/text/text.h"

namespace slipway::oci {

namespace {

using Json = nlohmann::json;
constexpr char kHubKey[] =
    "https://index.docker.io/v1/";  // under which Docker keeps the default registry's password

std::string TextIn(const Json& object, const char* key) {
  auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// People write it by hand, without the padding or with a line's end.
Result<std::string> DecodeAuth(const std::string& given) {
  std::string text(Trim(given));
  if (text.size() > 1 << 20) return Fail(Code::kInvalidArgument, "too much base64");
  while (text.size() % 4 != 0) text += '=';
  return Unbase64(text);
}

std::string RegistryOf(const std::string& place) { return place.substr(0, place.find('/')); }

// How much of the place ("host/team/app") a key of the file names; 0: it is another's. Docker writes hosts,
// with or without the path of its own API; podman also parts of a registry, each with a password of its own.
std::size_t Fit(std::string key, const std::string& place) {
  const std::string registry = RegistryOf(place);
  if (key == kHubKey) return registry == "docker.io" ? registry.size() : 0;
  for (std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.erase(0, scheme.size());
  }
  while (key.ends_with('/')) key.pop_back();
  for (std::string_view version : {"/v1", "/v2"}) {
    if (key.ends_with(version) && key.size() == RegistryOf(key).size() + version.size())
      key.resize(key.size() - version.size());
  }
  bool covers = place.starts_with(key) && (place.size() == key.size() || place[key.size()] == '/');
  return covers ? key.size() : 0;
}

// What scripts export before `apptainer pull`.
Credentials FromEnvironment() {
  for (const char* prefix : {"SLIPWAY", "APPTAINER", "SINGULARITY"}) {
    const char* user = std::getenv(Cat(prefix, "_DOCKER_USERNAME").c_str());
    const char* password = std::getenv(Cat(prefix, "_DOCKER_PASSWORD").c_str());
    if (user != nullptr && password != nullptr && *user != '\0') return {user, password, {}};
  }
  return {};
}

// Its answer holds a password: it goes from pipe to memory and nowhere else.
Result<Credentials> AskHelper(const std::string& helper, const std::string& registry) {
  std::string program = "docker-credential-" + helper;
  UniqueFd question = TRY(MakeSealedMemfd("registry", CredentialKey(registry)));
  auto answer = RunAndCapture({.argv = {program, "get"}, .fds = {{0, question.get()}}});
  if (!answer) return Failure(std::move(answer).error().Context("asking for the registry's password"));
  if (answer->status.exit_code() != 0) {
    if (answer->out.find("not found") != std::string::npos) return Credentials{};
    return Fail(Code::kFailedPrecondition, program, " could not say the password for ", registry);
  }
  return ParseHelperAnswer(answer->out);
}

}  // namespace

std::vector<std::string> CredentialFiles() {
  std::vector<std::string> files;
  auto add = [&files](const char* folder, const char* rest) {
    if (folder != nullptr && *folder != '\0') files.push_back(Cat(folder, rest));
  };
  const char* home = std::getenv("HOME");
  add(std::getenv("REGISTRY_AUTH_FILE"), "");
  add(std::getenv("DOCKER_CONFIG"), "/config.json");
  if (std::getenv("DOCKER_CONFIG") == nullptr) add(home, "/.docker/config.json");
  add(std::getenv("XDG_RUNTIME_DIR"), "/containers/auth.json");
  for (const char* own : {"/.config/containers/auth.json", "/.apptainer/docker-config.json",
                          "/.singularity/docker-config.json"})
    add(home, own);
  return files;
}

bool IsHelperName(const std::string& name) {
  return !name.empty() &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
             std::string::npos;
}

std::string CredentialKey(const std::string& registry) {
  return registry == "docker.io" ? kHubKey : registry;
}

std::string BasicAuthorization(const Credentials& credentials) {
  return "Basic " + Base64(Cat(credentials.user, ":", credentials.password));
}

Result<Credentials> ParseHelperAnswer(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  Credentials made{TextIn(json, "Username"), TextIn(json, "Secret"), {}};
  if (made.user.empty()) return Fail(Code::kFailedPrecondition, "a credential helper's answer is malformed");
  if (made.user == "<token>") return Credentials{{}, {}, made.password};
  return made;
}

Result<Credentials> CredentialsIn(std::string_view text, const std::string& place, std::string& helper) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return Fail(Code::kInvalidArgument, "is no JSON object");
  if (auto helpers = json.find("credHelpers"); helpers != json.end() && helpers->is_object()) {
    std::size_t best = 0;
    for (auto& [key, value] : helpers->items()) {
      std::size_t fit = value.is_string() && IsHelperName(value.get<std::string>()) ? Fit(key, place) : 0;
      if (fit > std::exchange(best, std::max(best, fit))) helper = value.get<std::string>();
    }
    if (best > 0) return Credentials{};
  }
  if (auto auths = json.find("auths"); auths != json.end() && auths->is_object()) {
    Credentials best;
    std::size_t best_fit = 0;
    for (auto& [key, value] : auths->items()) {
      std::size_t fit = Fit(key, place);
      if (fit <= best_fit) continue;
      Credentials made{TextIn(value, "username"), TextIn(value, "password"), TextIn(value, "identitytoken")};
      std::string both = TRY(DecodeAuth(TextIn(value, "auth")));
      while (!both.empty() && both.back() == '\0') both.pop_back();
      if (std::size_t colon = both.find(':'); colon != std::string::npos) {
        made.user = both.substr(0, colon);
        made.password = both.substr(colon + 1);
      }
      if (made.empty()) continue;
      best = std::move(made);
      best_fit = fit;
    }
    if (best_fit > 0) return best;
  }
  if (std::string store = TextIn(json, "credsStore"); IsHelperName(store)) helper = store;
  return Credentials{};
}

Result<Credentials> FindCredentials(const std::string& place) {
  if (Credentials given = FromEnvironment(); !given.empty()) return given;
  for (const std::string& path : CredentialFiles()) {
    auto text = ReadFile(path, 1 << 20);
    if (!text) continue;
    std::string helper;
    Credentials found = TRY_CONTEXT(CredentialsIn(*text, place, helper), path);
    if (found.empty() && !helper.empty()) found = TRY(AskHelper(helper, RegistryOf(place)));
    if (!found.empty()) return found;
  }
  return Credentials{};
}

Challenge ParseChallenge(std::string_view header) {
  Challenge challenge;
  std::size_t blank = header.find(' ');
  std::string kind(header.substr(0, blank));
  for (char& c : kind) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  challenge.kind = kind == "bearer"  ? Challenge::kBearer
                   : kind == "basic" ? Challenge::kBasic
                                     : Challenge::kNone;
  std::string_view rest = blank == std::string_view::npos ? "" : header.substr(blank + 1);
  while (!rest.empty()) {
    std::size_t equals = rest.find('=');
    if (equals == std::string_view::npos) break;
    std::string_view key = rest.substr(0, equals);
    while (!key.empty() && (key.front() == ' ' || key.front() == ',')) key.remove_prefix(1);
    rest.remove_prefix(equals + 1);
    std::string value;
    if (rest.starts_with("\"")) {
      std::size_t i = 1;
      for (; i < rest.size() && rest[i] != '"'; ++i) {
        if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
        value += rest[i];
      }
      rest.remove_prefix(std::min(i + 1, rest.size()));
    } else {
      std::size_t comma = rest.find(',');
      value = rest.substr(0, comma);
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma);
    }
    if (key == "realm") challenge.realm = value;
    if (key == "service") challenge.service = value;
    if (key == "scope") challenge.scope = value;
  }
  return challenge;
}

}  // namespace slipway::oci
