// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/host_images.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "launcher/spec/image_signers.h"

namespace slipway::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int64_t kDayMs = 86'400'000, kNow = 100 * kDayMs;

std::vector<std::string> Going(const std::vector<StoredImage>& images, HostGarbageRule rule) {
  rule.now_ms = kNow;
  std::vector<std::string> digests;
  for (const StoredImage& one : HostGarbage(images, rule)) digests.push_back(one.digest);
  return digests;
}

TEST(HostGarbage, IsWhatWasNotUsedForSoLongOrUsedLongestAgoOfTooMuch) {
  std::vector<StoredImage> images = {{"fresh", 10, kNow - 1000},
                                     {"day", 10, kNow - kDayMs},
                                     {"month", 10, kNow - 30 * kDayMs},
                                     {"week", 10, kNow - 7 * kDayMs}};
  EXPECT_THAT(Going(images, {.unused_ms = 20 * kDayMs}), ElementsAre("month"));
  EXPECT_THAT(Going(images, {.unused_ms = 20 * kDayMs, .bytes_max = 20}), ElementsAre("month", "week"));
  EXPECT_THAT(Going(images, {.unused_ms = 90 * kDayMs, .bytes_max = 40}), IsEmpty());
  EXPECT_THAT(Going(images, {.unused_ms = 0, .bytes_max = 1}), ElementsAre("month", "week", "day"))
      << "its container may be about to start";
  EXPECT_THAT(Going(images, {.unused_ms = 0, .named = {"week"}}), ElementsAre("month", "day"));
}

class HostStore : public testing::Test {
 protected:
  void SetUp() override {
    conf_.run_dir = conf_.state_dir = top_;
    conf_.image_dir = top_ + "/images";
    ASSERT_TRUE(MakeDirectories(conf_.image_dir));
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(top_)); }
  std::string Put(const std::string& body) {
    std::string digest = DigestOf(body), path = Cat(conf_.image_dir, "/sha256-", digest.substr(7));
    for (const std::string& end : {std::string(), std::string(".signers"), std::string(".content")})
      EXPECT_TRUE(WriteFileAtomically(path + end, body));
    return digest;
  }
  std::size_t Files() const { return NamesIn(conf_.image_dir)->size(); }
  std::string top_ = *MakeTempDirectory(testing::TempDir(), "host-images-");
  BrokerConf conf_;
};

TEST_F(HostStore, WithoutABrokerLosesTheImageAndWhatBelongsToIt) {
  std::string one = Put("one"), two = Put("two");
  ASSERT_TRUE(WriteFileAtomically(conf_.image_dir + "/notes", "an admin's"));
  HostImages store(conf_);
  auto images = store.List();
  ASSERT_TRUE(images) << images.error().message;
  ASSERT_EQ(images->size(), 2U);
  auto outcome = store.Remove({{one, 3, 0}});
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->gone.size(), 1U);
  EXPECT_EQ(store.List()->size(), 1U);
  EXPECT_EQ(store.List()->at(0).digest, two);
  if (::geteuid() == 0) {
    EXPECT_EQ(Files(), 4U);
  }
}

TEST_F(HostStore, TakesAwayWhatAKillHadLeft) {
  if (::geteuid() != 0) GTEST_SKIP() << "the store is root's";
  std::string one = Put("one");
  ASSERT_EQ(::unlink(Cat(conf_.image_dir, "/sha256-", one.substr(7)).c_str()), 0);  // and then SIGKILL
  Put("two");
  ASSERT_TRUE(HostImages(conf_).Remove({}));
  EXPECT_EQ(Files(), 3U);
}

TEST_F(HostStore, KnowsWhatRootGaveAName) {
  EXPECT_TRUE(HostImages(conf_).Named()->empty());
  ASSERT_TRUE(WriteFileAtomically(top_ + "/names", Cat("mpi ", DigestOf("x"), "\n")));
  EXPECT_THAT(*HostImages(conf_).Named(), ElementsAre(DigestOf("x")));
  ASSERT_TRUE(WriteFileAtomically(top_ + "/names", "mpi\n"));
  EXPECT_FALSE(HostImages(conf_).Named()) << "nothing goes while nobody knows what stays";
}

}  // namespace
}  // namespace slipway::cli
