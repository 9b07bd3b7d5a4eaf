// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "base/loop/sim_loop.h"
#include "pmix/server/pmix_server.h"

namespace slipway {
namespace {

TEST(PmixAbsent, AStepThatWantsPmixIsToldWhichProgramHasIt) {
  SimLoop loop;
  auto server = PmixServer::Start(loop, "/nowhere", "n1", 1000, PmixCallbacks{});
  ASSERT_FALSE(server.has_value());
  EXPECT_THAT(server.error().message, testing::HasSubstr("slipway-stepd-pmix"));
}

}  // namespace
}  // namespace slipway
