// SPDX-License-Identifier: Apache-2.0
// A site that has a mirror of a public registry says so once, in the file that podman, skopeo and buildah
// read too: containers-registries.conf(5). Of it are known: [[registry]] with prefix, location, insecure,
// blocked and its [[registry.mirror]]s with location, insecure and pull-from-mirror = "digest-only". Pushes
// go to the registry itself.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "imagestore/oci/registry.h"

namespace slipway::oci {

struct MirrorRule {
  struct Place {
    std::string location;       // "host[:port][/path]"
    bool insecure = false;      // by plain HTTP
    bool only_digests = false;  // not asked what a tag means
  };
  std::string prefix;  // "host[:port][/path]" of what people write
  Place itself;
  std::vector<Place> mirrors;
  bool blocked = false;
};

// kInvalidArgument with the place in `file` when it is no TOML or has something else where a name belongs.
Result<std::vector<MirrorRule>> ParseMirrors(std::string_view toml, const std::string& file);
// $CONTAINERS_REGISTRIES_CONF, else the user's own ~/.config/containers/registries.conf, else the system's
// with its registries.conf.d. No file: no rules.
Result<std::vector<MirrorRule>> ReadMirrors();

// Whom to ask for that repository, in this order; the last is the registry itself. kPermissionDenied:
// blocked.
struct Endpoint {
  Reference reference;
  bool plain_http = false;
};
Result<std::vector<Endpoint>> EndpointsOf(const Reference& reference, bool plain_http,
                                          const std::vector<MirrorRule>& rules);

// One repository for pulls: what a mirror cannot give, the next one is asked for. Calls are Registry's.
class Repository {
 public:
  static Result<Repository> Of(const Reference& reference, const RegistryOptions& options);
  Repository(std::vector<Registry> places) : places_(std::move(places)) {}
  Repository Another() const;  // for another thread

  Result<Registry::FetchedManifest> GetManifest(const std::string& tag_or_digest);
  Result<std::string> DigestOfTag(const std::string& tag);
  Result<std::string> GetSmallBlob(const Descriptor& blob);
  Result<> GetBlob(const Descriptor& blob, int fd, std::uint64_t have,
                   const std::function<void(std::uint64_t)>& progress);

 private:
  template <class Ask>
  auto FirstThatGives(Ask ask) -> decltype(ask(std::declval<Registry&>()));
  std::vector<Registry> places_;  // never empty
};

}  // namespace slipway::oci
