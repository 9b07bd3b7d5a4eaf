// SPDX-License-Identifier: Apache-2.0
// A site's settings as an administrator writes them, and his mistakes with their places.
#include "scheduler/server/site_of.h"

#include <gtest/gtest.h>

#include "api/settings.h"

namespace slipway::scheduler {
namespace {

Result<Site> Read(std::string_view toml) {
  return SiteOf(TRY(Config::Parse(DaemonSettings(), toml, "site.toml")));
}

TEST(SiteOf, WithoutAnySettingThereIsOnePartitionOfAllNodes) {
  Site site = *Read("");
  ASSERT_EQ(site.partitions.size(), 1U);
  EXPECT_TRUE(site.partitions[0].Has("any"));
  EXPECT_EQ(site.plan.policy, "multifactor");
  EXPECT_EQ(site.plan.grace_s, 60U);
  EXPECT_EQ(site.default_time_limit_s, 3600U);
  EXPECT_EQ(site.usage.cpu_milli, 1000U);
}

TEST(SiteOf, EverythingThatASiteSaysArrives) {
  Result<Site> read = Read(R"(
[scheduler]
policy = "easy"
reservations = 20
reservations_per_user = 3
reservations_per_partition = 8
grace = "30s"
whole_queue_jobs = 5000
whole_queue_every = "1m"
[priority]
age = 1000
tres = ["cpu=10", "gpu=500"]
[accounting]
enforce = true
half_life = "14d"
billing = ["cpu=1", "mem=0.25", "gpu=10"]
[[partition]]
name = "short"
nodes = ["n[1-2]", "x1"]
default = true
max_time = "1h"
default_time = "10m"
allow_groups = ["root"]
tier = 3
[[partition]]
name = "all"
state = "drain"
exclusive = true
[[node]]
nodes = ["n[1-2]"]
features = ["ib", "rack1"]
weight = 7
[[node]]
nodes = ["n2"]
features = ["big"]
gpus = ["a100:2", "h100:1"]
gpu_devices = "nvidia.com/gpu"
gres = ["nic:2"]
[[licence]]
name = "matlab"
count = 5
[[qos]]
name = "normal"
[[qos]]
name = "high"
priority = 10
usage_factor = "2.5"
preempts = ["normal"]
preempt_mode = "requeue"
grp_tres = ["cpu=512", "mem=4T"]
max_jobs_per_user = 0
max_wall = "2d"
)");
  ASSERT_TRUE(read.has_value()) << read.error().message;
  const Site& site = *read;
  EXPECT_EQ(site.plan.reservations, 20U);
  EXPECT_EQ(site.plan.reservations_per_user, 3U);
  EXPECT_EQ(site.plan.reservations_per_partition, 8U);
  EXPECT_EQ(site.plan.whole_queue_jobs, 5000U);
  EXPECT_EQ(site.plan.whole_queue_every_s, 60U);
  EXPECT_EQ(site.weights.tres.at("gpu"), 500U);
  EXPECT_EQ(site.usage.mem_milli, 250U);
  EXPECT_TRUE(site.usage.enforce);
  const Partition& first = *site.FindPartition("short");
  EXPECT_TRUE(first.Has("n2") && first.Has("x1") && !first.Has("n3"));
  EXPECT_EQ(first.default_time_s, 600U);
  EXPECT_EQ(first.allow_groups, std::set<std::uint32_t>{0});
  EXPECT_EQ(first.tier, 3U);
  EXPECT_EQ(site.FindPartition("all")->state, PartitionState::kDrain);
  const NodeTraits& n2 = site.TraitsOf("n2");
  EXPECT_EQ(n2.features, (std::set<std::string>{"ib", "rack1", "big"}));
  EXPECT_EQ(n2.weight, 7U);
  EXPECT_EQ(n2.gpu_count(), 3U);
  EXPECT_EQ(site.GresKinds(), (std::vector<std::string>{"gpu:a100", "gpu:h100", "nic"}));
  const Qos& high = *site.FindQos("high");
  EXPECT_EQ(high.usage_milli, 2500U);
  EXPECT_EQ(high.preempts, std::set<std::string>{"normal"});
  EXPECT_EQ(high.preempt, PreemptMode::kRequeue);
  EXPECT_EQ(high.limits.grp.cores, 512);
  EXPECT_EQ(high.limits.grp.memory_bytes, std::int64_t{4} << 40);
  EXPECT_EQ(high.limits.grp_jobs, -1) << "not there";
  EXPECT_EQ(high.limits.max_jobs_per_user, 0) << "there, and none";
  EXPECT_EQ(high.limits.max_wall_s, 172800);
}

TEST(SiteOf, MistakesAreToldWithTheirPlace) {
  for (auto [toml, words] : {
           std::pair{
               "[[partition]]\nname = 'a'\nmax_tim = '1h'\n",
               "site.toml:3:1: unknown key \"partition[].max_tim\"; did you mean \"partition[].max_time\"?"},
           {"[partition]\nname = 'a'\n", "there may be several of them: write [[partition]]"},
           {"[[partition]]\nname = 'a b'\n", "site.toml:2:1: a name of"},
           {"[[partition]]\nname = 'a'\n[[partition]]\nname = 'a'\n",
            "site.toml:3:1: partition a is there twice"},
           {"[[partition]]\nname = 'a'\nstate = 'open'\n", "site.toml:3:1: \"open\" is none of up"},
           {"[[partition]]\nname = 'a'\nnodes = ['n[1-']\n", "site.toml:3:1: "},
           {"[[partition]]\nname = 'a'\nallow_groups = ['no such group']\n",
            "site.toml:3:1: there is no group"},
           {"[[partition]]\nname = 'a'\nallow_qos = ['x']\n", "there is no QOS x"},
           {"[[partition]]\nname = 'a'\nmax_time = '90'\n", "has no unit"},
           {"[[node]]\nfeatures = ['a']\n", "site.toml:1:1: [[node]] has to say which"},
           {"[[node]]\nnodes = ['n1']\ngpus = ['a100:x']\n", "site.toml:3:1: \"a100:x\""},
           {"[[node]]\nnodes = ['n1']\ngres = ['gpu:1']\n", "GPUs are given with gpus"},
           {"[[qos]]\nname = 'q'\ngrp_tres = ['cpus=4']\n",
            "site.toml:3:1: \"cpus\" is none of cpu, mem, node, gpu"},
           {"[[qos]]\nname = 'q'\nusage_factor = 'much'\n", "site.toml:3:1: \"much\""},
           {"[[qos]]\nname = 'q'\npreempts = ['r']\n", "preempts r, which there is not"},
           {"[[qos]]\nname = 'q'\npreempt_mode = 'sleep'\n", "site.toml:3:1: \"sleep\" is none of off"},
           {"[priority]\ntres = ['cpu']\n", "site.toml:2:1: priority.tres"},
           {"[scheduler]\npolicy = 'magic'\n", "there is no policy \"magic\""},
           {"[accounting]\nbilling = ['cpu=-1']\n", "site.toml:2:1: accounting.billing"},
       }) {
    Result<Site> site = Read(toml);
    ASSERT_FALSE(site.has_value()) << toml;
    EXPECT_NE(site.error().message.find(words), std::string::npos) << toml << "\n" << site.error().message;
  }
}

}  // namespace
}  // namespace slipway::scheduler
