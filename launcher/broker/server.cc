// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/server.h"

#include <fcntl.h>

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log/log.h"
#include "launcher/broker/image_mount.h"

namespace slipway {
namespace {

std::string ErrorFrame(std::uint64_t request, const Error& error) {
  return EncodeFrame(BrokerFrame::kError, BrokerError::Of(request, error));
}

}  // namespace

Result<> BrokerServer::Listen(StepKeeper& steps) {
  steps_ = &steps;
  listen_ = TRY(ListenUnix(conf_.socket(), SOCK_SEQPACKET, 0600));
  if (!conf_.rootless && ::chown(conf_.socket().c_str(), conf_.agent_uid, conf_.agent_gid) < 0)
    return ErrnoFail("chown", conf_.socket());
  TRY(loop_.Watch(listen_.get(), EPOLLIN, [this](std::uint32_t) { Accept(); }));
  return {};
}

Result<uid_t> BrokerServer::Admit(int socket) const {
  PeerIdentity peer = TRY(PeerOf(socket));
  if (peer.uid != conf_.agent_uid && peer.uid != 0)
    return Fail(Code::kPermissionDenied, "only user ", conf_.agent_uid, " may ask this broker, not ",
                peer.uid);
  if (connections_.size() >= kConnectionsMax)
    return Fail(Code::kResourceExhausted, "already ", kConnectionsMax, " connections");
  return peer.uid;
}

void BrokerServer::Accept() {
  auto socket = AcceptUnix(listen_.get());
  if (!socket || !SetNonblocking(socket->get())) return;
  auto uid = Admit(socket->get());
  if (!uid) {
    Log(Level::kWarn, "connection refused", {{"error", uid.error().message}});
    [[maybe_unused]] auto told = SendMessage(socket->get(), ErrorFrame(0, uid.error()));
    return;
  }
  ConnectionId id = next_id_++;
  auto watch = loop_.Watch(socket->get(), EPOLLIN, [this, id](std::uint32_t) { Serve(id); });
  if (watch) connections_.emplace(id, Connection{std::move(*socket), *watch, *uid, false});
}

void BrokerServer::Close(ConnectionId id) {
  auto at = connections_.find(id);
  if (at == connections_.end()) return;
  loop_.Unwatch(at->second.watch);
  connections_.erase(at);
}

// A peer that does not read is cut off: it asks again with kListSteps when it comes back, nothing is lost.
void BrokerServer::Send(ConnectionId id, const std::string& frame, const std::vector<int>& fds) {
  auto at = connections_.find(id);
  if (at == connections_.end()) return;
  if (auto sent = SendMessage(at->second.socket.get(), frame, fds); !sent) {
    Log(Level::kWarn, "connection dropped", {{"error", sent.error().message}});
    Close(id);
  }
}

void BrokerServer::AnswerDone(ConnectionId id, std::uint64_t request, const Result<>& result,
                              BrokerFrame good) {
  if (!result) Log(Level::kWarn, "refused", {{"error", result.error().message}});
  Send(id, result ? EncodeFrame(good, Answer{request}) : ErrorFrame(request, result.error()));
}

void BrokerServer::Serve(ConnectionId id) {
  auto message = ReceiveMessage(connections_.at(id).socket.get());
  if (!message) {
    if (message.error().sys_errno != EAGAIN) Close(id);
    return;
  }
  auto handled = [&]() -> Result<> {
    auto frame = TRY(SplitFrame<BrokerFrame>(message->bytes));
    if (frame.kind == BrokerFrame::kHello) return Greet(id, frame.payload);
    if (!connections_.at(id).greeted)
      return Fail(Code::kFailedPrecondition, "the first frame must be a hello");
    return Handle(id, frame.kind, frame.payload, std::move(message->fds));
  }();
  if (handled) return;
  // A peer that does not speak the protocol has nothing more to say to us.
  Log(Level::kWarn, "malformed request", {{"error", handled.error().message}});
  Send(id, ErrorFrame(0, handled.error()));
  Close(id);
}

Result<> BrokerServer::Greet(ConnectionId id, std::string_view payload) {
  BrokerHello hello = TRY(Decode<BrokerHello>(payload, "hello"));
  if (hello.version != kBrokerProtocolVersion)
    return Fail(Code::kFailedPrecondition, "protocol version ", hello.version, ", this broker speaks ",
                kBrokerProtocolVersion);
  connections_.at(id).greeted = true;
  Send(id, EncodeFrame(BrokerFrame::kWelcome, BrokerWelcome{kBrokerProtocolVersion, conf_.node, conf_.run_dir,
                                                            conf_.rootless, cannot_, conf_.image_dir}));
  return {};
}

Result<> BrokerServer::Handle(ConnectionId id, BrokerFrame kind, std::string_view payload,
                              std::vector<UniqueFd> fds) {
  using enum BrokerFrame;
  std::size_t carried = kind == kAdmitImage || kind == kImportImage || kind == kStartStep ? 1 : 0;
  if (fds.size() != carried)
    return Fail(Code::kInvalidArgument, "frame ", static_cast<int>(kind), " comes with ", carried,
                " descriptors");
  UniqueFd fd = carried == 1 ? std::move(fds[0]) : UniqueFd();
  if (kind == kListImages || kind == kListSteps) return List(id, kind, payload);
  if (kind == kImportImage) return Import(id, TRY(Decode<ImportRequest>(payload, "import")), std::move(fd));
  if (kind == kStartStep) {
    auto start = TRY(Decode<StartStep>(payload, "start"));
    AnswerDone(id, start.id, steps_->Start(start, std::move(fd)), kStarted);
    return {};
  }
  auto answer = [this, id](std::uint64_t request) {
    return [this, id, request](const Result<>& result) { AnswerDone(id, request, result); };
  };
  if (kind == kAdmitImage || kind == kRemoveImage) {
    auto image = TRY(Decode<ImageRequest>(payload, "image request"));
    if (kind == kRemoveImage) return answer(image.id)(images_.Remove(image.digest)), Result<>{};
    images_.Admit(image.digest, std::move(fd), connections_.at(id).uid, answer(image.id));
    return {};
  }
  if (kind == kRenewLease) {
    auto lease = TRY(Decode<StepLease>(payload, "lease"));
    return answer(lease.id)(steps_->Renew(lease)), Result<>{};
  }
  bool freezes = kind == kFreezeStep || kind == kThawStep;
  if (kind != kKillStep && kind != kEndJob && kind != kForgetStep && !freezes)
    return Fail(Code::kInvalidArgument, "unknown frame ", static_cast<int>(kind));
  auto step = TRY(Decode<StepRequest>(payload, "step request"));
  if (kind == kKillStep) return steps_->Kill(step.step, "KILLED", answer(step.id)), Result<>{};
  answer(step.id)(kind == kEndJob ? steps_->EndJob(step.step)
                  : freezes       ? steps_->Freeze(step.step, kind == kFreezeStep)
                                  : steps_->Forget(step.step));
  return {};
}

Result<> BrokerServer::List(ConnectionId id, BrokerFrame kind, std::string_view payload) {
  auto request = TRY(Decode<PlainRequest>(payload, "request"));
  if (kind == BrokerFrame::kListSteps)
    return Send(id, EncodeFrame(BrokerFrame::kSteps, StepList{request.id, steps_->List()})), Result<>{};
  auto images = images_.List();
  Send(id, images ? EncodeFrame(BrokerFrame::kImages, ImageList{request.id, *images})
                  : ErrorFrame(request.id, images.error()));
  return {};
}

Result<> BrokerServer::Import(ConnectionId id, const ImportRequest& asked, UniqueFd source) {
  auto told = [this, id, request = asked.id](Result<ImportedImage> imported) {
    auto file = imported ? OpenStoreImage(conf_, imported->digest) : Failure(std::move(imported).error());
    if (!file) {
      Log(Level::kWarn, "import failed", {{"error", file.error().message}});
      return Send(id, ErrorFrame(request, file.error()));
    }
    UniqueFd content = Open(ContentPath(conf_, imported->digest), O_RDONLY | O_NOFOLLOW).value_or(UniqueFd());
    imported->id = request;
    Send(id, EncodeFrame(BrokerFrame::kImported, *imported),
         content ? std::vector<int>{file->get(), content.get()} : std::vector<int>{file->get()});
  };
  images_.Import(std::move(source), asked.as_is, told);
  return {};
}

void BrokerServer::Announce(BrokerFrame kind, const StepGone& news) {
  std::string frame = EncodeFrame(kind, news);
  std::vector<ConnectionId> greeted;
  for (auto& [id, connection] : connections_) {
    if (connection.greeted) greeted.push_back(id);
  }
  for (ConnectionId id : greeted) Send(id, frame);
}

}  // namespace slipway
