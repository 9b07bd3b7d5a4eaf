// SPDX-License-Identifier: Apache-2.0
#include "agent/health/health.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/loop/epoll_loop.h"

namespace slipway {
namespace {

using std::chrono::seconds;

class Programs : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = MakeTempDirectory("/tmp", "slipway-health-").value();
    loop_ = std::move(*EpollLoop::Make());
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(dir_)); }
  std::string Script(const std::string& text) {
    std::string path = dir_ + "/program";
    EXPECT_TRUE(WriteFileAtomically(path, "#!/bin/sh\n" + text + "\n", 0755));
    return path;
  }
  ProgramEnd Run(const std::string& path, seconds deadline = seconds(20)) {
    ProgramEnd result;
    SitePrograms programs(*loop_);
    programs.Run({path}, {"PATH=/usr/bin:/bin", "GIVEN=yes"}, deadline, [&](const ProgramEnd& end) {
      result = end;
      loop_->Stop();
    });
    loop_->Run();
    return result;
  }
  std::string dir_;
  std::unique_ptr<EpollLoop> loop_;
};

TEST_F(Programs, HaveTheEnvironmentThatTheyAreGivenAndNothingElse) {
  ASSERT_EQ(::setenv("SECRET_OF_THE_DAEMON", "x", 1), 0);
  ProgramEnd end = Run(Script("echo $GIVEN-$SECRET_OF_THE_DAEMON-$(pwd); echo problem >&2; exit 7"));
  ::unsetenv("SECRET_OF_THE_DAEMON");
  EXPECT_EQ(end.how, ProgramEnd::kExited);
  EXPECT_EQ(end.code, 7);
  EXPECT_EQ(end.output, "yes--/\nproblem\n");
  EXPECT_EQ(Describe(end, seconds(1)), "exit code 7: problem");
}

TEST_F(Programs, AProgramThatHangsIsEndedWithAllThatItStarted) {
  ProgramEnd end = Run(Script("sleep 1000 & echo $!; wait"), seconds(1));
  EXPECT_EQ(end.how, ProgramEnd::kTimedOut);
  EXPECT_NE(Describe(end, seconds(1)).find("not done within 1 s"), std::string::npos);
  pid_t child = std::stoi(end.output);
  // It is nobody's to reap here: a zombie, or gone.
  for (int i = 0; i < 2000; ++i) {
    auto stat = ReadFile(Cat("/proc/", child, "/stat"));
    if (!stat || stat->find(") Z ") != std::string::npos) return;
    ::usleep(1000);
  }
  FAIL() << "the program's child lives on";
}

TEST_F(Programs, WhatItLeftInTheBackgroundHoldsNobody) {
  ProgramEnd end = Run(Script("(exec setsid sleep 3) & exit 0"));
  EXPECT_TRUE(end.good()) << "its output's other end is still open";
}

TEST_F(Programs, OneThatCannotBeStartedIsNamed) {
  ProgramEnd end = Run(dir_ + "/missing");
  EXPECT_EQ(end.how, ProgramEnd::kNotStarted);
  EXPECT_NE(end.error.find("/missing"), std::string::npos);
}

TEST_F(Programs, OfLongOutputTheEndIsKept) {
  ProgramEnd end = Run(Script("head -c 1000000 /dev/zero | tr '\\0' x; echo end"));
  EXPECT_LE(end.output.size(), 64u << 10);
  EXPECT_TRUE(end.output.ends_with("end\n"));
}

TEST(Verdict, CodesAreThoseOfNagiosPlugins) {
  auto level = [](ProgramEnd::How how, int code) {
    return AnswerOf({.how = how, .code = code}, seconds(5)).level;
  };
  EXPECT_EQ(level(ProgramEnd::kExited, 0), CheckAnswer::kOk);
  EXPECT_EQ(level(ProgramEnd::kExited, 1), CheckAnswer::kWarning);
  EXPECT_EQ(level(ProgramEnd::kExited, 2), CheckAnswer::kCritical);
  EXPECT_EQ(level(ProgramEnd::kExited, 3), CheckAnswer::kUnknown);
  EXPECT_EQ(level(ProgramEnd::kExited, 126), CheckAnswer::kUnknown);
  EXPECT_EQ(level(ProgramEnd::kSignaled, 11), CheckAnswer::kUnknown);
  EXPECT_EQ(level(ProgramEnd::kNotStarted, 0), CheckAnswer::kUnknown);
  EXPECT_EQ(level(ProgramEnd::kTimedOut, 0), CheckAnswer::kCritical);
}

TEST(Verdict, EverySourceTakesBackItsOwnWordOnly) {
  Verdict verdict;
  verdict.Set("a", {"disk: full"});
  verdict.Set("b", {"broken", "worse"});
  EXPECT_EQ(verdict.Reason(), "disk: full; broken; worse");
  verdict.Set("a", {});
  EXPECT_EQ(verdict.Reason(), "broken; worse");
  verdict.Set("b", {});
  EXPECT_EQ(verdict.Reason(), "");
  verdict.Set("c", {std::string(1000, 'x')});
  EXPECT_EQ(verdict.Reason().size(), 256u);
}

TEST(BuiltInChecks, NameWhatIsWrongAndNothingElse) {
  using Lines = std::vector<std::string>;
  HealthLimits limits{64 << 20, 64 << 20, 60'000};
  HostFacts facts;
  FileSystemFacts run{
      .path = "/run", .bytes = 1 << 30, .bytes_free = 1 << 29, .files = 1000, .files_free = 500};
  auto with = [&](FileSystemFacts changed) {
    facts.file_systems = {std::move(changed)};
    return JudgeHost(facts, limits);
  };
  facts.memory_available_bytes = 1 << 30;
  facts.idle = true;
  EXPECT_TRUE(with(run).empty());
  FileSystemFacts full = run, crowded = run, locked = run, broken = run;
  full.bytes_free = 1 << 20;
  crowded.files_free = 3;
  locked.read_only = true;
  broken.error = "Input/output error";
  EXPECT_EQ(with(full), Lines{"disk: /run has less than 64 MiB free of 1 GiB"});
  EXPECT_EQ(with(crowded), Lines{"disk: /run has room for less than 100 files"});
  EXPECT_EQ(with(locked), Lines{"disk: /run is read-only"});
  EXPECT_EQ(with(broken), Lines{"disk: /run: Input/output error"});
  facts.file_systems.clear();
  facts.memory_available_bytes = 1 << 20;
  EXPECT_EQ(JudgeHost(facts, limits), Lines{"memory: less than 64 MiB are free although nothing runs"});
  facts.idle = false;
  EXPECT_TRUE(JudgeHost(facts, limits).empty()) << "a job's memory is its own";
  facts.clock_ahead_ms = -61'000;
  EXPECT_EQ(JudgeHost(facts, limits),
            Lines{"clock: more than 60000 ms behind the controller's; is the time synchronised?"});
  facts.clock_ahead_ms = 59'000;
  EXPECT_TRUE(JudgeHost(facts, limits).empty());
}

TEST(BuiltInChecks, AFileSystemIsReadOnlyWhereverItIsMounted) {
  std::string_view text =
      "36 35 8:1 / / ro,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
      "37 35 8:2 / /var rw,relatime - ext4 /dev/sda2 ro,data=ordered\n"
      "38 35 0:30 / /run rw - tmpfs tmpfs ro\n";
  std::vector<MountLine> mounts = ParseMountinfo(text);
  EXPECT_FALSE(IsReadOnly(mounts, "8:1")) << "a sandbox sees it so";
  EXPECT_TRUE(IsReadOnly(mounts, "8:2")) << "after an error of its disk";
  EXPECT_TRUE(IsReadOnly(mounts, "0:30"));
  EXPECT_FALSE(IsReadOnly(mounts, "8:3"));
}

TEST(BuiltInChecks, AFileServerThatDoesNotAnswerIsNotAsked) {
  std::string_view text =
      "36 35 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
      "37 36 0:50 / /store rw,relatime shared:2 master:1 - nfs4 files:/store rw\n"
      "38 37 8:2 / /store/local rw - xfs /dev/sdb rw\n"
      "39 36 0:51 / /home/alice/mnt rw - fuse.sshfs alice@there: rw\n"
      "40 36 0:52 / /twice rw - nfs files:/twice rw\n"
      "41 40 8:3 / /twice rw - ext4 /dev/sdc rw\n";
  std::vector<MountLine> mounts = ParseMountinfo(text);
  EXPECT_TRUE(WaitsForOthers(mounts, "/store"));
  EXPECT_TRUE(WaitsForOthers(mounts, "/store/images"));
  EXPECT_FALSE(WaitsForOthers(mounts, "/store/local/images"));
  EXPECT_FALSE(WaitsForOthers(mounts, "/storeroom"));
  EXPECT_TRUE(WaitsForOthers(mounts, "/home/alice/mnt/x"));
  EXPECT_FALSE(WaitsForOthers(mounts, "/twice"));
  EXPECT_FALSE(WaitsForOthers(mounts, "/var/lib/slipway"));
}

TEST(BuiltInChecks, AFolderThatWeMayNotLookAtIsJudgedByItsMount) {
  std::string_view text =
      "36 35 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
      "37 36 8:1 /lib /var/lib ro - ext4 /dev/sda1 rw\n"
      "38 37 8:2 / /var/lib/images rw - ext4 /dev/sdb ro,errors=remount-ro\n"
      "39 38 8:3 / /var/lib/images/own rw - xfs /dev/sdc rw\n";
  std::vector<MountLine> mounts = ParseMountinfo(text);
  EXPECT_FALSE(LiesOnReadOnly(mounts, "/var/lib/broker")) << "a sandbox sees it so";
  EXPECT_TRUE(LiesOnReadOnly(mounts, "/var/lib/images/sha256-1"));
  EXPECT_TRUE(LiesOnReadOnly(mounts, "/var/lib/images"));
  EXPECT_FALSE(LiesOnReadOnly(mounts, "/var/lib/images/own/x"));
  EXPECT_FALSE(LiesOnReadOnly({}, "/var/lib/images"));
}

TEST(BuiltInChecks, AFolderThatWeMayNotLookAtIsNoFinding) {
  bool root = ::geteuid() == 0;
  ASSERT_TRUE(!root || ::seteuid(65534) == 0);
  HostFacts facts = LookAtHost({"/proc/1/cwd"});
  ASSERT_TRUE(!root || ::seteuid(0) == 0);
  ASSERT_EQ(facts.file_systems.size(), 1u);
  EXPECT_EQ(facts.file_systems[0].bytes, 0u) << "it could be looked at";
  HealthLimits limits{.disk_free_bytes = 64 << 20};
  EXPECT_TRUE(JudgeHost(facts, limits).empty());
}

TEST(BuiltInChecks, LookAtTheHostAsItIs) {
  HostFacts facts = LookAtHost({"/tmp", "/nonexistent/folder"});
  EXPECT_GT(facts.file_systems.at(0).bytes, 0u);
  EXPECT_TRUE(facts.file_systems.at(0).error.empty());
  EXPECT_FALSE(facts.file_systems.at(1).error.empty());
  EXPECT_GT(facts.memory_available_bytes, 0u);
}

class HealthTest : public Programs {
 protected:
  // The check exits with the number in this file.
  void Say(int code) { ASSERT_TRUE(WriteFileAtomically(dir_ + "/verdict", std::to_string(code))); }
  std::unique_ptr<Health> Make(std::string program) {
    HealthOptions options{.program = std::move(program), .folders = {}, .node = "n1"};
    Health::Events events{[this](const std::string& reason) { reasons_.push_back(reason); },
                          [] { return false; }};
    return std::make_unique<Health>(*loop_, options, events);
  }
  std::string Look(Health& health) {
    std::string heard = "not called";
    health.LookForJob([&](const std::string& reason) {
      heard = reason;
      loop_->Stop();
    });
    if (heard == "not called") loop_->Run();
    return heard;
  }
  std::vector<std::string> reasons_;
};

TEST_F(HealthTest, ACriticalCheckMakesTheNodeUnfitUntilItSaysOtherwise) {
  Say(2);
  auto health = Make(Script("echo no GPU left; exit $(cat " + dir_ + "/verdict)"));
  health->Start();
  EXPECT_FALSE(health->known());
  EXPECT_EQ(Look(*health), "health check: exit code 2: no GPU left");
  EXPECT_TRUE(health->known());
  Say(3);
  EXPECT_EQ(Look(*health), "health check: exit code 2: no GPU left") << "who does not know changes nothing";
  Say(1);
  EXPECT_EQ(Look(*health), "") << "a warning is no reason to stop";
  Say(0);
  EXPECT_EQ(Look(*health), "");
  EXPECT_EQ(reasons_, (std::vector<std::string>{"health check: exit code 2: no GPU left", ""}));
}

TEST_F(HealthTest, AGpuThatIsLostDrainsTheNodeUntilItIsBack) {
  std::vector<std::string> lost = {"GPU 0000:47:00.0 has fallen off the bus"};
  Health health(*loop_, {.folders = {}, .node = "n1"},
                {[this](const std::string& reason) { reasons_.push_back(reason); }, [] { return false; },
                 [&] { return lost; }});
  health.Start();
  EXPECT_EQ(Look(health), lost[0]);
  lost.clear();
  EXPECT_EQ(Look(health), "");
  EXPECT_EQ(reasons_.back(), "");
}

TEST_F(HealthTest, WithoutAProgramItIsKnownAtOnce) {
  auto health = Make("");
  health->Start();
  EXPECT_TRUE(health->known());
  EXPECT_EQ(reasons_, std::vector<std::string>{""});
  health->SetComplaint("42.1.0", {"step 42.1.0: process 7 (dd), state D, does not end"});
  EXPECT_EQ(health->reason(), "step 42.1.0: process 7 (dd), state D, does not end");
  health->SetComplaint("42.1.0", {});
  EXPECT_EQ(health->reason(), "");
}

}  // namespace
}  // namespace slipway
