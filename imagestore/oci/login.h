// SPDX-License-Identifier: Apache-2.0
// `docker login` without docker: a password is tried at the registry first, then kept where every tool looks
// for it (credentials.h), or given to the helper program that the file names.
#pragma once

#include <string>
#include <vector>

#include "imagestore/oci/credentials.h"
#include "imagestore/oci/registry.h"

namespace slipway::oci {

// `registry`: "host[:port]". kUnauthenticated when it does not take them; kNotFound when it is no registry.
Result<> TryLogin(const std::string& registry, const Credentials& credentials,
                  const RegistryOptions& options);

// Returns where they are now: a file's path, or a helper's name. What else is in the file stays; it is the
// caller's alone (0600). kInvalidArgument when what is there is not such a file.
Result<std::string> KeepLogin(const std::string& registry, const Credentials& credentials);
// False when nothing was kept of it there.
Result<bool> ForgetLogin(const std::string& registry);
// Registries of that file, with their users where it says them: "host" or "host (user)".
Result<std::vector<std::string>> Logins();

// The text of such a file with or without one login; for tests. Empty `text`: a new file.
Result<std::string> WithLogin(std::string_view text, const std::string& registry,
                              const Credentials& credentials);

}  // namespace slipway::oci
