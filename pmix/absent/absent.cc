// SPDX-License-Identifier: Apache-2.0
// Most steps are no MPI programs, and each pays for what its stepd is made of. So there are two programs of
// the same stepd. This takes the place of pmix/server in the one without libpmix; a step that offers PMIx is
// given the other (StartStep::pmix).
#include "pmix/server/pmix_server.h"

namespace slipway {
namespace {

constexpr const char* kAbsent = "this slipway-stepd is without PMIx: the step wants slipway-stepd-pmix";

}  // namespace

struct PmixServer::Impl {};

// The only way to one: what follows is never called.
Result<std::unique_ptr<PmixServer>> PmixServer::Start(Loop&, const std::string&, const std::string&, uid_t,
                                                      PmixCallbacks, const std::string&) {
  return Fail(Code::kInternal, kAbsent);
}
PmixServer::PmixServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PmixServer::~PmixServer() = default;
Result<> PmixServer::Register(const PmixWorld&) { return Fail(Code::kInternal, kAbsent); }
void PmixServer::Deregister(const std::string&) {}
Result<std::vector<std::string>> PmixServer::EnvironmentOf(const PmixPeer&) {
  return Fail(Code::kInternal, kAbsent);
}
void PmixServer::ServeModex(const ModexRequest&, Exchange::Reply reply) {
  reply(Fail(Code::kInternal, kAbsent));
}
Result<std::string> PmixServer::EventOf(const PmixPeer&, RankEnd) { return Fail(Code::kInternal, kAbsent); }
Result<> PmixServer::DeliverEvent(std::string_view) { return Fail(Code::kInternal, kAbsent); }
std::string PmixServer::version() const { return {}; }

}  // namespace slipway
