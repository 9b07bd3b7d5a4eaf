// SPDX-License-Identifier: Apache-2.0
// Which cluster does a command mean? A context is a small TOML file that says how to reach one:
//   name = "dev"   controller = "unix:/path" or "host:port"   ca = "/path" (TLS only)   token_socket =
//   "/path"
// The first of these that is there decides: --context NAME|FILE, $SLIPWAY_CONTEXT (the same),
// $XDG_CONFIG_HOME/slipway/contexts/<what the file `current` there says>, /run/slipway/client/context.toml
// (inside batch containers), /etc/slipway/context.toml.
#pragma once

#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

struct Context {
  std::string name;
  std::string controller;
  std::string ca;
  std::string token_socket;
  std::string file;  // where it was read from
};

// `option` is the command line's --context, or empty. kNotFound says which places were tried and what to do.
Result<Context> FindContext(std::string_view option = {});
Result<Context> ReadContext(const std::string& file);
// Relative paths are not allowed in it: the file may be read from anywhere.
Result<> WriteContext(const std::string& file, const Context& context);

// Where a node's agent passes the calls of `slipway launch` on to the controller: beside its socket for
// tokens.
std::string StepSocketBeside(const std::string& token_socket);

// $XDG_CONFIG_HOME (or ~/.config) + "/slipway/contexts".
Result<std::string> UserContextFolder();
// Writes <folder>/NAME.toml and makes it the current one; RemoveUserContext takes both back (only if NAME is
// current).
Result<> SetUserContext(const Context& context);
Result<> RemoveUserContext(const std::string& name);

}  // namespace slipway
