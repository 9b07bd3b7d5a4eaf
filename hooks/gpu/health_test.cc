// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hooks/gpu/discover.h"
#include "hooks/gpu/testdata/hosts.h"

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(GpuHealth, AGpuThatLeavesTheBusIsNamedUntilItIsBack) {
  FakeHost host;
  PutTwoA100(host);
  auto units = UnitsOf(DiscoverGpus(host.tree(), nullptr));
  EXPECT_THAT(GpuFindings(host.tree(), units), IsEmpty());
  host.File("/sys/bus/pci/devices/0000:47:00.0/config", std::string(64, '\xff'));
  EXPECT_THAT(GpuFindings(host.tree(), units),
              ElementsAre("GPU 0000:47:00.0 has fallen off the bus: it needs a reset or a reboot"));
  host.File("/sys/bus/pci/devices/0000:47:00.0/config", std::string("\xde\x10\xb0\x20", 4));
  EXPECT_THAT(GpuFindings(host.tree(), units), IsEmpty());
}

TEST(GpuHealth, UncorrectableMemoryErrorsOfAmdAreCountedAndCorrectedOnesAreNot) {
  FakeHost host;
  PutTwoA100(host);
  auto units = UnitsOf(DiscoverGpus(host.tree(), nullptr));
  host.File("/sys/bus/pci/devices/0000:47:00.0/ras/umc_err_count", "ue: 0\nce: 12\n");
  EXPECT_THAT(GpuFindings(host.tree(), units), IsEmpty());
  host.File("/sys/bus/pci/devices/0000:47:00.0/ras/umc_err_count", "ue: 2\nce: 12\n");
  EXPECT_THAT(GpuFindings(host.tree(), units), ElementsAre(HasSubstr("uncorrectable memory errors: 2")));
}

}  // namespace
}  // namespace slipway
