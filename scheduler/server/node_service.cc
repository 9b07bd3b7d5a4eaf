// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "api/status.h"
#include "api/token.h"
#include "base/log/log.h"
#include "scheduler/server/auth.h"
#include "scheduler/server/convert.h"
#include "scheduler/server/head.h"
#include "scheduler/server/node_outbox.h"
#include "scheduler/server/services.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kOutboxMax = 200'000;  // messages for a node that does not read

class NodeStream final : public grpc::ServerBidiReactor<v1::FromNode, v1::ToNode>, public NodePort {
 public:
  NodeStream(ServiceContext& context, Result<std::string> node)
      : context_(context),
        outbox_(
            context.loop, [this](const v1::ToNode* message) { StartWrite(message); },
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
  void Send(const v1::ToNode& message) override {
    if (HasRoom()) outbox_.Send(message);
  }
  void SendSoon(const v1::ToNode& message) override {
    if (HasRoom()) outbox_.SendSoon(message);
  }
  void Close(Error why) override { outbox_.Abort(std::move(why)); }

 private:
  bool HasRoom() {
    if (outbox_.size() < kOutboxMax) return true;
    Close(Error{Code::kResourceExhausted, 0, "the node does not read what it is sent"});
    return false;
  }
  void Read(bool ok) {
    if (outbox_.closed()) return;
    if (!ok) return outbox_.Finish({});
    if (session_ == 0) {
      if (in_.register_().reads_more()) outbox_.Join();
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
  NodeOutbox outbox_;
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

NodeChange ChangeOf(v1::ChangeNodesRequest::What what) {
  return what == v1::ChangeNodesRequest::DRAIN    ? NodeChange::kDrain
         : what == v1::ChangeNodesRequest::RESUME ? NodeChange::kResume
                                                  : NodeChange::kDown;
}

Result<> CheckChange(const v1::ChangeNodesRequest& in, const Requester& by) {
  constexpr std::size_t kReasonMax = 256;
  if (!by.admin)
    return Fail(Code::kPermissionDenied, "changing nodes is for administrators (controller.admins)");
  if (in.what() == v1::ChangeNodesRequest::UNSPECIFIED || !v1::ChangeNodesRequest::What_IsValid(in.what()))
    return Fail(Code::kInvalidArgument, "unknown change of a node");
  if (in.names().empty()) return Fail(Code::kInvalidArgument, "no node is named");
  if (in.what() == v1::ChangeNodesRequest::DRAIN && in.reason().empty())
    return Fail(Code::kInvalidArgument, "a reason is wanted: others will ask why the node is drained");
  if (in.reason().starts_with(kHealth))
    return Fail(Code::kInvalidArgument, "reasons that begin with '", kHealth,
                "' are those of nodes that drain and resume themselves");
  bool control = std::ranges::any_of(in.reason(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (in.reason().size() > kReasonMax || control)
    return Fail(Code::kInvalidArgument, "the reason is one line of at most ", kReasonMax, " bytes");
  return {};
}

// All or none: a mistyped name must not leave half of the list drained.
Result<> CheckNodes(const v1::ChangeNodesRequest& in, const State& state) {
  for (const std::string& name : in.names()) {
    const Node* node = state.FindNode(name);
    if (node == nullptr) return Fail(Code::kNotFound, "there is no node ", name.substr(0, 256));
    if (in.what() == v1::ChangeNodesRequest::FENCED && node->state == NodeState::kUp)
      return Fail(Code::kFailedPrecondition, "node ", name,
                  " is connected, so it is not dead: drain it, or power it off first");
  }
  return {};
}

class NodeService final : public v1::Nodes::CallbackService {
 public:
  explicit NodeService(ServiceContext& context) : context_(context) {}
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* call, const v1::ListNodesRequest*,
                                 v1::ListNodesReply* reply) override {
    return Read(call, [this, reply] {
      for (const auto& [name, node] : context_.head.state().nodes) Show(name, reply);
    });
  }
  grpc::ServerUnaryReactor* Change(grpc::CallbackServerContext* call, const v1::ChangeNodesRequest* in,
                                   v1::ListNodesReply* reply) override {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    auto good = by ? CheckChange(*in, *by) : Result<>(Failure(by.error()));
    if (!good) {
      reactor->Finish(ToStatus(good.error()));
      return reactor;
    }
    context_.loop.Post([this, reactor, in, reply] {
      if (auto there = CheckNodes(*in, context_.head.state()); !there)
        return reactor->Finish(ToStatus(there.error()));
      auto left = std::make_shared<int>(in->names_size());
      for (const std::string& name : in->names()) {
        context_.head.ChangeNodes(name, ChangeOf(in->what()), in->reason(), [=, this](Result<Answer> answer) {
          if (answer) Show(name, reply);
          if (--*left == 0) reactor->Finish(answer ? grpc::Status::OK : ToStatus(answer.error()));
        });
      }
    });
    return reactor;
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
  void Show(const std::string& name, v1::ListNodesReply* reply) {
    const State& state = context_.head.state();
    v1::Node* out = reply->add_nodes();
    const Node& node = *state.FindNode(name);
    ToProto(node, state, context_.head.site(), context_.head.Now(), out);
    if (std::string fence = context_.head.FenceTextOf(node); !fence.empty())
      out->set_reason(Cat(out->reason(), out->reason().empty() ? "" : "; ", fence));
    if (const v1::Node* facts = context_.head.PresentFactsOf(name)) AddPresentFacts(*facts, out);
  }
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
