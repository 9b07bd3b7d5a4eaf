// SPDX-License-Identifier: Apache-2.0
// One repository of one registry, by the distribution-spec's protocol: manifests and blobs, both ways. A 401
// is answered once, with a password or a token, where there is one; a blob that breaks off is resumed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "imagestore/oci/credentials.h"
#include "imagestore/oci/http.h"
#include "imagestore/oci/manifest.h"
#include "imagestore/oci/reference.h"

namespace slipway::oci {

struct RegistryOptions {
  HttpOptions http;
  bool plain_http = false;  // http:// instead of https://
};

class Registry {
 public:
  Registry(const Reference& reference, RegistryOptions options);
  // The same with what is known of passwords, for another thread.
  Registry Another() const;

  struct FetchedManifest {
    std::string bytes, digest;
    Manifest manifest;
  };
  // By tag or digest. With a digest the bytes are checked against it.
  Result<FetchedManifest> GetManifest(const std::string& tag_or_digest);
  // The digest that a tag has now; cheap, and not counted as a pull. Empty when the registry does not say.
  Result<std::string> DigestOfTag(const std::string& tag);
  // Small blobs (configurations), checked.
  Result<std::string> GetSmallBlob(const Descriptor& blob);
  // Writes what is missing of the blob into `fd` (borrowed), which has its first `have` bytes. Not checked
  // here.
  Result<> GetBlob(const Descriptor& blob, int fd, std::uint64_t have,
                   const std::function<void(std::uint64_t)>& progress);

  // Nothing is sent that the registry has. `fd` is borrowed.
  Result<> PutBlob(int fd, std::uint64_t offset, std::uint64_t size, const std::string& digest);
  Result<> PutSmallBlob(std::string_view bytes);
  Result<> PutManifest(std::string_view bytes, const std::string& media_type, const std::string& tag);

 private:
  Registry(Reference reference, RegistryOptions options, std::string authorization);
  std::string Url(std::string_view rest) const;
  // Sends with what is known; on 401 asks for a token and sends again.
  Result<HttpResponse> Send(HttpRequest request, bool push);
  Result<std::string> Authorization(const Challenge& challenge, bool push);
  Failure Refused(const HttpResponse& response, std::string_view what) const;

  Reference reference_;
  RegistryOptions options_;
  Http http_;
  std::string authorization_;
  bool authorized_for_push_ = false;
};

}  // namespace slipway::oci
