// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/login.h"

#include <nlohmann/json.hpp>

#include "base/crypto/base64.h"
#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/text/text.h"

namespace slipway::oci {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kFileMax = 1 << 20;

Result<Json> Parse(std::string_view text) {
  if (text.empty()) return Json::object();
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || (json.contains("auths") && !json["auths"].is_object()))
    return Fail(Code::kInvalidArgument, "is no file of registries' passwords; mend it or take it away");
  return json;
}

struct File {
  std::string path;
  Json json;
};

Result<File> OwnFile() {
  std::vector<std::string> all = CredentialFiles();
  if (all.empty()) return Fail(Code::kFailedPrecondition, "HOME is not set: there is no place for passwords");
  auto text = ReadFile(all[0], kFileMax);
  if (!text && text.error().sys_errno != ENOENT) return Failure(std::move(text).error());
  return File{all[0], TRY_CONTEXT(Parse(text.value_or(std::string())), all[0])};
}

Result<> Write(const File& file) {
  if (std::size_t slash = file.path.rfind('/'); slash != std::string::npos && slash != 0)
    TRY(MakeDirectories(file.path.substr(0, slash), 0700));
  return WriteFileAtomically(file.path, file.json.dump(2) + "\n", 0600);
}

// The helper that keeps this registry's password, by the file; empty: the file itself does.
std::string HelperOf(const Json& json, const std::string& registry) {
  auto text = [](const Json& object, const std::string& key) {
    auto at = object.find(key);
    return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  std::string name;
  if (auto helpers = json.find("credHelpers"); helpers != json.end() && helpers->is_object())
    name = text(*helpers, registry);
  if (name.empty()) name = text(json, "credsStore");
  return IsHelperName(name) ? name : "";
}

// `question` has a password in it: it goes through memory only.
Result<> TellHelper(const std::string& helper, const char* verb, const std::string& question) {
  std::string program = "docker-credential-" + helper;
  UniqueFd input = TRY(MakeSealedMemfd("password", question));
  auto answer = RunAndCapture({.argv = {program, verb}, .fds = {{0, input.get()}}});
  if (!answer) return Failure(std::move(answer).error());
  if (answer->status.exit_code() != 0) return Fail(Code::kFailedPrecondition, program, " ", verb, " failed");
  return {};
}

Failure NotTaken(const std::string& registry, long status) {
  if (status == 401 || status == 403)
    return Fail(Code::kUnauthenticated, registry, " does not take this user and password (", status, ")");
  if (status == 404) return Fail(Code::kNotFound, registry, " is no image registry: it has no /v2/");
  return Fail(Code::kUnavailable, registry, ": does not do what it was asked for (", status, ")");
}

}  // namespace

Result<> TryLogin(const std::string& registry, const Credentials& credentials,
                  const RegistryOptions& options) {
  Http http(options.http);
  std::string host = registry == "docker.io" ? "registry-1.docker.io" : registry;
  HttpRequest request;
  request.url = Cat(options.plain_http ? "http" : "https", "://", host, "/v2/");
  HttpResponse response = TRY(http.Send(request));
  if (response.status == 200) return {};  // it asks nobody
  if (response.status != 401 || OriginOf(response.url) != OriginOf(request.url))
    return NotTaken(registry, response.status == 401 ? 404 : response.status);
  Challenge challenge = ParseChallenge(response.headers["www-authenticate"]);
  if (challenge.kind == Challenge::kBearer) {
    bool secure = challenge.realm.starts_with("https://") ||
                  (options.plain_http && challenge.realm.starts_with("http://"));
    if (!secure)
      return Fail(Code::kUnauthenticated, registry, ": sends passwords to a place that is not safe");
    request.url = Cat(challenge.realm, challenge.realm.find('?') == std::string::npos ? "?" : "&",
                      "service=", UrlEscaped(challenge.service));
  } else if (challenge.kind != Challenge::kBasic) {
    return Fail(Code::kUnauthenticated, registry, ": wants a kind of login that is not known");
  }
  request.authorization = BasicAuthorization(credentials);
  response = TRY(http.Send(request));
  if (response.status != 200) return NotTaken(registry, response.status);
  return {};
}

Result<std::string> WithLogin(std::string_view text, const std::string& registry,
                              const Credentials& credentials) {
  Json json = TRY(Parse(text));
  json["auths"][CredentialKey(registry)] = {
      {"auth", Base64(Cat(credentials.user, ":", credentials.password))}};
  return json.dump(2) + "\n";
}

Result<std::string> KeepLogin(const std::string& registry, const Credentials& credentials) {
  File file = TRY(OwnFile());
  std::string key = CredentialKey(registry);
  if (std::string helper = HelperOf(file.json, key); !helper.empty()) {
    TRY(TellHelper(
        helper, "store",
        Json{{"ServerURL", key}, {"Username", credentials.user}, {"Secret", credentials.password}}.dump()));
    return "docker-credential-" + helper;
  }
  file.json = Json::parse(TRY(WithLogin(file.json.dump(), registry, credentials)));
  TRY(Write(file));
  return file.path;
}

Result<bool> ForgetLogin(const std::string& registry) {
  File file = TRY(OwnFile());
  std::string key = CredentialKey(registry);
  if (std::string helper = HelperOf(file.json, key); !helper.empty()) {
    TRY(TellHelper(helper, "erase", key));
    return true;
  }
  if (!file.json.contains("auths") || file.json["auths"].erase(key) == 0) return false;
  TRY(Write(file));
  return true;
}

Result<std::vector<std::string>> Logins() {
  File file = TRY(OwnFile());
  std::vector<std::string> logins;
  if (!file.json.contains("auths")) return logins;
  for (const auto& [key, value] : file.json["auths"].items()) {
    std::string helper;
    auto known = CredentialsIn(file.json.dump(), key, helper);
    logins.push_back(known && !known->user.empty() ? Cat(key, " (", known->user, ")") : key);
  }
  return logins;
}

}  // namespace slipway::oci
