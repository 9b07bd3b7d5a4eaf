// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/starter_conf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway {
namespace {

using testing::ElementsAre;

constexpr const char* kGood = "node = n1\ncluster = c\nagent_uid = 20000\n";

TEST(StarterConf, ReadsKeysAndFillsInDefaults) {
  auto conf = ParseConf(Cat("# a comment\n", kGood, "\nrootless=yes\n state_dir = /s \n"));
  ASSERT_TRUE(conf) << conf.error().message;
  EXPECT_EQ(conf->node, "n1");
  EXPECT_EQ(conf->image_dir, "/s/images");
  EXPECT_EQ(conf->holder_socket, "/run/slipway/holder.sock");
  EXPECT_TRUE(conf->rootless);
  EXPECT_TRUE(ParseConf("")->allow_setuid);
}

TEST(StarterConf, ReadsThePolicy) {
  auto conf = ParseConf(
      "limit_paths = /opt/images /scratch\nlimit_owners = 0 1000\nallow_images = store sif\n"
      "bind = /opt/site /scratch:/data:ro\ntmpfs_size = 2G\nallow_user_binds = no\nsigned_by = AB12\n");
  ASSERT_TRUE(conf) << conf.error().message;
  EXPECT_THAT(conf->container.limit_paths, ElementsAre("/opt/images", "/scratch"));
  EXPECT_THAT(conf->container.limit_owners, ElementsAre(0, 1000));
  EXPECT_THAT(conf->container.image_kinds, ElementsAre("store", "sif"));
  EXPECT_THAT(conf->container.binds, ElementsAre("/opt/site", "/scratch:/data:ro"));
  EXPECT_EQ(conf->container.tmpfs_bytes, 2ULL << 30);
  EXPECT_FALSE(conf->container.user_binds);
  EXPECT_THAT(conf->container.signed_by, ElementsAre("AB12"));
}

TEST(StarterConf, SaysWhichLineAndColumnIsWrong) {
  struct {
    const char *line, *where, *words;
  } cases[] = {{"unknown = 1", "line 4, column 1: ", "unknown key 'unknown'"},
               {"  agent_gid = x", "line 4, column 15: ", "must be a number"},
               {"agent_gid = -1", "line 4, column 13: ", "must be a number"},
               {"agent_gid = 99999999999", "line 4, column 13: ", "must be a number"},
               {"tmpfs_size = 99999999999999g", "line 4, column 14: ", "must be a number"},
               {"agent_gid = 1k", "line 4, column 13: ", "must be a number"},
               {"rootless = maybe", "line 4, column 12: ", "yes or no"},
               {"no equals", "line 4, column 1: ", "no '='"},
               {"stepd = relative", "line 4, column 9: ", "absolute path"},
               {"stepd = /a/../b", "line 4, column 9: ", "absolute path"},
               {"node = again", "line 4, column 1: ", "given twice"},
               {"run_dir =", "line 4, column 10: ", "is empty"},
               {"cgroup = a/../b", "line 4, column 10: ", "upwards"},
               {"allow_images = sif docker", "line 4, column 16: ", "not 'docker'"},
               {"bind = /a:b", "line 4, column 8: ", "SRC[:DEST[:ro]]"},
               {"bind = /a:/b:rw", "line 4, column 8: ", "SRC[:DEST[:ro]]"},
               {"limit_paths = /a b", "line 4, column 15: ", "absolute path"},
               {"limit_paths =", "line 4, column 14: ", "is empty"}};
  for (auto [line, where, words] : cases) {
    auto conf = ParseConf(Cat(kGood, line, "\n"));
    ASSERT_FALSE(conf) << line;
    EXPECT_THAT(conf.error().message, testing::StartsWith(where)) << line;
    EXPECT_THAT(conf.error().message, testing::HasSubstr(words)) << line;
  }
}

}  // namespace
}  // namespace slipway
