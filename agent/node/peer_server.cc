// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/service_type.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <map>

#include "agent/node/peers.h"
#include "agent/node/tls_stream.h"
#include "base/log/log.h"
#include "base/wire/stream.h"
#include "slipway/v1/node.pb.h"

namespace slipway {
namespace {

constexpr int kAcceptsATurn = 64;

std::unique_ptr<TlsStream> Streamed(Loop& loop, SSL_CTX* context, UniqueFd socket, TlsStream::Events events) {
  auto stream = TlsStream::Server(loop, context, std::move(socket), std::move(events));
  return stream ? std::move(*stream) : nullptr;
}

}  // namespace

// One that has called: first a stranger, whose first byte says whether gRPC is meant; then, if it is not, an
// agent with a stream.
struct PeerServer::Impl {
  Impl(Loop& loop, TlsFiles files, Handler handler, std::unique_ptr<grpc::Service> also,
       StrangerLimits limits)
      : loop(loop),
        files(std::move(files)),
        handler(std::move(handler)),
        also(std::move(also)),
        limits(limits) {}
  ~Impl();
  Result<> StartGrpc();
  void OnDoor();
  void OnStranger(std::uint64_t id);
  void BeginStream(std::uint64_t id);
  Result<> OnBytes(std::uint64_t id, std::string_view bytes);
  void Drop(std::uint64_t id);

  struct Caller {
    UniqueFd socket;  // until it is known what it wants
    Loop::WatchId watch;
    Loop::TimerId timer;
    std::unique_ptr<TlsStream> stream;
    FrameReader reader{kRpcMessageBytesMax};
    std::string node;  // empty: not known yet
  };
  Loop& loop;
  TlsFiles files;
  Handler handler;
  std::unique_ptr<grpc::Service> also;
  StrangerLimits limits;
  TlsContext context;
  UniqueFd door;
  Loop::WatchId door_watch;
  int port = 0;
  std::map<std::uint64_t, std::unique_ptr<Caller>> callers;
  std::size_t strangers = 0;
  std::uint64_t last_id = 0;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> grpc_door;
  std::unique_ptr<grpc::Server> grpc;  // with its threads: not before somebody asks for it
};

PeerServer::Impl::~Impl() {
  if (door_watch.value != 0) loop.Unwatch(door_watch);
  while (!callers.empty()) Drop(callers.begin()->first);
  if (grpc) {
    grpc->Shutdown(std::chrono::system_clock::now());
    grpc->Wait();
  }
}

Result<> PeerServer::Impl::StartGrpc() {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kRpcMessageBytesMax);
  grpc_door = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      TRY(MakeServerCredentials(files, ClientCertificate::kRequired)));
  builder.RegisterService(also.get());
  grpc = builder.BuildAndStart();
  if (!grpc) return Fail(Code::kUnavailable, "gRPC does not start");
  return {};
}

void PeerServer::Impl::Drop(std::uint64_t id) {
  auto at = callers.find(id);
  if (at == callers.end()) return;
  Caller& caller = *at->second;
  if (caller.socket) loop.Unwatch(caller.watch);
  loop.Cancel(caller.timer);
  if (caller.node.empty()) --strangers;
  callers.erase(at);
}

void PeerServer::Impl::OnDoor() {
  for (int turn = 0; turn < kAcceptsATurn; ++turn) {
    auto socket = AcceptTcp(door.get());
    if (!socket) return;
    if (strangers >= limits.at_once) continue;  // closed at once
    std::uint64_t id = ++last_id;
    auto caller = std::make_unique<Caller>();
    auto watch = loop.Watch(socket->get(), EPOLLIN, [this, id](std::uint32_t) { OnStranger(id); });
    if (!watch) continue;
    caller->watch = *watch;
    caller->socket = std::move(*socket);
    caller->timer = loop.After(limits.within, [this, id] { Drop(id); });
    callers.emplace(id, std::move(caller));
    ++strangers;
  }
}

void PeerServer::Impl::OnStranger(std::uint64_t id) {
  Caller& caller = *callers.at(id);
  char greeting[kPeerGreeting.size()];
  ssize_t got = ::recv(caller.socket.get(), greeting, sizeof greeting, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return Drop(id);
  std::string_view said(greeting, static_cast<std::size_t>(got));
  if (said == kPeerGreeting) return BeginStream(id);
  // A part of it is in the kernel's hands and would wake us again and again: the rest comes within the same
  // segment, or this is no agent.
  if (kPeerGreeting.starts_with(said) || !also) return Drop(id);
  if (!grpc) {
    if (auto started = StartGrpc(); !started) {
      Log(Level::kError, "no image can be given to other nodes", {{"error", started.error().message}});
      return Drop(id);
    }
  }
  loop.Unwatch(caller.watch);
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
  connection.listener_fd = door.get();
  connection.fd = caller.socket.release();
  grpc_door->HandleNewConnection(&connection);
  Drop(id);
}

void PeerServer::Impl::BeginStream(std::uint64_t id) {
  Caller& caller = *callers.at(id);
  char greeting[kPeerGreeting.size()];
  [[maybe_unused]] auto n = ::recv(caller.socket.get(), greeting, sizeof greeting, MSG_DONTWAIT);
  loop.Unwatch(caller.watch);
  TlsStream::Events events;
  events.opened = [this, id](const std::string& node) {
    Caller& known = *callers.at(id);
    known.node = node;
    --strangers;
    loop.Cancel(known.timer);
    known.stream->Send(kPeerAnswer);
  };
  events.bytes = [this, id](std::string_view bytes) { return OnBytes(id, bytes); };
  events.ended = [this, id](const std::string& why) {
    const std::string& node = callers.at(id)->node;
    Log(Level::kDebug, "a peer's stream ended", {{"node", node}, {"why", why}});
    Drop(id);
  };
  caller.stream = Streamed(loop, context.get(), std::move(caller.socket), std::move(events));
  if (!caller.stream) Drop(id);
}

Result<> PeerServer::Impl::OnBytes(std::uint64_t id, std::string_view bytes) {
  Caller& caller = *callers.at(id);
  caller.reader.Feed(bytes);
  while (auto raw = TRY(caller.reader.Next())) {
    v1::PeerFrame frame;
    if (!frame.ParseFromString(*raw)) return Fail(Code::kInvalidArgument, "a frame that is none");
    StepId step{frame.step().job(), frame.step().attempt(), frame.step().step()};
    PeerWord word{caller.node, frame.from_node(), std::move(*frame.mutable_data()),
                  std::move(*frame.mutable_gone()), frame.ends_told()};
    if (frame.has_from_step()) word.from_step = frame.from_step();
    handler(step, frame.to_node(), std::move(word));
  }
  return {};
}

PeerServer::PeerServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<PeerServer>> PeerServer::Start(Loop& loop, const std::string& listen,
                                                      const TlsFiles& files, Handler handler,
                                                      std::unique_ptr<grpc::Service> also,
                                                      StrangerLimits limits) {
  auto impl = std::make_unique<Impl>(loop, files, std::move(handler), std::move(also), limits);
  impl->context = TRY(MakeNodeTlsContext(files));
  // A second agent of the same node must not share our port unnoticed.
  auto door = ListenTcp(listen);
  if (!door)
    return Fail(Code::kUnavailable, "cannot listen on ", listen,
                " (agent.listen): is another agent running here? ", door.error().message);
  impl->door = std::move(*door);
  impl->port = TRY(TcpPortOf(impl->door.get()));
  Impl* self = impl.get();
  impl->door_watch = TRY(loop.Watch(impl->door.get(), EPOLLIN, [self](std::uint32_t) { self->OnDoor(); }));
  return std::unique_ptr<PeerServer>(new PeerServer(std::move(impl)));
}

PeerServer::~PeerServer() = default;

int PeerServer::port() const { return impl_->port; }

}  // namespace slipway
