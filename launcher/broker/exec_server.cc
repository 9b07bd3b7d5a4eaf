// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/exec_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <csignal>

#include "base/log/log.h"
#include "base/os/socket.h"
#include "launcher/broker/exec_policy.h"
#include "launcher/broker/host_rules.h"
#include "launcher/spec/broker_protocol.h"
#include "launcher/spec/image_signers.h"

namespace slipway {
namespace {

constexpr auto kGrace = std::chrono::seconds(10);  // for an init whose caller has gone to end by itself

}  // namespace

Result<> ExecServer::Listen() {
  if (world_.conf.rootless || !world_.conf.allow_exec) return {};
  listen_ = TRY(ListenUnix(world_.conf.exec_socket(), SOCK_SEQPACKET, 0666));
  TRY(world_.loop.Watch(listen_.get(), EPOLLIN, [this](std::uint32_t) { Accept(); }));
  return {};
}

Result<uid_t> ExecServer::Admit(int socket) const {
  PeerIdentity peer = TRY(PeerOf(socket));
  std::size_t his = 0, ending = 0;  // whose caller has gone is about to go, but not yet nothing
  for (auto& [id, one] : connections_) {
    if (one.uid == peer.uid) ++(one.socket ? his : ending);
  }
  std::size_t most = world_.conf.exec_per_user;
  if (his >= most || his + ending >= 2 * most || connections_.size() >= kConnectionsMax)
    return Fail(Code::kResourceExhausted, "you have ", his, " containers here already (exec_per_user)");
  return peer.uid;
}

void ExecServer::Accept() {
  auto socket = AcceptUnix(listen_.get());
  if (!socket || !SetNonblocking(socket->get())) return;
  auto uid = Admit(socket->get());
  if (!uid) return Refuse(Connection{std::move(*socket)}, uid.error());
  while (connections_.contains(next_id_)) ++next_id_;
  Id id = next_id_++;
  auto watch = world_.loop.Watch(socket->get(), EPOLLIN, [this, id](std::uint32_t) { Serve(id); });
  if (!watch) return;
  Connection& made = connections_[id];
  made.socket = std::move(*socket);
  made.watch = *watch;
  made.uid = *uid;
  Serve(id);  // the request has mostly come along
}

void ExecServer::Refuse(const Connection& connection, const Error& error) {
  Log(Level::kInfo, "exec refused", {{"uid", std::to_string(connection.uid)}, {"error", error.message}});
  [[maybe_unused]] auto told =
      SendMessage(connection.socket.get(), EncodeFrame(BrokerFrame::kError, BrokerError::Of(1, error)));
}

void ExecServer::Serve(Id id) {
  Connection& connection = connections_.at(id);
  if (connection.asked)
    return CallerGone(id);  // nothing more is to be said: it was closed, or is no client of ours
  auto handled = Handle(id, connection);
  if (handled || (!connection.asked && handled.error().sys_errno == EAGAIN)) return;
  Refuse(connection, handled.error());
  CallerGone(id);
}

Result<> ExecServer::Handle(Id id, Connection& connection) {
  Message message = TRY(ReceiveMessage(connection.socket.get()));
  connection.asked = true;
  auto frame = TRY(SplitFrame<BrokerFrame>(message.bytes));
  if (message.fds.size() != 1) return Fail(Code::kInvalidArgument, "a request comes with one descriptor");
  if (frame.kind == BrokerFrame::kImportImage) {
    auto request = TRY(Decode<ImportRequest>(frame.payload, "import"));
    return Import(id, connection, request.as_is, std::move(message.fds[0]));
  }
  if (frame.kind != BrokerFrame::kExec)
    return Fail(Code::kInvalidArgument, "unknown frame ", static_cast<int>(frame.kind));
  return Exec(id, connection, frame.payload, std::move(message.fds[0]));
}

Result<> ExecServer::Exec(Id id, Connection& connection, std::string_view payload, UniqueFd control) {
  auto request = TRY(Decode<ExecRequest>(payload, "exec request"));
  if (request.version != kExecProtocolVersion)
    return Fail(Code::kFailedPrecondition, "exec protocol ", request.version, ", this broker speaks ",
                kExecProtocolVersion);
  Caller caller = TRY(CallerOf(connection.socket.get(), world_.host));
  TRY(JudgeExec(world_.conf, ExecWay::kBrokered, caller.identity, !request.digest.empty()));
  BirthPlan plan{
      .identity = caller.identity,
      .birth = {.control_fd = control.get(),
                .proc_masked = world_.proc_masked,
                .pid_namespace = request.pid_namespace && !world_.proc_masked,
                .rules = RulesOfThisHost(),
                .policy = world_.conf.container},
      .cgroup_fd = caller.cgroup.get(),
      .prepare = [&](pid_t child) -> Result<> { return TRY(JudgeCaller(caller, world_.host)).GiveTo(child); },
      .goes_on = true};
  if (!request.digest.empty()) {
    plan.birth.image_path = TRY(
        world_.images.Use(request.digest, UserOf(id), request.changes_image ? &caller.identity : nullptr));
    if (!plan.birth.policy.signed_by.empty())
      plan.birth.image_signed_by = TRY(SignedBy(world_.conf.image_dir, request.digest));
  }
  HalfBorn born = TRY(BearContainer(plan, world_.entry));
  TRY(born.HearReady());
  connection.init_watch =
      TRY(world_.loop.Watch(born.pidfd(), EPOLLIN, [this, id](std::uint32_t) { Ended(id); }));
  connection.init = born.Release();
  Answer started{static_cast<std::uint64_t>(connection.init->pid())};
  return SendMessage(connection.socket.get(), EncodeFrame(BrokerFrame::kStarted, started));
}

Result<> ExecServer::Import(Id id, Connection& connection, bool as_is, UniqueFd file) {
  Caller caller = TRY(CallerOf(connection.socket.get(), world_.host));
  TRY(JudgeCaller(caller, world_.host));
  TRY(JudgeImport(world_.conf, ExecWay::kBrokered, caller.identity));
  TRY(CheckReadable(file.get()));
  bool another = std::any_of(connections_.begin(), connections_.end(), [&](auto& one) {
    return one.second.importing && one.second.uid == connection.uid;
  });
  if (another) return Fail(Code::kResourceExhausted, "another import of yours is running");
  connection.importing = true;
  world_.images.Import(std::move(file), as_is, [this, id](Result<ImportedImage> imported) {
    auto at = connections_.find(id);
    if (at == connections_.end()) return;
    if (!imported) {
      Refuse(at->second, imported.error());
    } else {
      imported->id = 1;
      [[maybe_unused]] auto told =
          SendMessage(at->second.socket.get(), EncodeFrame(BrokerFrame::kImported, *imported));
    }
    CallerGone(id);
  });
  return {};
}

// The init sees its control socket close and takes everything down in good order. One that cannot is killed.
void ExecServer::CallerGone(Id id) {
  auto at = connections_.find(id);
  if (at == connections_.end()) return;
  world_.loop.Unwatch(at->second.watch);
  at->second.socket.reset();
  if (!at->second.init) {
    world_.images.Release(UserOf(id));
    connections_.erase(at);
    return;
  }
  at->second.deadline = world_.loop.After(
      kGrace, [this, id] { [[maybe_unused]] auto killed = connections_.at(id).init->Signal(SIGKILL); });
}

void ExecServer::Ended(Id id) {
  Connection ended = std::move(connections_.extract(id).mapped());
  world_.loop.Unwatch(ended.init_watch);
  world_.loop.Cancel(ended.deadline);
  if (ended.socket) world_.loop.Unwatch(ended.watch);
  [[maybe_unused]] auto reaped = ended.init->Poll();
  world_.images.Release(UserOf(id));
}

}  // namespace slipway
