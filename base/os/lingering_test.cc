// SPDX-License-Identifier: Apache-2.0
#include "base/os/lingering.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "base/os/process.h"

namespace slipway {
namespace {

// The first process of a PID namespace, with one child.
struct Space {
  Process init;
  PipeEnds born = MakePipe().value();
  bool Make() {
    std::uint64_t flags = CLONE_NEWPID | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
    auto made = Clone3({.flags = flags});
    if (!made) return false;
    init = std::move(*made);
    char word = 'x';
    if (!init) {
      if (::fork() == 0 && ::write(born.write.get(), &word, 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    return ::read(born.read.get(), &word, 1) == 1;
  }
  bool Ends(int timeout_ms) const {
    pollfd watched{init.pidfd(), POLLIN, 0};
    return ::poll(&watched, 1, timeout_ms) == 1;
  }
};

TEST(Lingering, NamesNobodyWhereNobodyIs) {
  EXPECT_EQ(WhatHolds({}), "");
  EXPECT_EQ(WhatHolds({0x3fffffff}), "");
  EXPECT_EQ(ProcessesOf(::getpid()), std::vector<pid_t>{::getpid()});
  EXPECT_TRUE(ProcessesBelow("/nonexistent").empty());
}

TEST(Lingering, FindsAllOfAPidNamespace) {
  Space space;
  if (!space.Make()) GTEST_SKIP() << "no PID namespace here";
  EXPECT_EQ(ProcessesOf(space.init.pid()).size(), 2u);
  EXPECT_NE(WhatHolds({space.init.pid()}).find(", state "), std::string::npos);
  ASSERT_TRUE(space.init.Signal(SIGKILL));
  EXPECT_TRUE(space.init.Wait());
}

TEST(Lingering, ATracerCannotHoldAPidNamespace) {
  Space space;
  if (!space.Make()) GTEST_SKIP() << "no PID namespace here";
  std::vector<pid_t> both = ProcessesOf(space.init.pid());
  ASSERT_EQ(both.size(), 2u);
  pid_t task = both[0] == space.init.pid() ? both[1] : both[0];
  PipeEnds seized = MakePipe().value();
  Process tracer = Clone3({}).value();
  if (!tracer) {
    char word = ::ptrace(PTRACE_SEIZE, task, nullptr, nullptr) == 0 ? 'y' : 'n';
    [[maybe_unused]] auto n = ::write(seized.write.get(), &word, 1);
    for (;;) ::pause();  // never waits for it
  }
  char word = 'n';
  ASSERT_EQ(::read(seized.read.get(), &word, 1), 1);
  ASSERT_TRUE(space.init.Signal(SIGKILL));
  if (word == 'y') {
    EXPECT_FALSE(space.Ends(100)) << "a traced zombie holds it";
    std::vector<pid_t> left = ProcessesOf(space.init.pid());
    KillTracersOf(left, ::geteuid() + 1);
    EXPECT_FALSE(space.Ends(100)) << "another user's tracer is left alone";
    KillTracersOf(left, ::geteuid());
  }
  EXPECT_TRUE(space.Ends(20'000));
  EXPECT_TRUE(space.init.Wait());
  [[maybe_unused]] auto killed = tracer.Signal(SIGKILL);
  EXPECT_TRUE(tracer.Wait());
}

}  // namespace
}  // namespace slipway
