// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/gpu_use.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

TEST(GpuUse, IsAskedOfTheDriversLibrary) {
  auto source = GpuUseSource::Open(FAKE_NVML);
  ASSERT_TRUE(source) << source.error().message;
  auto first = (*source)->Look({"GPU-1", "MIG-5", "GPU-none"});
  ASSERT_EQ(first.size(), 3U);
  EXPECT_EQ(first[0], (GpuUse{"GPU-1", 50, 2ULL << 30, 1000}));
  EXPECT_EQ(first[1], (GpuUse{.id = "MIG-5", .memory_bytes = 1ULL << 30})) << "MIG has no share of time";
  EXPECT_EQ(first[2], GpuUse{.id = "GPU-none"});
  auto second = (*source)->Look({"GPU-1"});
  EXPECT_EQ(second.at(0).energy_mj, 1300U) << "it counts on";
}

TEST(GpuUse, WithoutTheLibraryItSaysSo) {
  auto source = GpuUseSource::Open("/nowhere/libnvidia-ml.so.1");
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, Code::kNotFound);
}

TEST(GpuUse, ALineComesBackAsItWas) {
  GpuUse whole{"GPU-1", 97, 123456789, 42};
  EXPECT_EQ(LineOf(whole), "GPU-1 97 123456789 42");
  EXPECT_EQ(*GpuUseIn(LineOf(whole)), whole);
  GpuUse nothing{.id = "MIG-5"};
  EXPECT_EQ(*GpuUseIn(LineOf(nothing)), nothing);
  for (const char* bad :
       {"", "GPU-1", "GPU-1 1 2", "GPU-1 101 2 3", "GPU-1 x 2 3", "GPU-1 1 2 3 4", " 1 2 3"})
    EXPECT_FALSE(GpuUseIn(bad)) << bad;
}

}  // namespace
}  // namespace slipway
