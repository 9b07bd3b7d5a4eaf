// SPDX-License-Identifier: Apache-2.0
// Passwords for registries lie where `docker login`, `podman login` and `apptainer registry login` put them:
// config.json, in the clear or behind a helper program. They are read, never written, and never logged.
#pragma once

#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway::oci {

struct Credentials {
  std::string user, password;
  std::string identity_token;  // instead of a password: exchanged for an access token
  bool empty() const { return user.empty() && identity_token.empty(); }
};

// `registry`: "host[:port]". From $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, the user's own
// ~/.docker/config.json and containers/auth.json; the first that knows the host. Empty when none does.
// kFailedPrecondition when a helper that ought to know fails.
Result<Credentials> FindCredentials(const std::string& registry);
// One such file's text; for tests and fuzzers. `helper` is set to the program that must be asked, if one
// must.
Result<Credentials> CredentialsIn(std::string_view json, const std::string& registry, std::string& helper);
// What a helper prints.
Result<Credentials> ParseHelperAnswer(std::string_view json);

std::string BasicAuthorization(const Credentials& credentials);  // "Basic …"

// A WWW-Authenticate header.
struct Challenge {
  enum Kind { kNone, kBasic, kBearer } kind = kNone;
  std::string realm, service, scope;
};
Challenge ParseChallenge(std::string_view header);

}  // namespace slipway::oci
