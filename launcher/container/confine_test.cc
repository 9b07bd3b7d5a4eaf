// SPDX-License-Identifier: Apache-2.0
// What confinement leaves, read back from the kernel: each case in a child, because nothing of it can be
// taken back.
#include "launcher/container/confine.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "base/os/process.h"
#include "launcher/container/label.h"
#include "launcher/container/privilege.h"
#include "launcher/container/seccomp.h"

namespace slipway {
namespace {

using testing::HasSubstr;

// What `body` says, in a child of its own.
std::string InChild(const std::function<std::string()>& body) {
  PipeEnds pipe = std::move(*MakePipe());
  Process child = std::move(*Clone3({}));
  if (!child) {
    [[maybe_unused]] auto written = WriteAll(pipe.write.get(), body());
    ::_exit(0);
  }
  pipe.write.reset();
  std::string said = *ReadAll(pipe.read.get(), 1 << 20);
  EXPECT_EQ(child.Wait()->exit_code(), 0);
  return said;
}

std::string ErrnoOf(long result) { return result < 0 ? ::strerrorname_np(errno) : "allowed"; }

std::string Confined(const Confinement& wanted, const BirthRules& rules,
                     const std::function<std::string()>& body) {
  return InChild([&]() -> std::string {
    auto confining = Confining::Prepare(wanted, rules);
    if (!confining) return confining.error().message;
    if (auto applied = confining->Apply(); !applied) return applied.error().message;
    return body();
  });
}

// The five sets as a program sees them after an exec.
std::string SetsAfterExec() {
  Output output =
      *RunAndCapture({.argv = {"/bin/grep", "-E", "^(Cap|NoNewPrivs|Seccomp:)", "/proc/self/status"}});
  return output.out;
}

std::string Status(CapabilitySet inheritable, CapabilitySet permitted, CapabilitySet bounding,
                   CapabilitySet ambient, int filters = 2) {
  char text[512];
  std::snprintf(text, sizeof text,
                "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%016llx\n"
                "NoNewPrivs:\t1\nSeccomp:\t%d\n",
                static_cast<unsigned long long>(inheritable), static_cast<unsigned long long>(permitted),
                static_cast<unsigned long long>(permitted), static_cast<unsigned long long>(bounding),
                static_cast<unsigned long long>(ambient), filters);
  return text;
}

const BirthRules kFree{.nested_user_namespaces = true, .capabilities_max = kAllCapabilities};

class Capabilities : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs capabilities to give up: run as root";
  }
};

TEST_F(Capabilities, NoneAreLeftByDefault) {
  EXPECT_EQ(Confined({}, kFree, SetsAfterExec), Status(0, 0, 0, 0));
}

TEST_F(Capabilities, RootInsideKeepsThemWithoutInheritableOnes) {  // CVE-2022-29162
  CapabilitySet keep = *CapabilitiesNamed("net_raw,CAP_SYS_PTRACE");
  EXPECT_EQ(Confined({.capabilities = keep}, kFree, SetsAfterExec), Status(0, keep, keep, 0));
}

TEST_F(Capabilities, AnOrdinaryUserInsideKeepsThemThroughAnExec) {
  CapabilitySet keep = *CapabilitiesNamed("net_raw,dac_override");
  std::string said = InChild([&]() -> std::string {
    // As in a user namespace: every capability, though the uid is not root's.
    if (::prctl(PR_SET_KEEPCAPS, 1) < 0 || ::setresuid(20001, 20001, 20001) < 0) return "no uid";
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    ::syscall(SYS_capget, &header, data);
    for (auto& one : data) one.effective = one.permitted;
    if (::syscall(SYS_capset, &header, data) < 0) return "no capset";
    auto kept = KeepPrivilege(keep);
    return kept ? SetsAfterExec() : kept.error().message;
  });
  EXPECT_EQ(said, Status(keep, keep, keep, keep, 0));
}

TEST_F(Capabilities, BeyondTheRulesAreRefusedByName) {
  BirthRules rules{.capabilities_max = *CapabilitiesNamed("net_raw")};
  std::string said =
      Confined({.capabilities = *CapabilitiesNamed("sys_admin,net_raw")}, rules, SetsAfterExec);
  EXPECT_THAT(said, HasSubstr("not allowed here: CAP_SYS_ADMIN;"));
  EXPECT_THAT(said, HasSubstr("allows: CAP_NET_RAW"));
}

std::string Calls(const std::vector<std::pair<const char*, std::function<long()>>>& calls) {
  std::string said;
  for (const auto& [name, call] : calls) said += Cat(name, " ", ErrnoOf(call()), "\n");
  return said;
}

TEST(DefaultFilter, RefusesWhatReachesPastTheContainer) {
  std::string said = Confined({}, {}, [] {
    return Calls({{"keyctl", [] { return ::syscall(SYS_keyctl, 0, -3, 0); }},
                  {"add_key", [] { return ::syscall(SYS_add_key, "user", "x", "y", 1, -3); }},
                  {"bpf", [] { return ::syscall(SYS_bpf, 0, nullptr, 0); }},
                  {"kexec_load", [] { return ::syscall(SYS_kexec_load, 0, 0, nullptr, 0); }},
                  {"finit_module", [] { return ::syscall(SYS_finit_module, -1, "", 0); }},
                  {"open_by_handle_at", [] { return ::syscall(SYS_open_by_handle_at, -1, nullptr, 0); }},
                  {"io_uring_setup", [] {
                     io_uring_params parameters{};
                     return ::syscall(SYS_io_uring_setup, 1, &parameters);
                   }}});
  });
  EXPECT_EQ(said,
            "keyctl EPERM\nadd_key EPERM\nbpf EPERM\nkexec_load EPERM\nfinit_module EPERM\n"
            "open_by_handle_at EPERM\nio_uring_setup ENOSYS\n");
}

// bubblewrap's CVE-2017-5226; the high half is CVE-2019-7303's way round such a rule.
TEST(DefaultFilter, CVE_2017_5226_NobodyTypesIntoTheCallersTerminal) {
  std::string said = Confined({}, {}, [] {
    int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
    char c = 'x';
    return Calls({{"TIOCSTI", [&] { return ::syscall(SYS_ioctl, terminal, TIOCSTI, &c); }},
                  {"high half", [&] { return ::syscall(SYS_ioctl, terminal, 0x100000000UL | TIOCSTI, &c); }},
                  {"TIOCGWINSZ", [&] {
                     winsize size{};
                     return ::syscall(SYS_ioctl, terminal, TIOCGWINSZ, &size);
                   }}});
  });
  EXPECT_EQ(said, "TIOCSTI EPERM\nhigh half EPERM\nTIOCGWINSZ allowed\n");
}

TEST(DefaultFilter, LeavesWhatMpiAndDebuggersNeed) {
  std::string said = Confined({}, {}, [] {
    Process child = std::move(*Clone3({}));
    if (!child) {
      ::pause();
      ::_exit(0);
    }
    char from = 0, to = 0;
    iovec local{&to, 1}, remote{&from, 1};
    std::string text = Calls(
        {{"process_vm_readv", [&] { return ::process_vm_readv(child.pid(), &local, 1, &remote, 1, 0); }},
         {"ptrace", [&] { return ::ptrace(PTRACE_ATTACH, child.pid(), 0, 0); }},
         {"move_pages", [] { return ::syscall(SYS_move_pages, 0, 0, nullptr, nullptr, nullptr, 0); }},
         {"get_mempolicy", [] { return ::syscall(SYS_get_mempolicy, nullptr, nullptr, 0, 0, 0); }},
         {"personality", [] { return ::syscall(SYS_personality, 0xffffffff); }}});
    [[maybe_unused]] auto killed = child.Signal(SIGKILL);
    return text;
  });
  EXPECT_EQ(said,
            "process_vm_readv allowed\nptrace allowed\nmove_pages allowed\nget_mempolicy allowed\n"
            "personality allowed\n");
}

std::string NestingTries() {
  clone_args by_memory{};
  by_memory.flags = CLONE_NEWUSER;
  by_memory.exit_signal = SIGCHLD;
  return Calls({{"unshare",
                 [] {
                   pid_t child = ::fork();
                   if (child == 0) ::_exit(::unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
                   int status = 0;
                   ::waitpid(child, &status, 0);
                   errno = WEXITSTATUS(status);
                   return errno == 0 ? 0L : -1L;
                 }},
                {"clone",
                 [] {
                   long pid = ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0);
                   if (pid == 0) ::_exit(0);
                   return pid;
                 }},
                {"clone3", [&] {
                   long pid = ::syscall(SYS_clone3, &by_memory, sizeof by_memory);
                   if (pid == 0) ::_exit(0);
                   return pid;
                 }}});
}

TEST(NestedUserNamespaces, AreAsTheHostHasThem) {
  std::string outside = InChild(NestingTries);
  EXPECT_EQ(Confined({}, {.nested_user_namespaces = true}, NestingTries), outside);
}

TEST(NestedUserNamespaces, AreRefusedWhereTheHostForbidsThemWhateverTheUserSays) {
  std::string refused = "unshare EPERM\nclone EPERM\nclone3 ENOSYS\n";
  BirthRules rules{.nested_user_namespaces = false};
  EXPECT_EQ(Confined({}, rules, NestingTries), refused);
  EXPECT_EQ(Confined({.filter = Confinement::kUnconfined}, rules, NestingTries), refused);
}

#if defined(__x86_64__)
// A 64-bit program may still enter the kernel by the 32-bit gate, where every call has another number.
long Call32(long number, long argument) {
  long result;
  asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(argument), "c"(0), "d"(0) : "memory");
  return result;
}

TEST(DefaultFilter, HoldsAtThe32BitGateToo) {
  constexpr long kGetpid32 = 20, kKeyctl32 = 288, kUnshare32 = 310;
  pid_t probe = ::fork();
  if (probe == 0) ::_exit(Call32(kGetpid32, 0) == ::getpid() ? 0 : 1);
  int status = 0;
  ::waitpid(probe, &status, 0);
  if (status != 0) GTEST_SKIP() << "this kernel has no 32-bit gate";
  std::string said = Confined({}, {.nested_user_namespaces = false}, [] {
    return Cat(Call32(kKeyctl32, 0), " ", Call32(kUnshare32, CLONE_NEWUSER), " ",
               Call32(kGetpid32, 0) == ::getpid());
  });
  EXPECT_EQ(said, Cat(-EPERM, " ", -EPERM, " true"));
}
#endif

TEST(UnconfinedFilter, IsNone) {
  std::string said = Confined({.filter = Confinement::kUnconfined}, {}, SetsAfterExec);
  EXPECT_THAT(said, HasSubstr("Seccomp:\t0"));
  EXPECT_THAT(said, HasSubstr("NoNewPrivs:\t1"));
}

TEST(Label, CVE_2025_65105_IsNeverWrittenToAFolderThatPlaysProc) {
  std::string path = *MakeTempDirectory("/tmp", "slipway-label-test-");
  ASSERT_TRUE(MakeDirectories(path + "/thread-self/attr/apparmor"));
  for (const char* name : {"/thread-self/attr/exec", "/thread-self/attr/apparmor/exec"})
    ASSERT_TRUE(WriteFileAtomically(path + name, ""));
  UniqueFd fake = std::move(*Open(path, O_PATH | O_DIRECTORY));
  for (const Confinement& wanted : {Confinement{.apparmor_profile = "docker-default"},
                                    Confinement{.selinux_label = "system_u:system_r:x:s0"}}) {
    auto refused = TakeLabelAtExec(fake.get(), wanted);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("is not the kernel's"));
  }
  EXPECT_EQ(*ReadFile(path + "/thread-self/attr/exec"), "");
  ASSERT_TRUE(RemoveTree(path));
}

TEST(Label, IsRefusedWhereTheHostHasNoSuchModule) {
  if (::access("/sys/fs/selinux/enforce", F_OK) == 0 || ::access("/sys/module/apparmor", F_OK) == 0)
    GTEST_SKIP() << "this host has a security module that labels";
  for (const Confinement& wanted : {Confinement{.apparmor_profile = "docker-default"},
                                    Confinement{.selinux_label = "system_u:system_r:x:s0"}}) {
    std::string said = Confined(wanted, {}, [] { return std::string("started without it"); });
    EXPECT_THAT(said, HasSubstr("cannot be applied"));
    EXPECT_THAT(said, HasSubstr("nothing was started without it"));
  }
}

}  // namespace
}  // namespace slipway
