// SPDX-License-Identifier: Apache-2.0
// What the broker decides without touching anything: configuration, credentials, marks.
#include "launcher/broker/policy.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "launcher/broker/container_birth.h"
#include "launcher/broker/marks.h"

namespace slipway {
namespace {

constexpr const char* kGood = "node = n1\ncluster = c\nagent_uid = 20000\n";

TEST(BrokerConf, RefusesAFileThatOthersCanWrite) {
  std::string dir = MakeTempDirectory("/tmp", "slipway-conf-").value();
  std::string path = dir + "/starter.conf";
  ASSERT_TRUE(WriteFileAtomically(path, kGood, 0644));
  EXPECT_TRUE(LoadConf(path));
  ASSERT_EQ(::chmod(path.c_str(), 0664), 0);
  EXPECT_EQ(LoadConf(path).error().code, Code::kPermissionDenied);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
    ASSERT_EQ(::chown(path.c_str(), 20001, 20001), 0);
    EXPECT_EQ(LoadConf(path).error().code, Code::kPermissionDenied);
  }
  EXPECT_EQ(LoadConf(dir).error().code, Code::kPermissionDenied);
  EXPECT_EQ(LoadConf(dir + "/none")->run_dir, "/run/slipway") << "no file is no limit";
  for (std::string text : {"", "node = n1\ncluster = c\n", "node = n\nagent_uid = 1\n"}) {
    ASSERT_TRUE(WriteFileAtomically(path, text, 0644));
    EXPECT_FALSE(LoadNodeConf(path)) << "what a broker needs is missing";
  }
  ASSERT_TRUE(RemoveTree(dir));
}

struct Policy : testing::Test {
  BrokerConf conf = ParseConf(kGood).value();
  LaunchCredential credential{.cluster = "c",
                              .node = "n1",
                              .epoch = 1,
                              .step = {1, 1, 0},
                              .uid = 20001,
                              .gid = 20001,
                              .image_digest = DigestOf("x")};
  Code Judge() {
    auto judged = JudgeCredential(credential, conf, 20001);
    return judged ? Code::kOk : judged.error().code;
  }
};

TEST_F(Policy, AcceptsWhatIsForThisNode) { EXPECT_EQ(Judge(), Code::kOk); }
TEST_F(Policy, RefusesAnotherCluster) {
  credential.cluster = "d";
  EXPECT_EQ(Judge(), Code::kPermissionDenied);
}
TEST_F(Policy, RefusesAnotherNode) {
  credential.node = "n2";
  EXPECT_EQ(Judge(), Code::kPermissionDenied);
}
TEST_F(Policy, RefusesRootAndNobody) {
  for (std::uint32_t id : {0u, 65534u, 0xffffffffu}) {
    credential.uid = id;
    EXPECT_EQ(Judge(), Code::kPermissionDenied) << id;
    credential.uid = 20001;
    credential.gid = id;
    EXPECT_EQ(Judge(), Code::kPermissionDenied) << id;
    credential.gid = 20001;
  }
}
TEST_F(Policy, RootlessRunsJobsOfItsOwnUserOnly) {
  conf.rootless = true;
  EXPECT_EQ(Judge(), Code::kOk);
  credential.uid = 20002;
  EXPECT_EQ(Judge(), Code::kPermissionDenied);
}
TEST_F(Policy, RefusesAMalformedDigest) {
  credential.image_digest = "sha256:../../etc/passwd";
  EXPECT_EQ(Judge(), Code::kInvalidArgument);
}

TEST(ReplayMarks, RefusesAStepTwiceAnOldEpochAndAnOldAttempt) {
  ReplayMarks marks;
  marks.Add({5, {10, 2, 0}, 0});
  EXPECT_FALSE(marks.Check({5, {10, 2, 0}, 0}));
  EXPECT_FALSE(marks.Check({6, {10, 2, 0}, 0}));
  EXPECT_FALSE(marks.Check({5, {10, 1, 7}, 0}));
  EXPECT_FALSE(marks.Check({4, {11, 1, 0}, 0}));
  EXPECT_TRUE(marks.Check({5, {10, 2, 1}, 0}));
  EXPECT_TRUE(marks.Check({5, {10, 3, 0}, 0}));
  EXPECT_TRUE(marks.Check({5, {9, 1, 0}, 0}));
}

TEST(ReplayMarks, ForgetsEndedJobsAndRefusesThemAllTheSame) {
  ReplayMarks marks;
  marks.Add({1, {10, 1, 0}, 0});
  marks.Add({1, {20, 1, 0}, 15});
  EXPECT_EQ(marks.Live().size(), 1u);
  EXPECT_FALSE(marks.Check({1, {10, 1, 1}, 0}));
  EXPECT_FALSE(marks.Check({1, {16, 1, 0}, 17}));
  EXPECT_TRUE(marks.Check({1, {16, 1, 0}, 0}));
}

TEST(ReplayMarks, LiveMarksGiveTheSameAnswers) {
  ReplayMarks marks, again;
  for (std::uint32_t i = 1; i < 200; ++i) marks.Add({i / 7, {i % 40 + 1, i % 3, i % 5}, i / 20});
  for (const Mark& mark : marks.Live()) again.Add(mark);
  for (std::uint64_t epoch : {0, 27, 28, 29}) {
    for (std::uint64_t job = 0; job < 45; ++job) {
      for (std::uint32_t attempt = 0; attempt < 4; ++attempt) {
        for (std::uint32_t step = 0; step < 6; ++step) {
          Mark mark{epoch, {job, attempt, step}, 0};
          EXPECT_EQ(marks.Check(mark).has_value(), again.Check(mark).has_value());
        }
      }
    }
  }
}

struct Marks : testing::Test {
  std::string dir = MakeTempDirectory("/tmp", "slipway-marks-").value();
  std::string path = dir + "/marks";
  ~Marks() override { EXPECT_TRUE(RemoveTree(dir)); }
  void Use(std::initializer_list<Mark> marks) {
    auto store = MarkStore::Open(path);
    ASSERT_TRUE(store) << store.error().message;
    for (const Mark& mark : marks) ASSERT_TRUE(store->Use(mark));
  }
};

TEST_F(Marks, AreRememberedByTheNextBroker) {
  Use({{3, {1, 1, 0}, 0}, {3, {1, 1, 1}, 0}});
  auto store = MarkStore::Open(path).value();
  EXPECT_FALSE(store.Use({3, {1, 1, 1}, 0}));
  EXPECT_FALSE(store.Use({2, {2, 1, 0}, 0}));
  EXPECT_TRUE(store.Use({3, {1, 1, 2}, 0}));
}

TEST_F(Marks, ATornLastRecordIsDroppedAtEveryLength) {
  Use({{3, {1, 1, 0}, 0}, {3, {1, 1, 1}, 0}});
  std::string bytes = ReadFile(path).value();
  for (std::size_t length = bytes.size() / 2; length < bytes.size(); ++length) {
    ASSERT_TRUE(WriteFileAtomically(path, bytes.substr(0, length), 0600));
    auto store = MarkStore::Open(path);
    ASSERT_TRUE(store) << length;
    EXPECT_FALSE(store->Use({3, {1, 1, 0}, 0}));
    EXPECT_TRUE(store->Use({3, {1, 1, 1}, 0}));
    EXPECT_EQ(ReadFile(path).value(), bytes);
  }
}

TEST_F(Marks, DamageInTheMiddleKeepsTheBrokerFromStarting) {
  Use({{3, {1, 1, 0}, 0}, {3, {1, 1, 1}, 0}, {3, {1, 1, 2}, 0}});
  std::string bytes = ReadFile(path).value();
  bytes[60] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(path, bytes, 0600));
  EXPECT_EQ(MarkStore::Open(path).error().code, Code::kDataLoss);
}

TEST_F(Marks, AreCompactedByTheOldestLiveJobAndStillKnown) {
  auto store = MarkStore::Open(path, 64).value();
  for (std::uint32_t i = 1; i <= 100; ++i) ASSERT_TRUE(store.Use({1, {i, 1, 0}, i > 60 ? i - 2 : 0}));
  EXPECT_LT(ReadFile(path).value().size(), 48u * 60);
  auto again = MarkStore::Open(path).value();
  for (auto* any : {&store, &again}) {
    EXPECT_FALSE(any->Use({1, {100, 1, 0}, 0}));
    EXPECT_FALSE(any->Use({1, {60, 1, 1}, 0}));
  }
  EXPECT_TRUE(again.Use({1, {100, 1, 1}, 0}));
}

TEST(GroupMap, FitsThePageAndKeepsThePrimaryGroup) {
  std::vector<std::uint32_t> groups;
  for (std::uint32_t i = 0; i < 2000; ++i) groups.push_back(1000000000u + i);
  std::string map = GroupMap(77, groups);
  EXPECT_LT(map.size(), 4096u);
  EXPECT_TRUE(map.starts_with("77 77 1\n"));
  EXPECT_EQ(GroupMap(5, {5, 6, 0}), "5 5 1\n6 6 1\n");
}

}  // namespace
}  // namespace slipway
