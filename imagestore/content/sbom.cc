// SPDX-License-Identifier: Apache-2.0
#include "imagestore/content/sbom.h"

#include <algorithm>
#include <cctype>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>

namespace slipway::content {
namespace {

using Json = nlohmann::ordered_json;

std::string Moment(std::int64_t seconds) {
  std::time_t time = seconds;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// As package URLs want their parts: letters, digits and a few signs, the rest in %XX.
std::string Quoted(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string quoted;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view(".-_~:+").find(c) != std::string_view::npos) {
      quoted += c;
    } else {
      quoted += '%';
      quoted += kHex[byte >> 4];
      quoted += kHex[byte & 15];
    }
  }
  return quoted;
}

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// The first word of PRETTY_NAME is the distribution's name well enough: "Debian GNU/Linux 12",
// "Ubuntu 22.04".
std::string Distribution(const std::string& system, const char* otherwise) {
  std::string word = Lower(system.substr(0, system.find(' ')));
  bool plain = !word.empty() &&
               std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isalnum(c) != 0; });
  return plain ? word : otherwise;
}

std::string Dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string HexOf(const std::string& digest) { return digest.substr(digest.find(':') + 1); }

}  // namespace

std::string PackageUrl(const Package& package, const std::string& system) {
  std::string url = "pkg:";
  if (package.kind == "dpkg") url += Cat("deb/", Distribution(system, "debian"), "/");
  if (package.kind == "rpm") url += Cat("rpm/", Distribution(system, "unknown"), "/");
  if (package.kind == "apk") url += "apk/alpine/";
  if (package.kind == "pip") url += "pypi/";
  if (package.kind == "conda") url += "conda/";
  std::string name = package.name;
  if (package.kind == "pip") {
    name = Lower(name);
    std::replace(name.begin(), name.end(), '_', '-');
  }
  url += Cat(Quoted(name), package.version.empty() ? "" : "@", Quoted(package.version));
  return package.arch.empty() ? url : Cat(url, "?arch=", Quoted(package.arch));
}

std::string SpdxJson(const Content& content, const SbomSubject& subject) {
  Json packages = Json::array(), relationships = Json::array();
  packages.push_back(
      {{"name", subject.name},
       {"SPDXID", "SPDXRef-Image"},
       {"versionInfo", subject.digest},
       {"downloadLocation", "NOASSERTION"},
       {"filesAnalyzed", false},
       {"checksums", Json::array({{{"algorithm", "SHA256"}, {"checksumValue", HexOf(subject.digest)}}})},
       {"primaryPackagePurpose", "CONTAINER"}});
  relationships.push_back({{"spdxElementId", "SPDXRef-DOCUMENT"},
                           {"relationshipType", "DESCRIBES"},
                           {"relatedSpdxElement", "SPDXRef-Image"}});
  for (std::size_t i = 0; i < content.packages.size(); ++i) {
    const Package& one = content.packages[i];
    std::string id = Cat("SPDXRef-Package-", i + 1);
    packages.push_back(
        {{"name", one.name},
         {"SPDXID", id},
         {"versionInfo", one.version},
         {"downloadLocation", "NOASSERTION"},
         {"filesAnalyzed", false},
         {"licenseConcluded", "NOASSERTION"},
         {"licenseDeclared", "NOASSERTION"},
         {"copyrightText", "NOASSERTION"},
         {"externalRefs", Json::array({{{"referenceCategory", "PACKAGE-MANAGER"},
                                        {"referenceType", "purl"},
                                        {"referenceLocator", PackageUrl(one, content.system)}}})}});
    relationships.push_back(
        {{"spdxElementId", "SPDXRef-Image"}, {"relationshipType", "CONTAINS"}, {"relatedSpdxElement", id}});
  }
  return Dump({{"spdxVersion", "SPDX-2.3"},
               {"dataLicense", "CC0-1.0"},
               {"SPDXID", "SPDXRef-DOCUMENT"},
               {"name", subject.name},
               {"documentNamespace", Cat("https://slipway.invalid/sbom/", HexOf(subject.digest))},
               {"creationInfo",
                {{"created", Moment(subject.created_s)}, {"creators", Json::array({"Tool: slipway"})}}},
               {"packages", packages},
               {"relationships", relationships}});
}

std::string CycloneDxJson(const Content& content, const SbomSubject& subject) {
  Json components = Json::array();
  std::map<std::string, std::size_t> seen;
  for (const Package& one : content.packages) {
    std::string url = PackageUrl(one, content.system);
    // One package may be there twice, in two environments; what refers to it must know which.
    std::size_t again = seen[url]++;
    std::string ref = again == 0 ? url : Cat(url, "#", again + 1);
    components.push_back(
        {{"type", "library"}, {"bom-ref", ref}, {"name", one.name}, {"version", one.version}, {"purl", url}});
  }
  return Dump({{"bomFormat", "CycloneDX"},
               {"specVersion", "1.5"},
               {"version", 1},
               {"metadata",
                {{"timestamp", Moment(subject.created_s)},
                 {"tools", {{"components", Json::array({{{"type", "application"}, {"name", "slipway"}}})}}},
                 {"component",
                  {{"type", "container"},
                   {"bom-ref", subject.digest},
                   {"name", subject.name},
                   {"version", subject.digest},
                   {"hashes", Json::array({{{"alg", "SHA-256"}, {"content", HexOf(subject.digest)}}})}}}}},
               {"components", components}});
}

}  // namespace slipway::content
