// SPDX-License-Identifier: Apache-2.0
// The cluster that a command talks to. A controller that is being started again is waited for: every call
// here can be made twice (Submit and CreateStep carry a request id), so a lost answer is asked for again.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "api/channel.h"
#include "api/status.h"
#include "cli/options/options.h"

namespace slipway::cli {

// How long a controller that is away is waited for: 15 s, in an allocation 10 min.
std::chrono::seconds Patience();

class Cluster {
 public:
  static Result<Cluster> Of(const Parsed& options);
  static Result<Cluster> Of(const Context& context);
  // For a step of the allocation that we run in: by way of the node's agent, where it offers that. Creates
  // and attaches to steps and signals them; no other call is answered.
  static Result<Cluster> ForSteps(const Parsed& options);

  const Context& context() const { return client_.context(); }
  const std::shared_ptr<grpc::Channel>& channel() const { return client_.channel(); }
  Result<> Authorize(grpc::ClientContext& call) { return client_.Authorize(call); }

  // Cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Get, request): the reply, or the controller's one line.
  template <class Service, class Request, class Reply>
  Result<Reply> Call(grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                     const Request& request) {
    auto stub = Service::NewStub(channel());
    Reply reply;
    TRY(Persist([&]() -> Result<> {
      grpc::ClientContext call;
      call.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
      TRY(Authorize(call));
      reply.Clear();
      return Of(((*stub).*method)(&call, request, &reply));
    }));
    return reply;
  }
  // The status of a call as our error.
  Result<> Of(const grpc::Status& status) const;
  // Runs `attempt` until it does not fail for want of a controller, for at most `patience` since it last got
  // through, and not at all when the cluster has been taken down.
  Result<> Persist(const std::function<Result<>()>& attempt,
                   std::chrono::seconds patience = Patience()) const;

 private:
  explicit Cluster(Client client) : client_(std::move(client)) {}
  bool MayComeBack() const;
  Client client_;
};

std::string NewRequestId();

}  // namespace slipway::cli
