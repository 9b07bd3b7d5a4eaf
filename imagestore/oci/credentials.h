// SPDX-License-Identifier: Apache-2.0
// Passwords for registries lie where `docker login`, `podman login` and `apptainer registry login` put them:
// config.json, in the clear or behind a helper program; scripts set variables. They are read here, and never
// logged; login.h writes them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"

namespace slipway::oci {

struct Credentials {
  std::string user, password;
  std::string identity_token;  // instead of a password: exchanged for an access token
  bool empty() const { return user.empty() && identity_token.empty(); }
};

// Where passwords may lie, the first that knows the host wins: $REGISTRY_AUTH_FILE,
// $DOCKER_CONFIG/config.json or
// ~/.docker/config.json, containers/auth.json, Apptainer's own. The first of them is where a login is kept.
std::vector<std::string> CredentialFiles();
// `registry`: "host[:port]". From $SLIPWAY_DOCKER_USERNAME and _PASSWORD (APPTAINER_…, SINGULARITY_…), else
// from those files. Empty when none knows. kFailedPrecondition when a helper that ought to know fails.
Result<Credentials> FindCredentials(const std::string& registry);
// One such file's text; for tests and fuzzers. `helper` is set to the program that must be asked, if one
// must.
Result<Credentials> CredentialsIn(std::string_view json, const std::string& registry, std::string& helper);
// One that a file may name: no path, nothing a shell would see.
bool IsHelperName(const std::string& name);
// What a file has the default registry's password under; the host itself for all others.
std::string CredentialKey(const std::string& registry);
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
