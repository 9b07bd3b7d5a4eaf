// SPDX-License-Identifier: Apache-2.0
// A node's address may be a name (agent.address), and a name server may take seconds to say nothing. So names
// are looked up by a thread of their own, which no loop waits for; numbers, which nearly all addresses are,
// without one.
//
// Loop's thread. The answer comes within the call for numbers, else from the loop; never after destruction.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop/loop.h"
#include "base/os/tcp.h"

namespace slipway {

class NameLookup {
 public:
  using Done = std::function<void(Result<std::vector<TcpAddress>>)>;
  NameLookup(Loop& loop, const std::string& where, Done done);
  ~NameLookup();
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace slipway
