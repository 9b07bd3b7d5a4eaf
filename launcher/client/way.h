// SPDX-License-Identifier: Apache-2.0
// A container can be made for a user in three ways: by the node's broker, by the setuid starter, or with
// nothing but his own rights. They are tried in this order, the one with the most privilege and the least
// cost first; each that is not taken says why. The child that builds the container is the same in all three.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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
      rootless_arguments;         // who the user is inside (launcher/main/starter.cc); may be none
  std::string exec_socket;        // the broker's
  std::string digest;             // of an image of the store; empty: the user's own file or directory
  bool pid_namespace = false;     // as the LaunchSpec will have it
  bool changes_image = false;     // a writable layer will lie over it
  std::string why_own_namespace;  // not empty: only the rootless way will do, for this reason
};

struct Entered {
  Way way = Way::kRootless;
  UniqueFd control;                      // to the container's init
  Process starter;                       // setuid, rootless: its end is the end of everything
  UniqueFd broker;                       // brokered: it closes when everything has ended
  pid_t init = 0;                        // brokered: the container's init; 0 in the other ways
  std::vector<std::string> passed_over;  // "brokered: why not", for --explain
};

// A way that was begun: its side is at work already while the caller still finds out what is to be in the
// container. One that is dropped makes no container.
class Entrance {
 public:
  // Begins the first way that can be begun. The error tells of every way that was tried.
  static Result<Entrance> Begin(WayRequest request);

  // Blocks until a way will start the container; where the begun one is refused, the next is tried. `send`
  // says to the init what it is to make, into Entered::control; it is called for each way that is tried,
  // before that way's answer is awaited, and its error ends everything.
  Result<Entered> Await(const std::function<Result<>(const Entered&)>& send) &&;

 private:
  explicit Entrance(WayRequest request) : request_(std::move(request)) {}
  Result<> BeginNext();

  WayRequest request_;
  std::size_t next_ = 0;  // of the ways
  Entered begun_;
  std::vector<std::string> passed_over_;
};

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
// mounted. May take as long as packing the image anew takes. `as_is`: not packed anew; refused where no key
// of the site signed it.
Result<std::string> ImportIntoStore(const WayRequest& request, int image_fd, bool as_is);

}  // namespace slipway
