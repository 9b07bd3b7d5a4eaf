// SPDX-License-Identifier: Apache-2.0
// The gRPC services of slipwayd. Their reactors decode, post to the owner thread, and answer; what is
// decided, is decided in Head. Each reactor that streams is owned by gRPC until its OnDone, which posts its
// deletion behind all that it has posted before.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/crypto/crypto.h"
#include "base/loop/loop.h"

namespace grpc {
class Service;
}

namespace slipway::scheduler {

class Authenticator;
class Head;
class ImageDesk;
class SiteHooks;

// Borrowed by every service; outlives the gRPC server.
struct ServiceContext {
  Loop& loop;
  Head& head;
  Authenticator& authenticator;
  ImageDesk& images;
  SigningKey key;
  std::string cluster_id;
  SiteHooks& hooks;
  std::int64_t token_lifetime_ms = 3'600'000;
  std::int64_t watchers_max = 4096;
  std::atomic<std::int64_t> watchers{0};
};

std::unique_ptr<grpc::Service> MakeJobService(ServiceContext& context);
std::unique_ptr<grpc::Service> MakeNodeService(ServiceContext& context);
std::unique_ptr<grpc::Service> MakeNodeLinkService(ServiceContext& context);
std::unique_ptr<grpc::Service> MakeImageService(ServiceContext& context);
std::unique_ptr<grpc::Service> MakeCatalogueService(ServiceContext& context);
std::unique_ptr<grpc::Service> MakeImageSourceService(ServiceContext& context);
std::unique_ptr<grpc::Service> MakeAccountService(ServiceContext& context);
std::unique_ptr<grpc::Service> MakeReservationService(ServiceContext& context);

}  // namespace slipway::scheduler
