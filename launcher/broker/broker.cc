// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/broker.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <csignal>

#include "base/log/log.h"
#include "base/loop/epoll_loop.h"
#include "base/os/mount.h"
#include "launcher/broker/exec_server.h"
#include "launcher/broker/server.h"

namespace slipway {
namespace {

// The broker works in the holder's mount namespace, where the image mounts are; stepd goes back to the
// host's.
struct Mounts {
  std::optional<HolderClient> holder;
  UniqueFd host;
};
Result<Mounts> EnterMounts(const BrokerConf& conf) {
  Mounts mounts;
  if (conf.rootless) return mounts;
  mounts.holder = TRY(HolderClient::Connect(conf.holder_socket));
  mounts.host = TRY(Open("/proc/self/ns/mnt", O_RDONLY));
  std::vector<UniqueFd> kept = TRY(mounts.holder->Get(kMountsKey));
  if (kept.size() != 1) return Fail(Code::kInternal, "slipway-holder has no mount namespace");
  if (::setns(kept[0].get(), CLONE_NEWNS) < 0) return ErrnoFail("entering the holder's mount namespace");
  return mounts;
}

Result<> TakeOurPlace(const BrokerConf& conf) {
  if (!conf.rootless && ::geteuid() != 0)
    return Fail(Code::kPermissionDenied, "not root: set rootless = yes, or start me as root");
  // Nothing of ours may be read by a process whose user we become. Rootless we are that user, and /proc must
  // stay his.
  if (!conf.rootless && ::prctl(PR_SET_DUMPABLE, 0) < 0) return ErrnoFail("prctl(PR_SET_DUMPABLE)");
  ::umask(022);
  // An image may be private to who uploaded it: what is shared is shared by the mount in a job of his.
  for (auto& [path, mode] :
       {std::pair{conf.run_dir, 0755u}, {conf.state_dir, 0755u}, {conf.image_dir, 0700u}})
    TRY(MakeTrustedDirectory(path, ::geteuid(), mode));
  return {};
}

}  // namespace

Result<> RunBroker(const BrokerConf& conf, const ContainerEntry& entry) {
  TRY(TakeOurPlace(conf));
  for (int number = 1; number < NSIG; ++number) ::signal(number, number == SIGPIPE ? SIG_IGN : SIG_DFL);
  // Two brokers of one state would each miss the other's marks.
  UniqueFd lock = TRY_CONTEXT(LockFile(conf.state_dir + "/lock"), "another slipway-broker runs");
  MarkStore marks = TRY_CONTEXT(MarkStore::Open(conf.state_dir + "/marks"), "the marks against replay");
  UniqueFd host_store = TRY(Open(conf.image_dir, O_PATH | O_DIRECTORY));
  Mounts mounts = TRY(EnterMounts(conf));
  CgroupTree cgroups = CgroupTree::Open(conf);
  auto loop = TRY(EpollLoop::Make());
  TRY(loop->WatchSignals({SIGTERM, SIGINT}, [&](int) { loop->Stop(); }));
  ImageKeeper images(conf, *loop);
  images.SetHostStore(host_store.get());
  TRY(images.Open());
  bool proc_masked = conf.rootless ? false : IsProcMasked();
  HostPlace host = conf.rootless ? HostPlace() : TRY(HostPlace::Find(mounts.host.get()));
  ExecServer users({conf, *loop, images, entry, std::move(host), proc_masked});
  BrokerServer server(conf, *loop, images, cgroups.cannot());
  StepKeeper steps(
      {conf, *loop, images, marks, cgroups, mounts.holder ? &*mounts.holder : nullptr, entry,
       mounts.host.get(), proc_masked},
      [&](const StepGone& gone) { server.Announce(BrokerFrame::kStepGone, gone); },
      [&](const StepGone& stuck) { server.Announce(BrokerFrame::kStepStuck, stuck); });
  TRY(steps.Recover());
  TRY(server.Listen(steps));
  TRY(users.Listen());
  NotifyReady();
  Log(Level::kInfo, "ready",
      {{"node", conf.node}, {"socket", conf.socket()}, {"rootless", conf.rootless ? "yes" : "no"}});
  loop->Run();
  return {};
}

Result<std::string> ImportOnce(const BrokerConf& conf, UniqueFd source, bool as_is) {
  TRY(TakeOurPlace(conf));
  return TRY(ImportFile(conf, -1, source.get(), as_is)).digest;
}

}  // namespace slipway
