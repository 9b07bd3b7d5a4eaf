// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/holder.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <csignal>
#include <map>

#include "base/log/log.h"
#include "base/loop/epoll_loop.h"
#include "base/os/socket.h"
#include "launcher/broker/cgroups.h"
#include "launcher/broker/image_mount.h"

namespace slipway {
namespace {

constexpr std::size_t kKeysMax = 16384, kKeyBytesMax = 64, kFdsPerKeyMax = 4, kClientsMax = 16;

class Holder {
 public:
  explicit Holder(Loop& loop) : loop_(loop) {}
  void Keep(const std::string& key, std::vector<UniqueFd> fds) { kept_[key] = std::move(fds); }

  Result<> Listen(const std::string& path) {
    listen_ = TRY(ListenUnix(path, SOCK_SEQPACKET, 0600));
    TRY(loop_.Watch(listen_.get(), EPOLLIN, [this](std::uint32_t) { Accept(); }));
    return {};
  }

 private:
  struct Client {
    UniqueFd socket;
    Loop::WatchId watch;
  };

  void Accept() {
    auto socket = AcceptUnix(listen_.get());
    if (!socket || clients_.size() >= kClientsMax) return;
    auto peer = PeerOf(socket->get());
    if (!peer || (peer->uid != 0 && peer->uid != ::geteuid())) return;
    int number = socket->get();
    // A client that does not read its answers loses the connection, not our time.
    if (!SetNonblocking(number)) return;
    auto watch = loop_.Watch(number, EPOLLIN, [this, number](std::uint32_t) {
      if (!Serve(number)) loop_.Unwatch(clients_.extract(number).mapped().watch);
    });
    if (watch) clients_.emplace(number, Client{std::move(*socket), *watch});
  }

  Result<> Serve(int socket) {
    Message message = TRY(ReceiveMessage(socket));
    auto frame = TRY(SplitFrame<HolderFrame>(message.bytes));
    HolderKey request = TRY(Decode<HolderKey>(frame.payload, "holder request"));
    std::vector<int> answer_fds;
    if (auto done = Do(frame.kind, request.key, std::move(message.fds), answer_fds); !done)
      return SendMessage(socket, EncodeFrame(HolderFrame::kRefused, done.error().message));
    return SendMessage(socket, EncodeFrame(HolderFrame::kKept, request), answer_fds);
  }

  Result<> Do(HolderFrame kind, const std::string& key, std::vector<UniqueFd> fds,
              std::vector<int>& answer_fds) {
    if (key.empty() || key.size() > kKeyBytesMax)
      return Fail(Code::kInvalidArgument, "a key of ", key.size(), " bytes");
    if (kind == HolderFrame::kGet) {
      auto at = kept_.find(key);
      if (at == kept_.end()) return Fail(Code::kNotFound, "nothing is kept as ", key);
      for (const UniqueFd& fd : at->second) answer_fds.push_back(fd.get());
      return {};
    }
    if (key == kMountsKey) return Fail(Code::kPermissionDenied, key, " is the holder's own");
    if (kind == HolderFrame::kDrop) return kept_.erase(key), Result<>{};
    if (kind != HolderFrame::kPut || fds.empty() || fds.size() > kFdsPerKeyMax)
      return Fail(Code::kInvalidArgument, "malformed request");
    if (kept_.size() >= kKeysMax && !kept_.contains(key))
      return Fail(Code::kResourceExhausted, "already ", kKeysMax, " keys are kept");
    Keep(key, std::move(fds));
    return {};
  }

  Loop& loop_;
  UniqueFd listen_;
  std::map<int, Client> clients_;
  std::map<std::string, std::vector<UniqueFd>> kept_;
};

// Out of the way: a cgroup that has controllers for its children may have no processes of its own; and the
// last to be killed when memory runs out.
void StepAside(const BrokerConf& conf) {
  if (!conf.cgroup.empty()) {
    if (auto moved = EnterHolderCgroup(conf); !moved)
      Log(Level::kWarn, "not in a cgroup of its own", {{"error", moved.error().message}});
  }
  [[maybe_unused]] auto written = WriteInto("/proc/self/oom_score_adj", "-1000");
}

}  // namespace

Result<> RunHolder(const BrokerConf& conf) {
  ::setsid();  // fails when we lead one already
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  TRY(MakeTrustedDirectory(conf.run_dir, ::geteuid(), 0755));
  auto loop = TRY(EpollLoop::Make());
  TRY(loop->WatchSignals({SIGTERM, SIGINT}, [&](int) { loop->Stop(); }));
  StepAside(conf);
  Holder holder(*loop);
  if (!conf.rootless) {
    TRY_CONTEXT(EnterPrivateMounts(conf), "making the mount namespace of the images");
    std::vector<UniqueFd> mounts;
    mounts.push_back(TRY(Open("/proc/self/ns/mnt", O_RDONLY)));
    holder.Keep(kMountsKey, std::move(mounts));
  }
  TRY(holder.Listen(conf.holder_socket));
  NotifyReady();
  Log(Level::kInfo, "holding", {{"socket", conf.holder_socket}});
  loop->Run();
  ::unlink(conf.holder_socket.c_str());
  return {};
}

}  // namespace slipway
