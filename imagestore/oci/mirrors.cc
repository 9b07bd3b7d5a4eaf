// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/mirrors.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace slipway::oci {
namespace {

constexpr std::size_t kFileMax = 1 << 20;
constexpr std::string_view kSystemFile = "/etc/containers/registries.conf";
constexpr std::size_t kMirrorsMax = 16;

std::string NotSlashed(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  return text;
}

MirrorRule::Place PlaceOf(const toml::table& table) {
  MirrorRule::Place place;
  place.location = NotSlashed(table["location"].value_or(std::string()));
  place.insecure = table["insecure"].value_or(false);
  place.only_digests = table["pull-from-mirror"].value_or(std::string()) == "digest-only";
  return place;
}

Result<MirrorRule> RuleOf(const toml::table& table, const std::string& file) {
  MirrorRule rule;
  rule.itself = PlaceOf(table);
  rule.prefix = NotSlashed(table["prefix"].value_or(rule.itself.location));
  if (rule.itself.location.empty()) rule.itself.location = rule.prefix;
  rule.blocked = table["blocked"].value_or(false);
  if (rule.prefix.empty())
    return Fail(Code::kInvalidArgument, file, ":", table.source().begin.line,
                ": a [[registry]] needs a location or a prefix");
  const toml::array* mirrors = table["mirror"].as_array();
  for (std::size_t i = 0; mirrors != nullptr && i < std::min(mirrors->size(), kMirrorsMax); ++i) {
    const toml::table* mirror = mirrors->get(i)->as_table();
    if (mirror != nullptr) rule.mirrors.push_back(PlaceOf(*mirror));
    if (mirror == nullptr || rule.mirrors.back().location.empty())
      return Fail(Code::kInvalidArgument, file, ":", table.source().begin.line,
                  ": a [[registry.mirror]] needs a location");
  }
  return rule;
}

bool Covers(std::string_view prefix, std::string_view name) {
  return name.starts_with(prefix) && (name.size() == prefix.size() || name[prefix.size()] == '/');
}

// `reference` with what the rule's prefix covers replaced by the place's location.
Result<Reference> Moved(const Reference& reference, const std::string& prefix, const std::string& location) {
  std::string rest = reference.Name().substr(prefix.size());
  const char* scheme = reference.scheme == Scheme::kOras ? "oras://" : "docker://";
  std::string text = Cat(scheme, location, rest, reference.tag.empty() ? "" : ":", reference.tag,
                         reference.digest.empty() ? "" : "@", reference.digest);
  Reference moved = TRY_CONTEXT(ParseReference(text), "a mirror in registries.conf");
  moved.text = reference.text;
  return moved;
}

}  // namespace

Result<std::vector<MirrorRule>> ParseMirrors(std::string_view text, const std::string& file) {
  toml::parse_result parsed = toml::parse(text, file);
  if (!parsed)
    return Fail(Code::kInvalidArgument, file, ":", parsed.error().source().begin.line, ": ",
                std::string(parsed.error().description()));
  std::vector<MirrorRule> rules;
  const toml::array* registries = parsed.table()["registry"].as_array();
  for (std::size_t i = 0; registries != nullptr && i < registries->size(); ++i) {
    if (const toml::table* table = registries->get(i)->as_table()) rules.push_back(TRY(RuleOf(*table, file)));
  }
  return rules;
}

Result<std::vector<MirrorRule>> ReadMirrors() {
  const char* named = std::getenv("CONTAINERS_REGISTRIES_CONF");
  const char* home = std::getenv("HOME");
  std::string mine = home != nullptr ? Cat(home, "/.config/containers/registries.conf") : std::string();
  bool system = false;
  std::string file = named != nullptr ? named : mine;
  if (named == nullptr && (mine.empty() || ::access(mine.c_str(), R_OK) != 0)) {
    file = kSystemFile;
    system = true;
  }
  std::vector<std::string> files;
  if (named != nullptr || ::access(file.c_str(), R_OK) == 0) files.push_back(file);
  auto more = system ? NamesIn(Cat(kSystemFile, ".d")) : Result<std::vector<std::string>>();
  if (more) std::sort(more->begin(), more->end());
  for (const std::string& name : more ? *more : std::vector<std::string>())
    if (name.ends_with(".conf")) files.push_back(Cat(kSystemFile, ".d/", name));
  std::vector<MirrorRule> rules;
  for (const std::string& path : files) {
    auto of_file = TRY(ParseMirrors(TRY(ReadFile(path, kFileMax)), path));
    rules.insert(rules.end(), std::make_move_iterator(of_file.begin()),
                 std::make_move_iterator(of_file.end()));
  }
  return rules;
}

Result<std::vector<Endpoint>> EndpointsOf(const Reference& reference, bool plain_http,
                                          const std::vector<MirrorRule>& rules) {
  const MirrorRule* best = nullptr;
  std::string name = reference.Name();
  for (const MirrorRule& rule : rules) {
    if (Covers(rule.prefix, name) && (best == nullptr || rule.prefix.size() >= best->prefix.size()))
      best = &rule;
  }
  if (best == nullptr) return std::vector<Endpoint>{{reference, plain_http}};
  if (best->blocked)
    return Fail(Code::kPermissionDenied, reference.text, ": registries.conf blocks ", best->prefix);
  std::vector<Endpoint> endpoints;
  for (const MirrorRule::Place& mirror : best->mirrors) {
    if (mirror.only_digests && reference.digest.empty()) continue;
    endpoints.push_back(
        {TRY(Moved(reference, best->prefix, mirror.location)), plain_http || mirror.insecure});
  }
  endpoints.push_back(
      {TRY(Moved(reference, best->prefix, best->itself.location)), plain_http || best->itself.insecure});
  return endpoints;
}

Result<Repository> Repository::Of(const Reference& reference, const RegistryOptions& options) {
  std::vector<Registry> places;
  auto endpoints = TRY(EndpointsOf(reference, options.plain_http, TRY(ReadMirrors())));
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    RegistryOptions mine = options;
    mine.plain_http = endpoints[i].plain_http;
    // A mirror that is away is not waited for: the next one is asked.
    if (i + 1 < endpoints.size()) mine.http.tries = 1;
    if (i + 1 < endpoints.size()) mine.http.connect_timeout = std::chrono::seconds(5);
    places.emplace_back(endpoints[i].reference, mine);
  }
  return Repository(std::move(places));
}

Repository Repository::Another() const {
  std::vector<Registry> places;
  for (const Registry& place : places_) places.push_back(place.Another());
  return Repository(std::move(places));
}

template <class Ask>
auto Repository::FirstThatGives(Ask ask) -> decltype(ask(std::declval<Registry&>())) {
  std::string mirrors_said;
  for (std::size_t i = 0; i + 1 < places_.size(); ++i) {
    auto given = ask(places_[i]);
    if (given || given.error().code == Code::kCancelled) return given;
    mirrors_said += Cat("; its mirror: ", given.error().message);
  }
  auto given = ask(places_.back());
  if (!given) given.error().message += mirrors_said;
  return given;
}

Result<Registry::FetchedManifest> Repository::GetManifest(const std::string& tag_or_digest) {
  return FirstThatGives([&](Registry& place) { return place.GetManifest(tag_or_digest); });
}
Result<std::string> Repository::DigestOfTag(const std::string& tag) {
  return FirstThatGives([&](Registry& place) { return place.DigestOfTag(tag); });
}
Result<std::string> Repository::GetSmallBlob(const Descriptor& blob) {
  return FirstThatGives([&](Registry& place) { return place.GetSmallBlob(blob); });
}
Result<> Repository::GetBlob(const Descriptor& blob, int fd, std::uint64_t have,
                             const std::function<void(std::uint64_t)>& progress) {
  // What one has given, the next goes on with: the digest is checked at the end.
  std::uint64_t got = have;
  auto seen = [&](std::uint64_t now) {
    got = now;
    if (progress) progress(now);
  };
  return FirstThatGives([&](Registry& place) -> Result<> {
    TRY(place.GetBlob(blob, fd, got, seen));
    if (&place == &places_.back() || TRY(DigestOfFile(fd)) == blob.digest) return {};
    seen(0);
    return Fail(Code::kDataLoss, "what came is not ", blob.digest);
  });
}

}  // namespace slipway::oci
