// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/registry.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "base/text/text.h"

namespace slipway::oci {

namespace {

constexpr std::size_t kSmallBlobMax = 8 << 20;

// The registry's own words for people, when they are a line's worth.
std::string ErrorText(const std::string& body) {
  auto json = nlohmann::json::parse(body, nullptr, false);
  std::string text;
  if (json.is_object() && json.contains("errors") && json["errors"].is_array() && !json["errors"].empty()) {
    const auto& first = json["errors"][0];
    if (first.is_object() && first.contains("message") && first["message"].is_string())
      text = first["message"].get<std::string>();
  }
  for (char& c : text) c = static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return text.substr(0, 200);
}

Result<> WriteAt(int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("write");
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

}  // namespace

Registry::Registry(const Reference& reference, RegistryOptions options)
    : Registry(reference, std::move(options), {}) {}
Registry::Registry(Reference reference, RegistryOptions options, std::string authorization)
    : reference_(std::move(reference)),
      options_(std::move(options)),
      http_(options_.http),
      authorization_(std::move(authorization)) {}
Registry Registry::Another() const { return Registry(reference_, options_, authorization_); }

std::string Registry::Url(std::string_view rest) const {
  // Docker's grammar and Docker's API have different names for the one host.
  std::string host = reference_.registry == "docker.io" ? "registry-1.docker.io" : reference_.registry;
  return Cat(options_.plain_http ? "http" : "https", "://", host, "/v2/", reference_.repository, "/", rest);
}

Failure Registry::Refused(const HttpResponse& response, std::string_view what) const {
  std::string said = ErrorText(response.body);
  if (!said.empty()) said.insert(0, "; it says: ");
  auto fail = [&](Code code, const char* words) {
    return Fail(code, reference_.registry, ": ", words, " (", response.status, " for ", what, ")", said);
  };
  switch (response.status) {
    case 401:
      return fail(Code::kUnauthenticated,
                  "it wants another password or has no such image; slipway registry login keeps one");
    case 403:
      return fail(Code::kPermissionDenied, "you may not");
    case 404:
      return fail(Code::kNotFound, "there is no such image");
    default:
      return fail(Code::kUnavailable, "it does not do what it was asked for");
  }
}

Result<std::string> Registry::Authorization(const Challenge& challenge, bool push) {
  Credentials credentials = TRY(FindCredentials(Cat(reference_.registry, "/", reference_.repository)));
  if (challenge.kind == Challenge::kBasic) {
    if (credentials.user.empty())
      return Fail(Code::kUnauthenticated, reference_.registry,
                  " wants a password; slipway registry login keeps one");
    return BasicAuthorization(credentials);
  }
  bool secure = challenge.realm.starts_with("https://") ||
                (options_.plain_http && challenge.realm.starts_with("http://"));
  if (challenge.kind != Challenge::kBearer || !secure)
    return Fail(Code::kUnauthenticated, reference_.registry,
                ": wants a kind of login that is not known or not safe");
  std::string scope = Cat("repository:", reference_.repository, push ? ":pull,push" : ":pull");
  HttpRequest request;
  if (credentials.identity_token.empty()) {
    request.url = Cat(challenge.realm, challenge.realm.find('?') == std::string::npos ? "?" : "&",
                      "service=", UrlEscaped(challenge.service), "&scope=", UrlEscaped(scope));
    if (!credentials.user.empty()) request.authorization = BasicAuthorization(credentials);
  } else {
    request.method = "POST";
    request.url = challenge.realm;
    request.body_is_secret = true;
    request.headers = {"Content-Type: application/x-www-form-urlencoded"};
    request.body =
        Cat("grant_type=refresh_token&client_id=slipway&service=", UrlEscaped(challenge.service),
            "&scope=", UrlEscaped(scope), "&refresh_token=", UrlEscaped(credentials.identity_token));
  }
  HttpResponse response = TRY(http_.Send(request));
  if (response.status != 200) return Refused(response, "a token");
  auto json = nlohmann::json::parse(response.body, nullptr, false);
  for (const char* key : {"token", "access_token"}) {
    if (json.is_object() && json.contains(key) && json[key].is_string()) {
      auto token = json[key].get<std::string>();
      if (token.find_first_of("\r\n") == std::string::npos && !token.empty()) return "Bearer " + token;
    }
  }
  return Fail(Code::kUnauthenticated, OriginOf(challenge.realm), ": gave no token");
}

Result<HttpResponse> Registry::Send(HttpRequest request, bool push) {
  bool known_origin = OriginOf(request.url) == OriginOf(Url(""));
  if (known_origin && (!push || authorized_for_push_)) request.authorization = authorization_;
  HttpResponse response = TRY(http_.Send(request));
  // Who was only redirected to does not say where a password goes.
  if (response.status != 401 || !known_origin || OriginOf(response.url) != OriginOf(Url(""))) return response;
  authorization_ = TRY(Authorization(ParseChallenge(response.headers["www-authenticate"]), push));
  authorized_for_push_ = push;
  request.authorization = authorization_;
  return http_.Send(request);
}

Result<Registry::FetchedManifest> Registry::GetManifest(const std::string& tag_or_digest) {
  HttpRequest request;
  request.url = Url(Cat("manifests/", tag_or_digest));
  request.headers = {"Accept: " + Join(ManifestMediaTypes(), ", ")};
  request.body_max = kManifestBytesMax;
  HttpResponse response = TRY(Send(std::move(request), false));
  if (response.status != 200) return Refused(response, Cat(reference_.repository, ":", tag_or_digest));
  FetchedManifest fetched;
  fetched.digest = DigestOf(response.body);
  std::string wanted = IsDigest(tag_or_digest) ? tag_or_digest : response.headers["docker-content-digest"];
  if (IsDigest(wanted) && wanted != fetched.digest) {
    return Fail(Code::kDataLoss, reference_.registry, ": the manifest that came is not ", wanted,
                ": the server lies, or something on the way changed it");
  }
  fetched.manifest = TRY_CONTEXT(ParseManifest(response.body), reference_.text);
  fetched.bytes = std::move(response.body);
  return fetched;
}

Result<std::string> Registry::DigestOfTag(const std::string& tag) {
  HttpRequest request;
  request.method = "HEAD";
  request.url = Url(Cat("manifests/", tag));
  request.headers = {"Accept: " + Join(ManifestMediaTypes(), ", ")};
  HttpResponse response = TRY(Send(std::move(request), false));
  if (response.status != 200) return Refused(response, Cat(reference_.repository, ":", tag));
  std::string digest = response.headers["docker-content-digest"];
  return IsDigest(digest) ? digest : std::string();
}

Result<std::string> Registry::GetSmallBlob(const Descriptor& blob) {
  if (blob.size > kSmallBlobMax) return Fail(Code::kOutOfRange, "a configuration of ", blob.size, " bytes");
  HttpRequest request;
  request.url = Url(Cat("blobs/", blob.digest));
  request.body_max = kSmallBlobMax;
  HttpResponse response = TRY(Send(std::move(request), false));
  if (response.status != 200) return Refused(response, blob.digest);
  if (DigestOf(response.body) != blob.digest)
    return Fail(Code::kDataLoss, reference_.registry, ": what came is not ", blob.digest);
  return std::move(response.body);
}

Result<> Registry::GetBlob(const Descriptor& blob, int fd, std::uint64_t have,
                           const std::function<void(std::uint64_t)>& progress) {
  std::uint64_t furthest = have;  // only beyond it is progress: a server may start over and over again
  for (unsigned tried = 0; have < blob.size;) {
    HttpRequest request;
    request.url = Url(Cat("blobs/", blob.digest));
    if (have > 0) request.headers = {Cat("Range: bytes=", have, "-")};
    request.begin = [&](long status, const HttpRequest::Headers&) -> Result<> {
      if (status != 206) have = 0;  // it gives the whole again
      return {};
    };
    request.sink = [&](std::string_view bytes) -> Result<> {
      if (bytes.size() > blob.size - have)
        return Fail(Code::kDataLoss, reference_.registry, ": sends more than the ", blob.size, " bytes of ",
                    blob.digest);
      TRY(WriteAt(fd, bytes, have));
      have += bytes.size();
      if (progress) progress(have);
      return {};
    };
    auto response = Send(std::move(request), false);
    bool broke_off = !response && (response.error().code == Code::kUnavailable ||
                                   response.error().code == Code::kDeadlineExceeded);
    if (!response && !broke_off) return Failure(std::move(response).error());
    if (response && response->status == 416) {
      have = 0;
    } else if (response && response->status != 200 && response->status != 206) {
      return Refused(*response, blob.digest);
    }
    if (have == blob.size) break;
    if (have > furthest) tried = 0;
    furthest = std::max(furthest, have);
    if (!http_.WaitBeforeTry(tried++)) {
      if (!response) return Failure(std::move(response).error());
      return Fail(Code::kDataLoss, reference_.registry, ": gave ", have, " of the ", blob.size, " bytes of ",
                  blob.digest, " and no more");
    }
  }
  if (::ftruncate(fd, static_cast<off_t>(blob.size)) < 0) return ErrnoFail("ftruncate");
  return {};
}

Result<> Registry::PutBlob(int fd, std::uint64_t offset, std::uint64_t size, const std::string& digest) {
  HttpRequest head;
  head.method = "HEAD";
  head.url = Url(Cat("blobs/", digest));
  HttpResponse there = TRY(Send(std::move(head), true));
  if (there.status == 200) return {};
  HttpRequest begin;
  begin.method = "POST";
  begin.url = Url("blobs/uploads/");
  HttpResponse begun = TRY(Send(std::move(begin), true));
  std::string location = begun.headers["location"];
  if (begun.status != 202 || location.empty()) return Refused(begun, "an upload");
  location = AbsoluteUrl(begun.url, location);
  if (location.empty() || (begun.url.starts_with("https://") && !location.starts_with("https://")))
    return Fail(Code::kFailedPrecondition, reference_.registry, ": wants the upload at ",
                location.empty() ? "no usable address" : OriginOf(location), ", which is not https; refused");
  HttpRequest put;
  put.method = "PUT";
  put.url = Cat(location, location.find('?') == std::string::npos ? "?" : "&", "digest=", UrlEscaped(digest));
  put.headers = {"Content-Type: application/octet-stream"};
  put.upload_fd = fd;
  put.upload_offset = offset;
  put.upload_size = size;
  HttpResponse done = TRY(Send(std::move(put), true));
  if (done.status != 201 && done.status != 204) return Refused(done, "an upload");
  return {};
}

Result<> Registry::PutSmallBlob(std::string_view bytes) {
  UniqueFd fd = TRY(MakeSealedMemfd("blob", bytes));
  return PutBlob(fd.get(), 0, bytes.size(), DigestOf(bytes));
}

Result<> Registry::PutManifest(std::string_view bytes, const std::string& media_type,
                               const std::string& tag) {
  HttpRequest request;
  request.method = "PUT";
  request.url = Url(Cat("manifests/", tag));
  request.headers = {"Content-Type: " + media_type};
  request.body = bytes;
  HttpResponse response = TRY(Send(std::move(request), true));
  if (response.status != 201) return Refused(response, Cat(reference_.repository, ":", tag));
  return {};
}

}  // namespace slipway::oci
