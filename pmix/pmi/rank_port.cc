// SPDX-License-Identifier: Apache-2.0
#include "pmix/pmi/rank_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/os/peer_owner.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {

RankPort::RankPort(Loop& loop, uid_t uid, const Ranks& ranks, Come come)
    : loop_(loop),
      uid_(uid),
      size_(ranks.size),
      come_(std::move(come)),
      expected_(ranks.here.begin(), ranks.here.end()) {}

RankPort::~RankPort() {
  if (watched_) loop_.Unwatch(watch_);
  while (!callers_.empty()) Forget(callers_.begin()->first);
}

Result<std::unique_ptr<RankPort>> RankPort::Open(Loop& loop, uid_t uid, const Ranks& ranks, Come come) {
  std::unique_ptr<RankPort> port(new RankPort(loop, uid, ranks, std::move(come)));
  TRY_CONTEXT(port->Listen(), "the port for PMI");
  return port;
}

Result<> RankPort::Listen() {
  listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_) return ErrnoFail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), generic, size) < 0) return ErrnoFail("bind", "127.0.0.1");
  if (::listen(listener_.get(), SOMAXCONN) < 0) return ErrnoFail("listen");
  if (::getsockname(listener_.get(), generic, &size) < 0) return ErrnoFail("getsockname");
  address_ = Cat("127.0.0.1:", ntohs(address.sin_port));
  watch_ = TRY(loop_.Watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { OnCaller(); }));
  watched_ = true;
  return {};
}

// accept4, not accept: libpmix's guard has taken that one's place where there is libpmix.
void RankPort::OnCaller() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd || callers_.size() >= kRankPortCallersMax) return;
  auto owner = OwnerOfPeer(fd.get());
  if (!owner || *owner != uid_) return;
  int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::uint64_t id = next_caller_++;
  auto watch = loop_.Watch(fd.get(), EPOLLIN, [this, id](std::uint32_t) { OnBytes(id); });
  if (!watch) return;
  Caller& caller = callers_[id];
  caller.fd = std::move(fd);
  caller.watch = *watch;
  caller.timer = loop_.After(kRankPortPatience, [this, id] { Forget(id); });
}

void RankPort::OnBytes(std::uint64_t id) {
  auto at = callers_.find(id);
  if (at == callers_.end()) return;
  char buffer[4096];
  ssize_t got = ::recv(at->second.fd.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return Forget(id);
  auto rank = Hear(at->second, {buffer, static_cast<std::size_t>(got)});
  if (!rank) return Forget(id);
  if (!*rank) return;
  UniqueFd connection = std::move(at->second.fd);
  std::string come = std::move(at->second.come);
  std::size_t answered = at->second.answered_bytes;
  Forget(id);
  expected_.erase(**rank);
  come_(**rank, std::move(connection), std::string_view(come).substr(0, answered),
        std::string_view(come).substr(answered));
}

Result<std::optional<std::uint32_t>> RankPort::Hear(Caller& caller, std::string_view bytes) {
  caller.come += bytes;
  TRY(caller.reader.Feed(bytes));
  auto request = TRY(caller.reader.Next());
  if (!request) return std::nullopt;
  if (!caller.second_version && request->command == "init" && request->Get("pmi_version") == "2") {
    // It says who it is in its next command.
    caller.second_version = true;
    caller.answered_bytes = caller.come.find('\n') + 1;
    caller.reader.Speak(PmiVersion::k2);
    TRY(Answer(caller, PmiReply(PmiVersion::k1, "response_to_init")
                           .Add("pmi_version", 2)
                           .Add("pmi_subversion", 0)
                           .Add("rc", 0)
                           .Take()));
    return Hear(caller, {});  // it may have sent that already
  }
  bool says = request->command == (caller.second_version ? "fullinit" : "initack");
  if (!says) return Fail(Code::kInvalidArgument, "a caller that does not say who it is");
  auto rank = TRY(ParseNumber(request->Get(caller.second_version ? "pmirank" : "pmiid"), 0, UINT32_MAX));
  auto number = static_cast<std::uint32_t>(rank);
  if (!expected_.contains(number)) return Fail(Code::kInvalidArgument, "rank ", number, " is not expected");
  if (caller.second_version) return number;
  caller.come.erase(0, caller.come.find('\n') + 1);  // of no other's concern
  TRY(Answer(caller,
             Cat("cmd=initack\ncmd=set size=", size_, "\ncmd=set rank=", number, "\ncmd=set debug=0\n")));
  return number;
}

// A fresh connection takes some hundred bytes, or is none.
Result<> RankPort::Answer(Caller& caller, std::string_view bytes) {
  ssize_t sent = ::send(caller.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0) return ErrnoFail("send");
  if (static_cast<std::size_t>(sent) != bytes.size()) return Fail(Code::kUnavailable, "it does not read");
  return {};
}

void RankPort::Forget(std::uint64_t id) {
  auto at = callers_.find(id);
  if (at == callers_.end()) return;
  loop_.Unwatch(at->second.watch);
  loop_.Cancel(at->second.timer);
  callers_.erase(at);
}

}  // namespace slipway
