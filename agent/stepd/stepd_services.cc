// SPDX-License-Identifier: Apache-2.0
// What the stepds of one step do for one another.
#include "agent/stepd/stepd.h"

namespace slipway {

void Stepd::Serve(std::uint32_t node, Service service, std::string_view data, Exchange::Reply reply) {
  switch (service) {
    case Service::kModex: {
      auto request = Decode<ModexRequest>(data, "modex request");
      if (!request) return reply(Failure(request.error()));
      if (!pmix_) return reply(Fail(Code::kFailedPrecondition, "not an MPI step"));
      return pmix_->ServeModex(request->rank, std::move(reply));
    }
    case Service::kName: {
      auto request = Decode<NameRequest>(data, "name request");
      if (!request) return reply(Failure(request.error()));
      request->node = node;
      return names_.Handle(std::move(*request), std::move(reply));
    }
  }
  reply(Fail(Code::kUnimplemented, "this node does not know service ", static_cast<int>(service)));
}

// The first node keeps the names of all.
void Stepd::AskForName(NameRequest request, Exchange::Reply reply) {
  exchange_.Ask(0, Service::kName, Encode(request), std::move(reply));
  ArmExchangeTick();
}

}  // namespace slipway
