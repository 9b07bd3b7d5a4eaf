// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/mpi_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/os/fd.h"

namespace slipway {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

StepSpec TwoRanks() {
  StepSpec spec;
  spec.nodes = {"n1"};
  spec.ranks = {{0, 1}};
  return spec;
}

TEST(MpiSettings, NeverOverrideTheUser) {
  StepSpec spec = TwoRanks();
  spec.env = {"OMPI_MCA_mtl=psm2", "HWLOC_PLUGINS_BLACKLIST="};
  auto settings = MpiSettingsOf(spec, 0, 1);
  EXPECT_THAT(settings.env, Contains("OMPI_MCA_schizo=^orte"));
  EXPECT_THAT(settings.env, Contains("OMPI_MCA_mpi_yield_when_idle=1"));
  EXPECT_THAT(settings.env, Not(Contains(HasSubstr("OMPI_MCA_mtl"))));
  EXPECT_THAT(settings.reasons, Contains(HasSubstr("OMPI_MCA_mtl: left as you set it")));
}

TEST(MpiSettings, ExcludeOnlyTransportsForWhichNoNodeHasADevice) {
  EXPECT_THAT(MpiSettingsOf(TwoRanks(), 0, 8).env, Contains("OMPI_MCA_mtl=^psm,psm2,ofi"));
  EXPECT_THAT(MpiSettingsOf(TwoRanks(), 0, 8).env, Contains("OMPI_MCA_btl=^openib,uct,ofi,usnic"));
  auto omni_path = MpiSettingsOf(TwoRanks(), kOmniPath, 8).env;
  EXPECT_THAT(omni_path, Contains("OMPI_MCA_mtl=^psm"));
  EXPECT_THAT(omni_path, Not(Contains(HasSubstr("OMPI_MCA_btl"))));
  EXPECT_THAT(MpiSettingsOf(TwoRanks(), kInfiniBand, 8).env, Contains("OMPI_MCA_mtl=^psm,psm2"));
}

TEST(MpiSettings, YieldOnlyWhereRanksAreMoreThanProcessors) {
  EXPECT_THAT(MpiSettingsOf(TwoRanks(), 0, 2).env, Not(Contains(HasSubstr("yield"))));
  EXPECT_THAT(MpiSettingsOf(TwoRanks(), 0, 1).env, Contains("OMPI_MCA_mpi_yield_when_idle=1"));
}

TEST(MpiSettings, KeepTopologyPluginsWhoseDevicesAreThere) {
  StepSpec spec = TwoRanks();
  EXPECT_THAT(MpiSettingsOf(spec, 0, 8).env,
              Contains("HWLOC_PLUGINS_BLACKLIST=hwloc_xml_libxml.so,hwloc_gl.so,hwloc_opencl.so"));
  spec.env = {"DISPLAY=:0"};
  EXPECT_THAT(MpiSettingsOf(spec, kGpu, 8).env, Contains("HWLOC_PLUGINS_BLACKLIST=hwloc_xml_libxml.so"));
}

TEST(MpiSettings, LetRanksOutliveOthersWhereAskedTo) {
  StepSpec spec = TwoRanks();
  for (const std::string& entry : MpiSettingsOf(spec, 0, 8).env)
    EXPECT_THAT(entry, ::testing::Not(::testing::StartsWith("OMPI_MCA_mpi_ft")));
  spec.env = {"SLIPWAY_MPI_FAULT_TOLERANT=1"};
  EXPECT_THAT(MpiSettingsOf(spec, 0, 8).env, Contains("OMPI_MCA_mpi_ft_enable=1"));
  EXPECT_THAT(MpiSettingsOf(spec, 0, 8).env, Contains("OMPI_MCA_coll=^han,hcoll,portals4"));
  spec.env.push_back("OMPI_MCA_coll=basic,libnbc,self");
  EXPECT_THAT(MpiSettingsOf(spec, 0, 8).env, ::testing::Not(Contains("OMPI_MCA_coll=^han,hcoll,portals4")));
}

TEST(MpiSettings, SetNoLimitToLaterFencesUnlessTheUserDid) {
  StepSpec spec = TwoRanks();
  EXPECT_EQ(MpiFenceLimit_s(spec), 0u);
  spec.env = {"SLIPWAY_MPI_TIMEOUT=7"};
  EXPECT_EQ(MpiFenceLimit_s(spec), 7u);
}

TEST(MpiSettings, ReadTheirOwnOptions) {
  StepSpec spec = TwoRanks();
  EXPECT_FALSE(WantsMpiReport(spec));
  EXPECT_EQ(MpiTimeout_s(spec), 300u);
  spec.env = {"SLIPWAY_MPI_REPORT=1", "SLIPWAY_MPI_TIMEOUT=7"};
  EXPECT_TRUE(WantsMpiReport(spec));
  EXPECT_EQ(MpiTimeout_s(spec), 7u);
  spec.env = {"SLIPWAY_MPI_TIMEOUT=soon"};
  EXPECT_EQ(MpiTimeout_s(spec), 300u);
}

TEST(Devices, AreKnownByTheirNames) {
  std::string dev = *MakeTempDirectory("/tmp", "stepd-dev-");
  EXPECT_EQ(DevicesIn(dev), 0u);
  for (const char* name : {"hfi1_0", "infiniband", "nvidia0", "null"})
    ASSERT_TRUE(WriteFileAtomically(dev + "/" + name, ""));
  EXPECT_EQ(DevicesIn(dev), static_cast<std::uint32_t>(kOmniPath | kInfiniBand | kGpu));
  EXPECT_EQ(DevicesIn("/nonexistent"), 0u);
  ASSERT_TRUE(RemoveTree(dev));
}

}  // namespace
}  // namespace slipway
