// SPDX-License-Identifier: Apache-2.0
// What the kernel may not parse for a user is served to him by a program of his own, through FUSE, inside the
// container's namespaces: it is started by us so that it ends with them. This is what all such servers have
// in common.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/os/fd.h"
#include "base/result/result.h"
#include "launcher/spec/capabilities.h"

namespace slipway {

struct FuseServer {
  pid_t pid = -1;
  UniqueFd stderr_pipe;  // what it had to say, non-blocking
  std::string program;   // its name, for the user
};

// A file system that is served: `mount` is detached. It answers as soon as the server does: the first look-up
// waits for it.
struct FuseImage {
  UniqueFd mount;
  FuseServer server;
};

struct FuseCommand {
  std::string program;               // its path
  std::vector<std::string> argv;     // argv[0] included
  std::vector<int> fds;              // borrowed; inherited under their own numbers, which argv names
  CapabilitySet keeps = 0;           // of our user namespace, over its exec
  std::function<Result<>()> before;  // what it does first, with all our privilege; may be empty
  bool outlives_us = false;          // ends by itself, once what it serves is mounted nowhere any more
};
// The server runs in a session of its own, deaf to the signals that are for the tasks and out of their reach:
// they can end it, and hold nothing of it. It ends with the calling thread unless it outlives it.
Result<FuseServer> StartFuseServer(const FuseCommand& command);

// The first of the usual places (Debian's, a site's, Slipway's own, Apptainer's) where `program` is;
// kFailedPrecondition names the Debian package and what it is for.
Result<std::string> FindFuseProgram(const std::string& program, const std::string& package,
                                    const std::string& purpose);

// One that was installed with the program that we are; empty: it was not.
std::string OwnFuseProgram(const std::string& program);

// /dev/fuse, opened inside the user namespace: the mount refuses one from outside.
Result<UniqueFd> OpenFuseDevice();

// "<message> (<program>: <what the server said>)" for an error met while its file system was looked into.
Error WithServersWords(Error error, const FuseServer& server);

}  // namespace slipway
