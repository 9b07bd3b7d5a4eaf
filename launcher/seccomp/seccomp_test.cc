// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "launcher/seccomp/defaults.h"
#include "launcher/seccomp/profile.h"
#include "launcher/spec/confinement.h"

namespace slipway {
namespace {

using testing::HasSubstr;

const SeccompSite kSite{.architecture = "amd64", .kernel_major = 6, .kernel_minor = 1};

// The exit code of `body` under the profile: what the kernel makes of it, not what we believe.
int Under(const SeccompProfile& profile, const std::function<int()>& body) {
  std::string bpf = *CompileSeccomp(profile);
  pid_t child = ::fork();
  if (child == 0) {
    sock_fprog program{static_cast<unsigned short>(bpf.size() / sizeof(sock_filter)),
                       reinterpret_cast<sock_filter*>(bpf.data())};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
      ::_exit(99);
    ::_exit(body());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int UnderJson(const std::string& text, const std::function<int()>& body) {
  auto parsed = ParseSeccompJson(text, kSite);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed ? Under(parsed->profile, body) : -1;
}

int ErrnoOf(long result) { return result < 0 ? errno : 0; }

TEST(SeccompJson, RefusesWhatItListsWithTheErrnoThatItNames) {
  std::string text = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71},
    {"name": "getpgid", "action": "SCMP_ACT_ERRNO", "errno": "ENOSYS", "comment": "x"},
    {"names": ["getsid"], "action": "SCMP_ACT_ERRNO"},
    {"names": ["sync"], "action": "SCMP_ACT_KILL_PROCESS"}]})";
  EXPECT_EQ(UnderJson(text, [] { return ErrnoOf(::syscall(SYS_getppid)); }), 71);
  EXPECT_EQ(UnderJson(text, [] { return ErrnoOf(::syscall(SYS_getpgid, 0)); }), ENOSYS);
  EXPECT_EQ(UnderJson(text, [] { return ErrnoOf(::syscall(SYS_getsid, 0)); }), EPERM);
  EXPECT_EQ(UnderJson(text, [] { return ErrnoOf(::syscall(SYS_sync)); }), 128 + SIGSYS);
  EXPECT_EQ(UnderJson(text, [] { return ErrnoOf(::syscall(SYS_getuid)); }), 0);
}

TEST(SeccompJson, AllowsOnlyWhatItListsWhenTheDefaultRefuses) {
  std::string text = R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}],
    "syscalls": [{"names": ["exit_group", "getuid", "no_such_call"], "action": "SCMP_ACT_ALLOW", "args": [],
                  "includes": {}, "excludes": {}}]})";
  EXPECT_EQ(UnderJson(text, [] { return ErrnoOf(::syscall(SYS_getuid)); }), 0);
  EXPECT_EQ(UnderJson(text, [] { return ErrnoOf(::syscall(SYS_getgid)); }), ENOSYS);
  auto parsed = *ParseSeccompJson(text, kSite);
  ASSERT_EQ(parsed.warnings.size(), 1U);
  EXPECT_THAT(parsed.warnings[0], HasSubstr("no_such_call"));
}

TEST(SeccompJson, ComparesArguments) {
  std::string text = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 71, "args": [
      {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 15, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]},
    {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "args": [
      {"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]}]})";
  EXPECT_EQ(UnderJson(text, [] { return ErrnoOf(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }), 71);
  EXPECT_EQ(UnderJson(text, [] { return ErrnoOf(::socket(AF_UNIX, SOCK_STREAM, 0)); }), 0);
  for (int pid : {3, 5})  // two tests of one argument: either
    EXPECT_EQ(UnderJson(text, [&] { return ErrnoOf(::syscall(SYS_getpgid, pid)); }), EPERM) << pid;
  EXPECT_EQ(UnderJson(text, [] { return ErrnoOf(::syscall(SYS_getpgid, 0)); }), 0);
}

TEST(SeccompJson, RulesHoldWhereTheirConditionsDo) {
  std::string text = R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_PTRACE"]}},
    {"names": ["getsid"], "action": "SCMP_ACT_ERRNO", "includes": {"arches": ["s390x"]}},
    {"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "6.2"}},
    {"names": ["getuid"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_SYS_PTRACE"], "minKernel": "4.8"}}]})";
  auto names = [&](const SeccompSite& site) {
    std::string all;
    auto parsed = *ParseSeccompJson(text, site);
    for (const SeccompRule& rule : parsed.profile.rules) all += rule.names[0] + " ";
    return all;
  };
  EXPECT_EQ(names(kSite), "getppid ");
  SeccompSite privileged = kSite;
  privileged.capabilities = *CapabilitiesNamed("sys_ptrace");
  EXPECT_EQ(names(privileged), "getuid ");
  privileged.kernel_minor = 2;
  EXPECT_EQ(names(privileged), "getpgid getuid ");
}

TEST(SeccompJson, WhatIsWrongIsOneLineThatNamesIt) {
  for (
      auto [text, words] : std::vector<std::pair<std::string, std::string>>{
          {"{", "not JSON: parse error at line 1"},
          {"[]", "the profile: not an object"},
          {R"({})", "no \"defaultAction\""},
          {R"({"defaultAction": "SCMP_ACT_ALLOWED"})", "unknown action 'SCMP_ACT_ALLOWED'"},
          {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscals": []})", "unknown field \"syscals\""},
          {R"({"defaultAction": "SCMP_ACT_ALLOW", "sys\ncals": []})", R"(unknown field "sys\ncals")"},
          {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["opne"], "action": "SCMP_ACT_ERRNO"}]})",
           "syscalls[0]: unknown system call 'opne'"},
          {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["open"], "action": "SCMP_ACT_NOTIFY"}]})",
           "needs a process that listens"},
          {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["open"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]})",
           "args.index: not a whole number from 0 to 5"},
          {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["open"], "action": "SCMP_ACT_ERRNO", "errnoRet": -1}]})",
           "errnoRet: not a whole number"},
          {R"({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]})", "not supported"},
          {R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["open"], "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_X"]}}]})",
           "'CAP_X' is not a capability"}}) {
    auto parsed = ParseSeccompJson(text, kSite);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message, HasSubstr(words));
    EXPECT_EQ(parsed.error().message.find('\n'), std::string::npos);
  }
  EXPECT_FALSE(ParseSeccompJson(std::string(kSeccompJsonBytesMax + 1, ' '), kSite));
}

TEST(SeccompDefaults, FitTheKernelWithRoomToSpare) {
  for (const SeccompProfile& profile : {DefaultSeccomp(), NestingForbidden()}) {
    auto bpf = CompileSeccomp(profile);
    ASSERT_TRUE(bpf) << bpf.error().message;
    EXPECT_LT(bpf->size() / kFilterInstructionBytes, 256U);
    for (const SeccompRule& rule : profile.rules) {
      for (const std::string& name : rule.names) EXPECT_TRUE(IsSystemCall(name)) << name;
    }
  }
}

}  // namespace
}  // namespace slipway
