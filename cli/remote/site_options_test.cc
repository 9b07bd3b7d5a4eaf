// SPDX-License-Identifier: Apache-2.0
// What Slurm's words for GPUs and licences become.
#include "cli/remote/site_options.h"

#include <gtest/gtest.h>

#include "cli/remote/job_options.h"

namespace slipway::cli {
namespace {

Result<v1::Resources> Of(const std::vector<std::string>& words) {
  return ResourcesOf(*ParseOptions({.name = "slipway x", .options = ResourceOptions()}, words));
}

TEST(SiteOptions, GpusAreDealtOutOverNodesThenTasksThenOneNode) {
  EXPECT_EQ(Of({"--gpus=a100:4"})->gpus_per_node(), 4U);
  EXPECT_EQ(Of({"--gpus=a100:4"})->gpu_type(), "a100");
  EXPECT_EQ(Of({"-N2", "-G", "4"})->gpus_per_node(), 2U);
  EXPECT_EQ(Of({"-n4", "-G", "4"})->gpus_per_task(), 1U);
  EXPECT_EQ(Of({"-N2", "-n4", "-G", "4"})->gpus_per_node(), 2U);
  EXPECT_FALSE(Of({"-N2", "-G", "3"}).has_value());
  EXPECT_FALSE(Of({"-N2-4", "-G", "4"}).has_value()) << "over how many?";
  EXPECT_EQ(Of({"--gpus-per-task=2"})->gpus_per_task(), 2U);
  EXPECT_EQ(Of({"--gpus-per-node=h100:2"})->gpu_type(), "h100");
  EXPECT_FALSE(Of({"--gpus=1", "--gpus-per-node=1"}).has_value());
  EXPECT_FALSE(Of({"--gpus=0"}).has_value());
}

TEST(SiteOptions, GresLicencesAndTheRest) {
  v1::Resources asked =
      *Of({"--gres=gpu:a100:2,nic:1,fpga", "-L", "matlab:2,ansys", "-p", "main", "-C", "a&b"});
  EXPECT_EQ(asked.gpus_per_node(), 2U);
  EXPECT_EQ(asked.gpu_type(), "a100");
  ASSERT_EQ(asked.gres_size(), 2);
  EXPECT_EQ(asked.gres(1).name(), "fpga");
  EXPECT_EQ(asked.gres(1).count(), 1U);
  EXPECT_EQ(asked.licences(0).count(), 2U);
  EXPECT_EQ(asked.licences(1).name(), "ansys");
  EXPECT_EQ(asked.partition(), "main");
  EXPECT_EQ(asked.constraint(), "a&b");
  EXPECT_EQ(Of({"--gres=gpu"})->gpus_per_node(), 1U);
  EXPECT_FALSE(Of({"--gres=gpu:1,gpu:2"}).has_value());
  EXPECT_FALSE(Of({"--gres=:3"}).has_value());
  EXPECT_FALSE(Of({"-L", "matlab:x"}).has_value());
  EXPECT_EQ(Of({"-p", "a,b"})->partition(), "a,b");
  EXPECT_FALSE(Of({"--gres=gpu:1", "--gpus=1"}).has_value());
}

TEST(SiteOptions, AccountAndQosAreTheJobs) {
  v1::JobSpec spec;
  Parsed options =
      *ParseOptions({.name = "slipway x", .options = ResourceOptions()}, {"-A", "physics", "--qos=high"});
  ASSERT_TRUE(ReadSiteJob(options, spec));
  EXPECT_EQ(spec.account(), "physics");
  EXPECT_EQ(spec.qos(), "high");
}

TEST(SiteOptions, ALeaseIsATimeAsALimitIs) {
  v1::JobSpec spec;
  const Command command{.name = "slipway x", .options = ResourceOptions()};
  ASSERT_TRUE(ReadSiteJob(*ParseOptions(command, {"--lease=10"}), spec));
  EXPECT_EQ(spec.lease_s(), 600U) << "minutes, as in --time";
  ASSERT_TRUE(ReadSiteJob(*ParseOptions(command, {"--lease=0:45"}), spec));
  EXPECT_EQ(spec.lease_s(), 45U);
  EXPECT_FALSE(ReadSiteJob(*ParseOptions(command, {"--lease=0"}), spec));
}

}  // namespace
}  // namespace slipway::cli
