// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/resource_limits.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include "base/os/process.h"

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ResourceLimits, NamedOnesTravelAsTheShellHasThem) {
  rlimit own{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &own), 0);
  auto text = OwnResourceLimits("NOFILE,RLIMIT_CORE");
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, HasSubstr(Cat("NOFILE=", own.rlim_cur, ",CORE=")));
  auto limits = ResourceLimitsOf({Cat(kResourceLimitsVariable, "=", *text)});
  ASSERT_TRUE(limits) << limits.error().message;
  EXPECT_EQ(limits->front(), (ResourceLimit{RLIMIT_NOFILE, own.rlim_cur}));
  EXPECT_EQ(ResourceLimitsOf({Cat(kResourceLimitsVariable, "=", *OwnResourceLimits("ALL"))})->size(), 10u);
  EXPECT_EQ(*OwnResourceLimits("NONE"), "");
  EXPECT_THAT(OwnResourceLimits("FILES").error().message, HasSubstr("'FILES'"));
}

TEST(ResourceLimits, WhatMeansNothingIsNamed) {
  EXPECT_THAT(*ResourceLimitsOf({}), ElementsAre());
  for (const char* text : {"NOFILE", "NOFILE=", "NOFILE=x", "FILES=1", "NICE=40"}) {
    EXPECT_FALSE(ResourceLimitsOf({Cat(kResourceLimitsVariable, "=", text)})) << text;
  }
  EXPECT_FALSE(CheckResourceLimits({{77, 1}}));
}

TEST(ResourceLimits, AreSetAsFarAsTheHardOnesGo) {
  Process child = Clone3({}).value();
  if (!child) {
    rlimit low{10, 20}, core{}, files{};
    bool good =
        ::setrlimit(RLIMIT_NOFILE, &low) == 0 &&
        SetResourceLimits({{RLIMIT_NOFILE, RLIM_INFINITY}, {RLIMIT_CORE, 0}, {ResourceLimit::kNiceness, 25}});
    ::getrlimit(RLIMIT_NOFILE, &files);
    ::getrlimit(RLIMIT_CORE, &core);
    ::_exit(good && files.rlim_cur == 20 && core.rlim_cur == 0 && ::getpriority(PRIO_PROCESS, 0) == 5 ? 0
                                                                                                      : 1);
  }
  EXPECT_EQ(child.Wait().value().exit_code(), 0);
}

}  // namespace
}  // namespace slipway
