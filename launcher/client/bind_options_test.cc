// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/bind_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway {
namespace {

using testing::HasSubstr;

struct Case {
  const char* argument;
  const char *source, *target;
  bool read_only;
  Mount::Propagation propagation;
};

TEST(Bind, SaysWhereFromWhereToAndHow) {
  SpecFiles files;
  for (const Case& c : {Case{"/tmp", "/tmp", "/tmp", false, Mount::kSlave},
                        {"/tmp:/x", "/tmp", "/x", false, Mount::kSlave},
                        {"/tmp:/x:ro", "/tmp", "/x", true, Mount::kSlave},
                        {"/tmp::ro", "/tmp", "/tmp", true, Mount::kSlave},
                        {"/tmp:/x:ro,rprivate", "/tmp", "/x", true, Mount::kPrivate},
                        {"/tmp:/x\\:y:rw,rslave", "/tmp", "/x:y", false, Mount::kSlave},
                        {"/tmp:/x:nonested", "/tmp", "/x", false, Mount::kSlave}}) {
    auto mounts = ParseBind(c.argument, files);
    ASSERT_TRUE(mounts) << c.argument << ": " << mounts.error().message;
    ASSERT_EQ(mounts->size(), 1u) << c.argument;
    EXPECT_EQ((*mounts)[0].source, c.source);
    EXPECT_EQ((*mounts)[0].target, c.target);
    EXPECT_EQ((*mounts)[0].read_only, c.read_only);
    EXPECT_EQ((*mounts)[0].propagation, c.propagation);
  }
  EXPECT_TRUE(files.fds().empty());
}

TEST(Bind, ACommaSeparatesBindsAndOptions) {
  SpecFiles files;
  auto mounts = ParseBind("/tmp:/a:ro,/usr:/b,/etc", files);
  ASSERT_TRUE(mounts);
  ASSERT_EQ(mounts->size(), 3u);
  EXPECT_TRUE((*mounts)[0].read_only);
  EXPECT_FALSE((*mounts)[1].read_only);
  EXPECT_EQ((*mounts)[2].target, "/etc");
  // "ro" by itself is a path, as there is no bind before it that has options.
  EXPECT_THAT(ParseBind("/tmp:/a,ro", files).error().message, HasSubstr("--bind 'ro'"));
}

TEST(Bind, IsRefusedInWordsThatNameIt) {
  SpecFiles files;
  for (auto [argument, words] : {std::pair("", "is not SRC"),
                                 {"/tmp:/a:ro:x", "is not SRC"},
                                 {"/tmp:x", "absolute path"},
                                 {"/no/such/path", "No such file"},
                                 {"/tmp:/a:shared", "out to the host"},
                                 {"/tmp:/a:id=x", "the number of a partition"},
                                 {"/tmp:/a:image-src=", "needs a value"},
                                 {"/tmp:/a:image-src=/", "not a file"}}) {
    auto refused = ParseBind(argument, files);
    ASSERT_FALSE(refused) << argument;
    EXPECT_THAT(refused.error().message, HasSubstr(words));
    EXPECT_THAT(refused.error().message, HasSubstr("--bind"));
  }
}

TEST(MountField, QuotesCarryAnything) {
  SpecFiles files;
  auto mounts = ParseMount(
      "type=bind,src=/tmp,\"dst=/a,\"\"b\"\"\",readonly\nsource=/usr,target=/c,bind-propagation=rprivate\n",
      files);
  ASSERT_TRUE(mounts) << mounts.error().message;
  ASSERT_EQ(mounts->size(), 2u);
  EXPECT_EQ((*mounts)[0].target, "/a,\"b\"");
  EXPECT_TRUE((*mounts)[0].read_only);
  EXPECT_EQ((*mounts)[1].propagation, Mount::kPrivate);
}

}  // namespace
}  // namespace slipway
