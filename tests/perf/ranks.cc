// SPDX-License-Identifier: Apache-2.0
// A container for a whole node's ranks is set up once and the ranks are forks of its init. What that costs
// beside plain forks of the same program, in pairs:
//
//   perf_ranks STARTER ROOT RANKS ROUNDS PROGRAM
//
// PROGRAM is a path that is the same program on the host and in the directory ROOT. Prints one line a pair,
// "container_us plain_us".
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "base/os/process.h"
#include "base/os/socket.h"
#include "launcher/spec/init_protocol.h"
#include "launcher/spec/launch_spec.h"

namespace slipway {
namespace {

using Clock = std::chrono::steady_clock;

long Since(Clock::time_point started) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - started).count();
}

Result<long> InContainer(const char* starter, const std::string& root, unsigned ranks,
                         const std::string& program) {
  LaunchSpec spec;
  spec.image = {.kind = ImageKind::kDirectory, .path = root};
  spec.mounts = {{Mount::kProc, "", "/proc"}, {Mount::kDev, "", "/dev"}};
  spec.argv = {program};
  spec.env = {"PATH=/bin"};
  spec.cwd = "/";
  for (unsigned rank = 0; rank < ranks; ++rank) spec.tasks.push_back({.rank = rank});
  auto started = Clock::now();
  SocketEnds ends = TRY(MakeSocketPair(SOCK_SEQPACKET));
  SpawnOptions options;
  options.argv = {starter, "rootless", "3"};
  options.fds = {{3, ends.b.get()}};
  Process process = TRY(Spawn(options));
  ends.b.reset();
  UniqueFd memfd = TRY(MakeSealedMemfd("launch-spec", EncodeLaunchSpec(spec)));
  TRY(SendMessage(ends.a.get(), EncodeFrame(InitFrame::kLaunch, LaunchRequest{}), {memfd.get()}));
  for (unsigned left = ranks; left > 0;) {
    Message message = TRY(ReceiveMessage(ends.a.get()));
    auto frame = TRY(SplitFrame<InitFrame>(message.bytes));
    if (frame.kind == InitFrame::kFailed)
      return Fail(Code::kInternal, TRY(Decode<InitFailed>(frame.payload, "failure")).message);
    if (frame.kind == InitFrame::kExited) --left;
  }
  TRY(process.Wait());
  return Since(started);
}

Result<long> Plain(unsigned ranks, const std::string& program) {
  auto started = Clock::now();
  char* argv[] = {const_cast<char*>(program.c_str()), nullptr};
  char* env[] = {nullptr};
  for (unsigned rank = 0; rank < ranks; ++rank) {
    pid_t pid = ::fork();
    if (pid < 0) return ErrnoFail("fork");
    if (pid == 0) {
      ::execve(argv[0], argv, env);
      ::_exit(127);
    }
  }
  for (unsigned rank = 0; rank < ranks; ++rank) {
    int status = 0;
    if (::wait(&status) < 0 || status != 0) return Fail(Code::kInternal, "a plain rank failed");
  }
  return Since(started);
}

Result<> Run(char** argv) {
  unsigned ranks = static_cast<unsigned>(std::atoi(argv[3]));
  for (int round = std::atoi(argv[4]); round > 0; --round) {
    long container = TRY(InContainer(argv[1], argv[2], ranks, argv[5]));
    long plain = TRY(Plain(ranks, argv[5]));
    std::printf("%ld %ld\n", container, plain);
  }
  return {};
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: perf_ranks STARTER ROOT RANKS ROUNDS PROGRAM\n");
    return 2;
  }
  auto ran = slipway::Run(argv);
  if (!ran) std::fprintf(stderr, "perf_ranks: %s\n", ran.error().message.c_str());
  return ran ? 0 : 1;
}
