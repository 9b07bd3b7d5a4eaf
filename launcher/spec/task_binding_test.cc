// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/task_binding.h"

#include <gmock/gmock.h>

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Cpus = std::vector<std::uint32_t>;
using Ranks = std::vector<std::uint32_t>;

TEST(CpuBind, ReadsWhatSrunReads) {
  EXPECT_EQ(ParseCpuBind("")->kind, CpuBind::kAuto);
  EXPECT_EQ(ParseCpuBind("none")->kind, CpuBind::kNone);
  CpuBind told = ParseCpuBind("verbose,cores").value();
  EXPECT_TRUE(told.verbose);
  EXPECT_EQ(told.kind, CpuBind::kCores);
  EXPECT_EQ(ParseCpuBind("q,ldoms")->kind, CpuBind::kLdoms);
  EXPECT_THAT(ParseCpuBind("v,map_cpu:0,4*2,0x8").value().cpus,
              ElementsAre(Cpus{0}, Cpus{4}, Cpus{4}, Cpus{8}));
  EXPECT_THAT(ParseCpuBind("mask_cpu:0x3,f0,10000000000000000").value().cpus,
              ElementsAre(Cpus{0, 1}, Cpus{4, 5, 6, 7}, Cpus{64}));
}

TEST(CpuBind, NamesWhatMeansNothing) {
  for (const char* text : {"core", "map_cpu:", "map_cpu:1,", "map_cpu:1*0", "map_cpu:9000", "map_cpu:1*70000",
                           "mask_cpu:0", "mask_cpu:0x", "mask_cpu:xyz", "cores,nonsense"})
    EXPECT_FALSE(ParseCpuBind(text)) << text;
  EXPECT_THAT(ParseCpuBind("core").error().message, HasSubstr("'core'"));
  EXPECT_FALSE(ParseCpuBind("mask_cpu:" + std::string(5000, 'f')));
}

TEST(Distribution, ReadsUpToThreeLevels) {
  EXPECT_EQ(ParseDistribution("").value(), Distribution());
  EXPECT_EQ(ParseDistribution("*").value(), Distribution());
  Distribution how = ParseDistribution("plane=4:fcyclic").value();
  EXPECT_EQ(how.nodes, Distribution::kPlane);
  EXPECT_EQ(how.plane, 4u);
  EXPECT_EQ(how.sockets, Distribution::kFcyclic);
  EXPECT_EQ(how.cores, Distribution::kFcyclic) << "as the level before it";
  EXPECT_EQ(ParseDistribution("*:cyclic:block")->cores, Distribution::kBlock);
  for (const char* text :
       {"fcyclic", "plane=0", "plane=", "plane=x", "arbitrary", "block:plane=2", "block:block:block:block"})
    EXPECT_FALSE(ParseDistribution(text)) << text;
}

TEST(Distribution, DealsRanksToNodes) {
  auto dealt = [](const char* how, const Ranks& tasks) {
    return DealRanks(tasks, ParseDistribution(how).value());
  };
  EXPECT_THAT(dealt("block", {2, 3}), ElementsAre(Ranks{0, 1}, Ranks{2, 3, 4}));
  EXPECT_THAT(dealt("cyclic", {2, 3}), ElementsAre(Ranks{0, 2}, Ranks{1, 3, 4}));
  EXPECT_THAT(dealt("plane=2", {4, 4}), ElementsAre(Ranks{0, 1, 4, 5}, Ranks{2, 3, 6, 7}));
  EXPECT_THAT(dealt("plane=3", {4, 1}), ElementsAre(Ranks{0, 1, 2, 4}, Ranks{3}));
  EXPECT_THAT(dealt("cyclic", {}), ElementsAre());
}

TEST(BindRequest, ComesFromTheEnvironmentAndNamesTheVariable) {
  BindRequest request = BindRequestOf({"A=b", "SLIPWAY_CPU_BIND=sockets",
                                       "SLIPWAY_DISTRIBUTION=cyclic:cyclic", "SLIPWAY_HINT=nomultithread"})
                            .value();
  EXPECT_EQ(request.bind.kind, CpuBind::kSockets);
  EXPECT_EQ(request.distribution.nodes, Distribution::kCyclic);
  EXPECT_EQ(request.hint, BindHint::kNoMultithread);
  EXPECT_THAT(BindRequestOf({"SLIPWAY_HINT=fast"}).error().message, HasSubstr("SLIPWAY_HINT"));
  EXPECT_FALSE(BindRequestOf({"SLIPWAY_CPU_BIND=map_cpu:1", "SLIPWAY_HINT=nomultithread"}));
  EXPECT_EQ(DistributionOf({"SLIPWAY_DISTRIBUTION=nonsense"}), Distribution());
  EXPECT_TRUE(CheckMemBind("local"));
  EXPECT_FALSE(CheckMemBind("map_mem:0"));
}

}  // namespace
}  // namespace slipway
