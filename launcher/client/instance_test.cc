// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "launcher/client/instance_folder.h"
#include "launcher/client/instance_usage.h"

namespace slipway {
namespace {

using testing::HasSubstr;

class InstanceFolderTest : public testing::Test {
 protected:
  void SetUp() override { parent_ = *MakeTempDirectory("/tmp", "slipway-instance-test-"); }
  void TearDown() override { ASSERT_TRUE(RemoveTree(parent_)); }
  void WriteState(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(InstanceStateFile(Cat(parent_, "/", name)), bytes, 0600));
  }
  static InstanceState State(const std::string& name) {
    return {.name = name, .image = "/i.sif", .keeper_pid = 1, .init_pid = 2, .starter_pid = 3};
  }
  bool Exists(const std::string& name) { return ::access(Cat(parent_, "/", name).c_str(), F_OK) == 0; }
  std::string parent_;
};

TEST_F(InstanceFolderTest, ANameBelongsToOneAtATime) {
  auto claim = ClaimInstance(parent_, "web");
  ASSERT_TRUE(claim) << claim.error().message;
  WriteState("web", Encode(State("web")));
  auto second = ClaimInstance(parent_, "web");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kAlreadyExists);
  EXPECT_EQ(FindInstance(parent_, "web")->image, "/i.sif");
  ReleaseInstance(std::move(*claim));
  EXPECT_FALSE(Exists("web"));
  EXPECT_TRUE(ClaimInstance(parent_, "web"));
}

TEST_F(InstanceFolderTest, WhatADeadOneLeftIsRemovedByWhoComesNext) {
  for (const char* next : {"list", "find", "start"}) {
    {
      auto dead = ClaimInstance(parent_, "web");
      ASSERT_TRUE(dead);
      WriteState("web", Encode(State("web")));
    }  // the lock goes as it does with a killed keeper; the files stay
    ASSERT_TRUE(Exists("web/state"));
    if (std::string(next) == "list") {
      EXPECT_TRUE(ListInstances(parent_)->empty());
      EXPECT_FALSE(Exists("web"));
    } else if (std::string(next) == "find") {
      EXPECT_EQ(FindInstance(parent_, "web").error().code, Code::kNotFound);
      EXPECT_FALSE(Exists("web"));
    } else {
      auto claim = ClaimInstance(parent_, "web");
      ASSERT_TRUE(claim);
      EXPECT_FALSE(Exists("web/state"));
    }
  }
}

TEST_F(InstanceFolderTest, OneWithADamagedStateIsListedSoThatItCanBeStopped) {
  auto claim = ClaimInstance(parent_, "web");
  ASSERT_TRUE(claim);
  WriteState("web", "damaged");
  EXPECT_FALSE(FindInstance(parent_, "web"));
  auto all = ListInstances(parent_);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 1U);
  EXPECT_EQ((*all)[0].name, "web");
}

TEST_F(InstanceFolderTest, NamesAreChecked) {
  for (const char* good : {"a", "web-1", "A.b_c", "0"}) EXPECT_TRUE(CheckInstanceName(good)) << good;
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("-a"), std::string("a/b"),
        std::string("a b"), std::string("a\0b", 3), std::string("ä"), std::string(65, 'a')})
    EXPECT_FALSE(CheckInstanceName(bad)) << bad;
}

TEST_F(InstanceFolderTest, StatesAreChecked) {
  InstanceState state = State("web");
  EXPECT_TRUE(DecodeInstanceState(Encode(state)));
  state.cgroup = "/../../etc";
  EXPECT_FALSE(DecodeInstanceState(Encode(state)));
  state = State("../web");
  EXPECT_FALSE(DecodeInstanceState(Encode(state)));
  state = State("web");
  state.starter_pid = -1;
  EXPECT_FALSE(DecodeInstanceState(Encode(state)));
  state = State("web");
  state.version = 2;
  EXPECT_FALSE(DecodeInstanceState(Encode(state)));
}

TEST_F(InstanceFolderTest, AFolderThatOthersCanEnterIsRefused) {
  User user{.uid = ::geteuid(), .home = parent_};
  ::setenv("XDG_RUNTIME_DIR", parent_.c_str(), 1);
  EXPECT_EQ(*InstancesFolder(user), parent_ + "/slipway/instances");
  ASSERT_EQ(::chmod((parent_ + "/slipway/instances").c_str(), 0755), 0);
  EXPECT_THAT(InstancesFolder(user).error().message, HasSubstr("0700"));
  ::unsetenv("XDG_RUNTIME_DIR");
}

TEST_F(InstanceFolderTest, UsageIsThatOfAllThatDescendFromTheStarter) {
  auto process = [&](int pid, const std::string& name, int parent, int ticks, int pages) {
    std::string folder = Cat(parent_, "/", pid);
    ASSERT_TRUE(MakeDirectories(folder));
    ASSERT_TRUE(
        WriteFileAtomically(folder + "/stat", Cat(pid, " (", name, ") S ", parent, " 1 1 0 -1 0 0 0 0 0 ",
                                                  ticks, " 0 0 0 20 0 1 0 5 1000 ", pages, " 0 0 0 0\n")));
  };
  process(3, "starter", 1, 10, 1);
  process(4, "a ) b (", 3, 20, 2);
  process(5, "grand child", 4, 30, 4);
  process(6, "stranger", 1, 1000, 1000);
  process(8, "circle", 9, 1000, 1000);
  process(9, "circle", 8, 1000, 1000);
  InstanceUsage usage = UsageOf(State("web"), parent_);
  EXPECT_EQ(usage.processes, 3U);
  EXPECT_EQ(usage.cpu_us, 60U * 1'000'000 / static_cast<unsigned>(::sysconf(_SC_CLK_TCK)));
  EXPECT_EQ(usage.memory_bytes, 7U * static_cast<unsigned>(::sysconf(_SC_PAGESIZE)));
  EXPECT_FALSE(usage.of_cgroup);
}

TEST_F(InstanceFolderTest, UsageIsThatOfTheCgroupWhereThereIsOne) {
  std::string mount = parent_ + "/cgroup";
  ASSERT_TRUE(MakeDirectories(parent_ + "/self") && MakeDirectories(mount + "/u/a.scope"));
  ASSERT_TRUE(WriteFileAtomically(parent_ + "/self/mountinfo",
                                  Cat("30 1 0:26 / ", mount, " rw shared:4 - cgroup2 cgroup2 rw\n")));
  auto file = [&](const char* name, const char* text) {
    ASSERT_TRUE(WriteFileAtomically(Cat(mount, "/u/a.scope/", name), text));
  };
  file("cpu.stat", "usage_usec 1234\nuser_usec 1000\n");
  file("memory.current", "4096\n");
  file("memory.max", "max\n");
  file("pids.current", "5\n");
  file("pids.max", "64\n");
  InstanceState state = State("web");
  state.cgroup = "/u/a.scope";
  InstanceUsage usage = UsageOf(state, parent_);
  EXPECT_TRUE(usage.of_cgroup);
  EXPECT_EQ(usage.cpu_us, 1234U);
  EXPECT_EQ(usage.memory_bytes, 4096U);
  EXPECT_EQ(usage.memory_limit_bytes, 0U);
  EXPECT_EQ(usage.processes, 5U);
  EXPECT_EQ(usage.processes_limit, 64U);
}

}  // namespace
}  // namespace slipway
