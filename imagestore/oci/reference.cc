// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/reference.h"

#include <algorithm>
#include <array>

#include "base/crypto/crypto.h"

namespace slipway::oci {

namespace {

struct SchemeWord {
  std::string_view prefix;
  Scheme scheme;
};
constexpr std::array<SchemeWord, 7> kSchemes = {{{"docker://", Scheme::kDocker},
                                                 {"oras://", Scheme::kOras},
                                                 {"oci-archive:", Scheme::kOciArchive},
                                                 {"oci:", Scheme::kOciDirectory},
                                                 {"docker-archive:", Scheme::kDockerArchive},
                                                 {"https://", Scheme::kHttp},
                                                 {"http://", Scheme::kHttp}}};
// The grammar's own default, not a choice of a host: "debian" means this one's library/debian everywhere.
constexpr std::string_view kDefaultRegistry = "docker.io";

bool AllOf(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}
constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::string_view kAnyCase = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool IsComponent(std::string_view text) {
  return !text.empty() && AllOf(text, std::string(kLower) + "._-") &&
         kLower.find(text.front()) != kLower.npos && kLower.find(text.back()) != kLower.npos;
}

bool IsRepository(std::string_view text) {
  if (text.size() > 255) return false;
  while (true) {
    std::size_t slash = text.find('/');
    if (!IsComponent(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

bool IsTag(std::string_view text) {
  return !text.empty() && text.size() <= 128 && AllOf(text, std::string(kAnyCase) + "_.-") &&
         text.front() != '.' && text.front() != '-';
}

bool IsHost(std::string_view text) {
  return !text.empty() && text.size() <= 255 && AllOf(text, std::string(kAnyCase) + ".-:[]") &&
         text.front() != '-' && text.front() != '.' && text.find("..") == std::string_view::npos;
}

bool LooksLikeHost(std::string_view first) {
  return first.find_first_of(".:") != std::string_view::npos || first == "localhost";
}

Result<Reference> ParseRegistryName(Reference made, std::string_view rest) {
  auto bad = [&](const char* what) {
    return Fail(Code::kInvalidArgument, made.text.substr(0, 300), ": ", what);
  };
  if (std::size_t at = rest.find('@'); at != std::string_view::npos) {
    made.digest = rest.substr(at + 1);
    if (!IsDigest(made.digest)) return bad("the digest must be sha256: and 64 lower-case hex digits");
    rest = rest.substr(0, at);
  }
  std::size_t slash = rest.rfind('/'), colon = rest.rfind(':');
  bool has_tag = colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash);
  if (has_tag) {
    made.tag = rest.substr(colon + 1);
    if (!IsTag(made.tag)) return bad("the tag has characters that a tag cannot have");
    rest = rest.substr(0, colon);
  }
  std::size_t first = rest.find('/');
  if (first != std::string_view::npos && LooksLikeHost(rest.substr(0, first))) {
    made.registry = rest.substr(0, first);
    rest = rest.substr(first + 1);
  } else {
    made.registry = kDefaultRegistry;
  }
  made.repository = rest;
  if (made.registry == kDefaultRegistry && made.repository.find('/') == std::string::npos)
    made.repository = "library/" + made.repository;
  if (!IsHost(made.registry)) return bad("the registry's name is malformed");
  if (!IsRepository(made.repository))
    return bad("the image's name is malformed (lower-case words, joined by /)");
  if (made.tag.empty() && made.digest.empty()) made.tag = "latest";
  return made;
}

Result<Reference> ParsePath(Reference made, std::string_view rest) {
  if (rest.starts_with("//")) rest.remove_prefix(2);
  std::size_t colon = rest.find(':');  // as skopeo does it: a path cannot have one
  made.path = rest.substr(0, colon);
  if (colon != std::string_view::npos) made.selector = rest.substr(colon + 1);
  if (made.path.empty()) return Fail(Code::kInvalidArgument, made.text, ": no file or folder is named");
  return made;
}

}  // namespace

std::string Reference::Name() const { return Cat(registry, "/", repository); }
std::string Reference::Selected() const { return digest.empty() ? tag : digest; }

bool LooksLikeReference(std::string_view text) {
  return std::any_of(kSchemes.begin(), kSchemes.end(),
                     [text](auto& one) { return text.starts_with(one.prefix); });
}

Result<Reference> ParseReference(std::string_view text) {
  for (const SchemeWord& word : kSchemes) {
    if (!text.starts_with(word.prefix)) continue;
    Reference made;
    made.scheme = word.scheme;
    made.text = text;
    if (text.size() > 4096 || text.find_first_of(" \t\r\n") != std::string_view::npos)
      return Fail(Code::kInvalidArgument, "an image's address is too long or has blanks in it");
    std::string_view rest = text.substr(word.prefix.size());
    if (word.scheme == Scheme::kHttp) {
      made.url = text;
      return made;
    }
    if (word.scheme == Scheme::kDocker || word.scheme == Scheme::kOras) return ParseRegistryName(made, rest);
    return ParsePath(made, rest);
  }
  return Fail(
      Code::kInvalidArgument, std::string(text.substr(0, 200)),
      ": not an address that is known here; one of docker://, oras://, oci:, oci-archive:, docker-archive:, "
      "http:// and https:// begins it");
}

std::string DefaultFileName(const Reference& reference) {
  std::string name, suffix;
  if (reference.scheme == Scheme::kDocker || reference.scheme == Scheme::kOras) {
    name = reference.repository.substr(reference.repository.rfind('/') + 1);
    suffix = reference.tag.empty() ? reference.digest.substr(7, 12) : reference.tag;
  } else if (reference.scheme == Scheme::kHttp) {
    name = reference.url.substr(0, reference.url.find_first_of("?#"));
    name = name.substr(name.rfind('/') + 1);
    if (name.ends_with(".sif")) return name;
  } else {
    name = reference.path.substr(0, reference.path.find_last_not_of('/') + 1);
    name = name.substr(name.rfind('/') + 1);
    if (std::size_t dot = name.find(".tar"); dot != std::string::npos) name.resize(dot);
    suffix = reference.selector.substr(reference.selector.find_last_of("/:") + 1);
  }
  if (name.empty()) name = "image";
  return Cat(name, suffix.empty() ? "" : "_", suffix, ".sif");
}

}  // namespace slipway::oci
