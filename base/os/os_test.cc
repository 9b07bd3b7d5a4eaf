// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <functional>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/os/process_limits.h"
#include "base/os/socket.h"

namespace slipway {
namespace {

class Os : public ::testing::Test {
 protected:
  void SetUp() override { dir_ = *MakeTempDirectory("/tmp", "slipway-os-"); }
  void TearDown() override { ASSERT_TRUE(RemoveTree(dir_)); }
  std::string dir_;
};

TEST_F(Os, AnAtomicWriteThatFailsLeavesTheOldFileAndNothingElse) {
  std::string path = dir_ + "/f";
  ASSERT_TRUE(WriteFileAtomically(path, "old"));
  EXPECT_FALSE(WriteFileAtomically(dir_ + "/missing/f", "new"));
  EXPECT_EQ(*ReadFile(path), "old");
  ASSERT_TRUE(WriteFileAtomically(path, "new", 0600));
  EXPECT_EQ(*ReadFile(path), "new");
  struct stat info;
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(Os, ReadingStopsAtTheBound) {
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/f", std::string(100, 'x')));
  EXPECT_EQ(ReadFile(dir_ + "/f", 99).error().code, Code::kOutOfRange);
  EXPECT_EQ(ReadFile(dir_ + "/f", 100)->size(), 100u);
}

TEST_F(Os, RemovingATreeDoesNotFollowLinks) {
  ASSERT_TRUE(MakeDirectories(dir_ + "/a/b/c"));
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/kept", "x"));
  ASSERT_EQ(::symlink("../kept", (dir_ + "/a/link").c_str()), 0);
  ASSERT_TRUE(RemoveTree(dir_ + "/a"));
  EXPECT_TRUE(ReadFile(dir_ + "/kept"));
  EXPECT_FALSE(Open(dir_ + "/a", O_PATH));
}

TEST_F(Os, AnUnsealedMemfdIsRefused) {
  UniqueFd open(::memfd_create("x", MFD_ALLOW_SEALING));
  EXPECT_EQ(ReadSealedMemfd(open.get(), 10).error().code, Code::kPermissionDenied);
  UniqueFd sealed = *MakeSealedMemfd("x", "spec");
  EXPECT_EQ(*ReadSealedMemfd(sealed.get(), 10), "spec");
  EXPECT_LT(::write(sealed.get(), "y", 1), 0);
}

TEST_F(Os, SocketsWorkAtPathsLongerThanTheKernelsField) {
  std::string deep = dir_ + "/" + std::string(100, 'd') + "/" + std::string(60, 'e');
  ASSERT_TRUE(MakeDirectories(deep));
  UniqueFd listener = *ListenUnix(deep + "/sock", SOCK_SEQPACKET, 0600);
  UniqueFd client = *ConnectUnix(deep + "/sock", SOCK_SEQPACKET);
  UniqueFd server = *AcceptUnix(listener.get());
  EXPECT_EQ(PeerOf(server.get())->uid, ::getuid());
  PipeEnds pipe = *MakePipe();
  ASSERT_TRUE(SendMessage(client.get(), "hello", {pipe.write.get()}));
  Message got = *ReceiveMessage(server.get());
  EXPECT_EQ(got.bytes, "hello");
  ASSERT_EQ(got.fds.size(), 1u);
  ASSERT_TRUE(WriteAll(got.fds[0].get(), "through"));
  got.fds.clear();
  pipe.write.reset();
  EXPECT_EQ(*ReadAll(pipe.read.get(), 100), "through");
  client.reset();
  EXPECT_EQ(ReceiveMessage(server.get()).error().code, Code::kUnavailable);
}

TEST_F(Os, SpawnPlacesDescriptorsAndClosesTheRest) {
  PipeEnds out = *MakePipe();
  UniqueFd leaked = *Open("/dev/null", O_RDONLY);
  ASSERT_TRUE(SetCloexec(leaked.get(), false));
  Process child = *Spawn({.argv = {"/bin/sh", "-c", "echo $(ls /proc/self/fd | wc -l); echo five >&5"},
                          .fds = {{1, out.write.get()}, {5, out.write.get()}}});
  out.write.reset();
  std::string text = *ReadAll(out.read.get(), 1000);
  EXPECT_EQ(child.Wait()->exit_code(), 0);
  EXPECT_EQ(text, "5\nfive\n");  // 0, 1, 2, 5 and the one that ls opened
}

TEST_F(Os, AFailedExecIsAnErrorNotAnExitCode) {
  auto failed = Spawn({.argv = {"/no/such/program"}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().sys_errno, ENOENT);
}

// What `holds` says in a process to which the kernel refuses one system call.
bool WhereRefused(unsigned call, unsigned error, const std::function<bool()>& holds) {
  Process child = Clone3({}).value();
  if (child) return child.Wait().value().exit_code() == 0;
  sock_filter refuse[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
                          BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program{4, refuse};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
    ::_exit(2);
  ::_exit(holds() ? 0 : 1);
}

TEST_F(Os, ProgramsAreStartedWhereClone3IsRefused) {
  EXPECT_TRUE(WhereRefused(SYS_clone3, ENOSYS, [] {
    auto done = RunAndCapture({.argv = {"/bin/sh", "-c", "exit 7"}});
    return done && done->status.exit_code() == 7;
  }));
}

// A broker that took it for one took the node's images for not mounted, and mounted them once more.
TEST_F(Os, AFolderThatCannotBeReadIsNotAnEmptyOne) {
  EXPECT_TRUE(WhereRefused(SYS_getdents64, ENOMEM, [] { return !NamesIn("/"); }));
}

TEST_F(Os, ASignalledChildCounts128PlusSignal) {
  Process child = *Spawn({.argv = {"/bin/sleep", "1000"}});
  ASSERT_TRUE(child.Signal(SIGTERM));
  EXPECT_EQ(child.Wait()->exit_code(), 128 + SIGTERM);
}

TEST_F(Os, TheServiceManagerIsToldWhenWeServe) {
  std::string name = Cat("slipway-os-test-", ::getpid());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  UniqueFd manager(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ::setenv("NOTIFY_SOCKET", ("@" + name).c_str(), 1);
  NotifyReady();
  ::unsetenv("NOTIFY_SOCKET");
  char told[32];
  ssize_t n = ::recv(manager.get(), told, sizeof told, MSG_DONTWAIT);
  EXPECT_EQ(std::string_view(told, n < 0 ? 0 : static_cast<std::size_t>(n)), "READY=1");
}

TEST(Lease, IsHeldUntilSomebodyOpensTheFileForWriting) {
  std::string top = *MakeTempDirectory(::testing::TempDir(), "slipway-lease-"), path = top + "/file";
  ASSERT_TRUE(WriteFileAtomically(path, "bytes"));
  {
    UniqueFd reader = *Open(path, O_RDONLY);
    ASSERT_TRUE(HoldUnwritable(reader.get()));
    UniqueFd another = *Open(path, O_RDONLY);
    EXPECT_TRUE(StillUnwritable(reader.get())) << "readers do no harm";
    EXPECT_FALSE(Open(path, O_WRONLY | O_NONBLOCK)) << "a writer has to wait";
    EXPECT_FALSE(StillUnwritable(reader.get()));
  }
  UniqueFd writer = *Open(path, O_RDWR), reader = *Open(path, O_RDONLY);
  EXPECT_EQ(HoldUnwritable(reader.get()).error().code, Code::kFailedPrecondition);
  EXPECT_TRUE(RemoveTree(top));
}

TEST(Socket, TheLastWordsOfAPeerThatClosedWithoutReadingOursAreHeard) {
  SocketEnds ends = *MakeSocketPair(SOCK_SEQPACKET);
  ASSERT_TRUE(SendMessage(ends.a.get(), "never read"));
  ASSERT_TRUE(SendMessage(ends.b.get(), "refused"));
  ends.b.reset();
  auto heard = ReceiveMessage(ends.a.get());
  ASSERT_TRUE(heard) << heard.error().message;
  EXPECT_EQ(heard->bytes, "refused");
  EXPECT_FALSE(ReceiveMessage(ends.a.get()));
}

TEST(ProcessLimits, AreReadFromWhatTheKernelWrites) {
  std::vector<rlimit> limits = ResourceLimitsIn(
      "Limit                     Soft Limit           Hard Limit           Units     \n"
      "Max cpu time              unlimited            unlimited            seconds   \n"
      "Max file size             18446744073709551614 unlimited            bytes     \n"
      "Max nice priority         0                    20                   \n");
  ASSERT_EQ(limits.size(), 3u);
  EXPECT_EQ(limits[0].rlim_max, RLIM_INFINITY);
  EXPECT_EQ(limits[1].rlim_cur, 18446744073709551614u);
  EXPECT_EQ(limits[2].rlim_cur, 0u);
  EXPECT_EQ(limits[2].rlim_max, 20u);
  EXPECT_TRUE(ResourceLimitsIn("Limit\nMax\n").empty());
}

TEST(ProcessLimits, AreTakenOverByAChild) {
  rlimit files;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  PipeEnds pipe = *MakePipe();
  auto child = Clone3({});
  ASSERT_TRUE(child);
  if (!*child) {
    char word;
    ::_exit(::read(pipe.read.get(), &word, 1) == 1 ? 0 : 1);
  }
  auto limits = ProcessLimits::Of(::getpid());
  ASSERT_TRUE(limits) << limits.error().message;
  EXPECT_EQ(limits->resources[RLIMIT_NOFILE].rlim_max, files.rlim_max);
  limits->resources[RLIMIT_NOFILE].rlim_cur = 77;
  limits->niceness = 3;
  limits->oom_score_adj = "500";
  auto given = limits->GiveTo(child->pid());
  EXPECT_TRUE(given) << given.error().message;
  auto his = ProcessLimits::Of(child->pid());
  ASSERT_TRUE(his);
  EXPECT_EQ(his->resources[RLIMIT_NOFILE].rlim_cur, 77u);
  EXPECT_EQ(his->niceness, 3);
  EXPECT_EQ(his->oom_score_adj, "500\n");
  EXPECT_EQ(his->processors, limits->processors);
  EXPECT_TRUE(WriteAll(pipe.write.get(), "x"));
  EXPECT_TRUE(child->Wait());
}

}  // namespace
}  // namespace slipway
