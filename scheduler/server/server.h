// SPDX-License-Identifier: Apache-2.0
// slipwayd as a whole, without main: the store, the head, images, the token socket and the gRPC server with
// its two doors (TLS for users and nodes, a Unix socket for users of this host). Tests run it in their own
// process.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "api/token_socket.h"
#include "base/config/config.h"
#include "base/loop/loop.h"
#include "scheduler/server/head.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace slipway::scheduler {

struct ServiceContext;
class Authenticator;
class ImageDesk;
class SiteHooks;

// Loop's thread only.
class Server {
 public:
  // `config`: of api/settings.h. `failed`: the store has failed, the process has to end at once.
  static Result<std::unique_ptr<Server>> Start(Loop& loop, const Config& config,
                                               std::function<void(const Error&)> failed);
  // After Stop has called back, or before the loop ever ran.
  ~Server();

  int port() const { return port_; }  // of the TLS door; 0: there is none
  Head& head() { return *head_; }
  ImageDesk& images() { return *images_; }

  // Ends all streams with "the controller is stopping", waits for the calls that are being answered, calls
  // back. The loop has to go on running until then.
  void Stop(std::function<void()> done);

 private:
  explicit Server(Loop& loop);
  Result<> OpenState(const Config& config, SigningKey key, const std::string& cluster_id,
                     std::function<void(const Error&)> failed);
  Result<> OpenDoors(const Config& config);
  Result<> OpenTokenSocket(const Config& config);

  Loop& loop_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<ImageDesk> images_;
  std::unique_ptr<Head> head_;
  std::unique_ptr<SiteHooks> hooks_;
  std::unique_ptr<ServiceContext> context_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<TokenSocket> tokens_;
  std::unique_ptr<grpc::Server> grpc_;
  std::thread stopper_;
  int port_ = 0;
};

}  // namespace slipway::scheduler
