// SPDX-License-Identifier: Apache-2.0
// A container can be made for a user in three ways: by the node's broker, by the setuid starter, or with
// nothing but his own rights. They are tried in this order, the one with the most privilege and the least
// cost first; each that is not taken says why. The child that builds the container is the same in all three.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "launcher/spec/starter_conf.h"

namespace slipway {

enum class Way { kBrokered, kSetuid, kRootless };
std::string_view NameOf(Way way);
// "brokered", "setuid", "rootless"; "auto" and "" are nothing. kInvalidArgument names the choice.
Result<std::optional<Way>> ParseWay(std::string_view text);

struct WayRequest {
  std::optional<Way> only;
  std::string starter;  // path of slipway-starter
  std::vector<std::string>
      rootless_arguments;   // who the user is inside (launcher/main/starter.cc); may be none
  std::string exec_socket;  // the broker's
  std::string digest;       // of an image of the store; empty: the user's own file or directory
};

struct Entered {
  Way way = Way::kRootless;
  UniqueFd control;                      // to the container's init
  Process starter;                       // setuid, rootless: its end is the end of everything
  UniqueFd broker;                       // brokered: it closes when everything has ended
  std::vector<std::string> passed_over;  // "brokered: why not", for --explain
};
// Blocks until a way is found that will start the container. The error tells of every way that was tried.
Result<Entered> EnterWay(const WayRequest& request);

// slipway-starter, and the socket to the container's init that it becomes (init_protocol.h). It ends with the
// calling thread. `arguments`: the way's name, then what it takes after the socket's number
// (launcher/main/starter.cc).
struct StarterProcess {
  Process process;
  UniqueFd control;
};
Result<StarterProcess> SpawnStarter(const std::string& starter, const std::string& way,
                                    const std::vector<std::string>& arguments);

// Puts the file into the node's store, by the broker or else the setuid starter; the digest of what will be
// mounted. May take as long as packing the image anew takes.
Result<std::string> ImportIntoStore(const WayRequest& request, int image_fd);

}  // namespace slipway
