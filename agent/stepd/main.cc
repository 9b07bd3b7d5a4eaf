// SPDX-License-Identifier: Apache-2.0
// slipway-stepd --spec-fd N --listen-fd N --control-fd N --status-fd N --agent-uid UID
// Started by the broker as the job's user, outside the container; never by hand.
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdio>
#include <map>

#include "agent/stepd/stepd.h"
#include "base/log/log.h"
#include "base/loop/epoll_loop.h"
#include "base/os/process_limits.h"
#include "base/os/slices.h"
#include "base/text/units.h"

namespace slipway {
namespace {

constexpr int kHeapKeptBytes = 1 << 20;

struct Options {
  UniqueFd spec;
  StepdFds fds;
  uid_t agent_uid = 0;
};

Result<Options> ParseOptions(int argc, char** argv) {
  std::map<std::string, std::uint64_t> values;
  for (int i = 1; i < argc; i += 2) {
    std::string name = argv[i];
    if (!name.starts_with("--") || i + 1 == argc)
      return Fail(Code::kInvalidArgument, "not understood: ", name);
    values[name.substr(2)] = TRY_CONTEXT(ParseNumber(argv[i + 1], 0, UINT32_MAX - 1), name);
  }
  auto take = [&](const char* name) -> Result<std::uint64_t> {
    auto at = values.find(name);
    if (at == values.end()) return Fail(Code::kInvalidArgument, "--", name, " is missing");
    std::uint64_t value = at->second;
    values.erase(at);
    return value;
  };
  auto take_fd = [&](const char* name) -> Result<UniqueFd> {
    UniqueFd fd(static_cast<int>(TRY(take(name))));
    auto cloexec = SetCloexec(fd.get(), true);
    if (!cloexec) (void)fd.release();
    TRY_CONTEXT(std::move(cloexec), Cat("--", name));
    return fd;
  };
  Options options;
  options.spec = TRY(take_fd("spec-fd"));
  options.fds.listener = TRY(take_fd("listen-fd"));
  options.fds.control = TRY(take_fd("control-fd"));
  options.fds.status = TRY(take_fd("status-fd"));
  options.agent_uid = static_cast<uid_t>(TRY(take("agent-uid")));
  if (!values.empty()) return Fail(Code::kInvalidArgument, "not understood: --", values.begin()->first);
  return options;
}

Result<> Main(int argc, char** argv) {
  ::prctl(PR_SET_DUMPABLE, 0);
  ::signal(SIGPIPE, SIG_IGN);
  // Of our threads none is busy, nor libpmix's: a heap for each is only more pages.
  ::mallopt(M_ARENA_MAX, 1);
  // A fence's buffers are given back and wanted again with the next one: without a gap, the heap would shrink
  // and grow each time, and each page be a fault (decision 83).
  ::mallopt(M_TRIM_THRESHOLD, kHeapKeptBytes);
  ::mallopt(M_MMAP_THRESHOLD, kHeapKeptBytes);
  AskForShortSlices();
  RaiseDescriptorLimit();  // pipes of hundreds of ranks
  Options options = TRY(ParseOptions(argc, argv));
  std::string bytes = TRY_CONTEXT(ReadSealedMemfd(options.spec.get(), kStepSpecBytesMax), "step spec");
  StepSpec spec = TRY(DecodeStepSpec(bytes));
  ::umask(spec.umask & 0777);
  auto loop = TRY(EpollLoop::Make());
  std::unique_ptr<Stepd> stepd;
  TRY(loop->WatchSignals({SIGTERM, SIGINT, SIGHUP}, [&](int number) {
    if (stepd) stepd->Terminate(Cat("CANCELLED: stepd was sent signal ", number), std::chrono::seconds(5));
  }));
  stepd = std::make_unique<Stepd>(*loop, std::move(spec), std::move(options.fds), options.agent_uid);
  TRY(stepd->Begin());
  loop->Run();
  return {};
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  slipway::SetLogOptions({.program = "slipway-stepd"});
  auto done = slipway::Main(argc, argv);
  if (done) return 0;
  slipway::Log(slipway::Level::kError, "cannot serve the step", {{"error", done.error().message}});
  return 125;
}
