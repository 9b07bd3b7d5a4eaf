// SPDX-License-Identifier: Apache-2.0
#include "api/status.h"
#include "api/token.h"
#include "base/log/log.h"
#include "scheduler/server/auth.h"
#include "scheduler/server/convert.h"
#include "scheduler/server/head.h"
#include "scheduler/server/outbox.h"
#include "scheduler/server/services.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kOutboxMax = 200'000;  // messages for a node that does not read

class NodeStream final : public grpc::ServerBidiReactor<v1::FromNode, v1::ToNode>, public NodePort {
 public:
  NodeStream(ServiceContext& context, Result<std::string> node)
      : context_(context),
        outbox_([this](const v1::ToNode* message) { StartWrite(message); },
                [this](const Result<>& how) { Finish(how ? grpc::Status::OK : ToStatus(how.error())); }) {
    if (node) {
      node_ = *node;
      StartRead(&in_);
      return;
    }
    context_.loop.Post([this, error = node.error()] { outbox_.Finish(Failure(error)); });
  }
  void OnReadDone(bool ok) override {
    context_.loop.Post([this, ok] { Read(ok); });
  }
  void OnWriteDone(bool ok) override {
    context_.loop.Post([this, ok] { outbox_.Written(ok); });
  }
  void OnCancel() override {
    context_.loop.Post([this] { Close(Error{Code::kCancelled, 0, "cancelled"}); });
  }
  void OnDone() override {
    context_.loop.Post([this] {
      context_.head.NodeGone(session_);
      delete this;
    });
  }
  void Send(const v1::ToNode& message, std::function<void()> written) override {
    if (outbox_.size() >= kOutboxMax)
      return Close(Error{Code::kResourceExhausted, 0, "the node does not read what it is sent"});
    outbox_.Send(message, std::move(written));
  }
  void Close(Error why) override { outbox_.Abort(std::move(why)); }

 private:
  void Read(bool ok) {
    if (outbox_.closed()) return;
    if (!ok) return outbox_.Finish({});
    if (session_ == 0) {
      auto session = context_.head.NodeJoins(node_, this, in_);
      if (!session) {
        Log(Level::kWarn, "a node was refused", {{"node", node_}, {"reason", session.error().message}});
        return outbox_.Finish(Failure(std::move(session).error()));
      }
      session_ = *session;
    } else {
      context_.head.NodeSays(session_, in_);
    }
    in_.Clear();
    if (!outbox_.closed()) StartRead(&in_);
  }
  ServiceContext& context_;
  Outbox<v1::ToNode> outbox_;
  std::string node_;
  v1::FromNode in_;
  std::uint64_t session_ = 0;
};

class NodeLinkService final : public v1::NodeLink::CallbackService {
 public:
  explicit NodeLinkService(ServiceContext& context) : context_(context) {}

  grpc::ServerBidiReactor<v1::FromNode, v1::ToNode>* Connect(grpc::CallbackServerContext* call) override {
    return new NodeStream(context_, context_.authenticator.Node(*call));
  }

  grpc::ServerUnaryReactor* Vouch(grpc::CallbackServerContext* call, const v1::VouchRequest* request,
                                  v1::VouchReply* reply) override {
    auto* reactor = call->DefaultReactor();
    auto node = context_.authenticator.Node(*call);
    if (!node) {
      reactor->Finish(ToStatus(node.error()));
      return reactor;
    }
    context_.loop.Post([this, reactor, reply, uid = request->uid(), node = *node] {
      if (uid == 0 || !context_.head.HasLiveJobOn(node, uid)) {
        return reactor->Finish(ToStatus(
            Error{Code::kPermissionDenied, 0, Cat("uid ", uid, " has no job on ", node, " at present")}));
      }
      std::int64_t now_ms = context_.head.Now().us / 1000;
      reply->set_token(SignToken(
          {context_.cluster_id, uid, now_ms, now_ms + context_.token_lifetime_ms, {}, node}, context_.key));
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }

 private:
  ServiceContext& context_;
};

class NodeService final : public v1::Nodes::CallbackService {
 public:
  explicit NodeService(ServiceContext& context) : context_(context) {}
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* call, const v1::ListNodesRequest*,
                                 v1::ListNodesReply* reply) override {
    return Read(call, [this, reply] {
      for (const auto& [name, node] : context_.head.state().nodes)
        ToProto(node, context_.head.state(), context_.head.site(), context_.head.Now(), reply->add_nodes());
    });
  }
  grpc::ServerUnaryReactor* ListPartitions(grpc::CallbackServerContext* call,
                                           const v1::ListPartitionsRequest*,
                                           v1::ListPartitionsReply* reply) override {
    return Read(call, [this, reply] {
      const State& state = context_.head.state();
      const Site& site = context_.head.site();
      for (const Partition& partition : site.partitions) ToProto(partition, state, reply->add_partitions());
      for (const Amount& licence : site.licences) {
        std::uint32_t used = 0;
        for (JobId id : state.active) {
          for (const Amount& held : state.FindJob(id)->spec->resources.licences)
            used += held.name == licence.name ? held.count : 0;
        }
        v1::LicencePool* out = reply->add_licences();
        out->set_name(licence.name);
        out->set_total(licence.count);
        out->set_free(licence.count - std::min(licence.count, used));
      }
    });
  }

 private:
  template <class Fill>
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* call, Fill fill) {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) {
      reactor->Finish(ToStatus(by.error()));
      return reactor;
    }
    context_.loop.Post([this, reactor, fill] {
      context_.head.AfterCommit([reactor, fill] {
        fill();
        reactor->Finish(grpc::Status::OK);
      });
    });
    return reactor;
  }
  ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeNodeService(ServiceContext& context) {
  return std::make_unique<NodeService>(context);
}
std::unique_ptr<grpc::Service> MakeNodeLinkService(ServiceContext& context) {
  return std::make_unique<NodeLinkService>(context);
}

}  // namespace slipway::scheduler
