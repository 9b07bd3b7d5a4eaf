// SPDX-License-Identifier: Apache-2.0
#include "api/token_socket.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace slipway {
namespace {

constexpr std::string_view kQuestion = "token 1";
constexpr std::size_t kAskersMax = 256;
constexpr auto kPatience = std::chrono::seconds(5);

// Error lines travel in one message and end on a terminal.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text.substr(0, 1024);
}

}  // namespace

Result<std::unique_ptr<TokenSocket>> TokenSocket::Listen(Loop& loop, const std::string& path, Issue issue) {
  std::unique_ptr<TokenSocket> server(new TokenSocket(loop));
  server->issue_ = std::move(issue);
  server->listen_ = TRY(ListenUnix(path, SOCK_SEQPACKET, 0666));
  TRY(SetNonblocking(server->listen_.get()));
  server->watch_ = TRY(
      loop.Watch(server->listen_.get(), EPOLLIN, [self = server.get()](std::uint32_t) { self->Accept(); }));
  return server;
}

TokenSocket::~TokenSocket() {
  while (!askers_.empty()) Drop(askers_.begin()->first);
  if (watch_.value != 0) loop_.Unwatch(watch_);
}

void TokenSocket::Accept() {
  auto socket = AcceptUnix(listen_.get());
  if (!socket) return;
  if (askers_.size() >= kAskersMax || !SetNonblocking(socket->get()))
    return;  // closed: the client says so and may try again
  std::uint64_t id = next_id_++;
  auto watch = loop_.Watch(socket->get(), EPOLLIN | EPOLLRDHUP, [this, id](std::uint32_t) { Hear(id); });
  if (!watch) return;
  auto timer = loop_.After(kPatience, [this, id] {
    askers_.at(id).timer = {};
    Drop(id);
  });
  askers_.emplace(id, Asker{std::move(*socket), *watch, timer});
}

void TokenSocket::Hear(std::uint64_t id) {
  Asker& asker = askers_.at(id);
  auto message = ReceiveMessage(asker.socket.get());
  if (!message && message.error().code == Code::kResourceExhausted) return;
  if (!message) return Drop(id);
  if (message->bytes != kQuestion)
    return Answer(id, Fail(Code::kInvalidArgument, "this socket answers \"", kQuestion, "\" only"));
  auto peer = PeerOf(asker.socket.get());
  if (!peer) return Answer(id, Failure(std::move(peer).error()));
  // One question a connection: what else it sends stays unread.
  loop_.Unwatch(asker.watch);
  asker.watch = {};
  loop_.Cancel(asker.timer);
  asker.timer = {};
  issue_(*peer, [this, id, alive = std::weak_ptr<bool>(alive_)](Result<std::string> token) {
    if (!alive.expired() && askers_.contains(id)) Answer(id, token);
  });
}

void TokenSocket::Answer(std::uint64_t id, const Result<std::string>& token) {
  // Non-blocking: one small message always fits the buffer of a client that is not playing games.
  (void)SendMessage(askers_.at(id).socket.get(),
                    token ? Cat("ok ", *token) : Cat("error ", OneLine(token.error().message)));
  Drop(id);
}

void TokenSocket::Drop(std::uint64_t id) {
  Asker& asker = askers_.at(id);
  if (asker.watch.value != 0) loop_.Unwatch(asker.watch);
  if (asker.timer.value != 0) loop_.Cancel(asker.timer);
  askers_.erase(id);
}

Result<std::string> FetchToken(const std::string& path, std::chrono::seconds patience) {
  auto socket = ConnectUnix(path, SOCK_SEQPACKET);
  if (!socket) {
    Error error = std::move(socket).error();
    // A daemon that is started again unlinks its socket before it binds it anew.
    if (error.sys_errno == ENOENT) error.code = Code::kUnavailable;
    return Failure(
        std::move(error).Context(Cat("no token to be had at ", path, " (is the daemon running?)")));
  }
  TRY(SendMessage(socket->get(), kQuestion));
  pollfd wait{socket->get(), POLLIN, 0};
  int ready;
  do {
    ready = ::poll(&wait, 1, static_cast<int>(std::chrono::milliseconds(patience).count()));
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return ErrnoFail("poll", path);
  if (ready == 0) return Fail(Code::kDeadlineExceeded, path, ": no token within ", patience.count(), " s");
  Message message = TRY_CONTEXT(ReceiveMessage(socket->get()), path);
  std::string_view answer = message.bytes;
  if (answer.starts_with("ok ")) return std::string(answer.substr(3));
  if (answer.starts_with("error ")) return Fail(Code::kPermissionDenied, answer.substr(6));
  return Fail(Code::kInternal, path, ": not the answer of a token socket");
}

}  // namespace slipway
