// SPDX-License-Identifier: Apache-2.0
// On machines that hwloc makes up.
#include "agent/binding/bind_plan.h"

#include <gmock/gmock.h>

namespace slipway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Cpus = std::vector<std::uint32_t>;

// 32 cores: core c has the processors 2c and 2c+1; 16 cores a socket, 8 a NUMA domain.
constexpr const char* kBig = "package:2 numa:2 core:8 pu:2";
// 4 cores without threads on two sockets.
constexpr const char* kSmall = "package:2 core:2 pu:1";

Cpus Range(std::uint32_t first, std::uint32_t last) {
  Cpus cpus;
  for (; first <= last; ++first) cpus.push_back(first);
  return cpus;
}

struct Asked {
  const char *bind = "", *distribution = "", *hint = "";
  std::uint32_t each = 1;
  Cpus allowed{};
};
Result<BindPlan> Plan(const char* machine, std::size_t ranks, const Asked& asked) {
  Topology topology = TRY(FindTopology(machine));
  BindRequest request{TRY(ParseCpuBind(asked.bind)), TRY(ParseDistribution(asked.distribution)),
                      TRY(ParseHint(asked.hint))};
  return PlanBinding(topology, asked.allowed, ranks, asked.each, request);
}
std::vector<Cpus> CpusOf(const char* machine, std::size_t ranks, const Asked& asked) {
  auto plan = Plan(machine, ranks, asked);
  EXPECT_TRUE(plan) << plan.error().message;
  return plan ? plan->cpus : std::vector<Cpus>();
}

TEST(Topology, HasThreadsInTheOrderOfNearness) {
  Topology big = FindTopology(kBig).value();
  EXPECT_EQ((std::tuple{big.cores, big.sockets, big.numa_nodes}), (std::tuple{32u, 2u, 4u}));
  ASSERT_EQ(big.processors.size(), 64u);
  EXPECT_EQ(big.processors[35], (Processor{.cpu = 35, .core = 17, .socket = 1, .numa = 2}));
  EXPECT_FALSE(FindTopology("no machine"));
  EXPECT_FALSE(FindTopology().value().processors.empty()) << "this one";
}

TEST(BindPlan, RanksThatFillTheStepsCoresAreBoundToThemUnasked) {
  EXPECT_THAT(CpusOf(kBig, 2, {.each = 16}), ElementsAre(Range(0, 31), Range(32, 63)));
  EXPECT_THAT(CpusOf(kBig, 2, {.allowed = {4, 5, 6, 7}}), ElementsAre(Cpus{4, 5}, Cpus{6, 7}));
  EXPECT_THAT(CpusOf(kBig, 3, {.allowed = {4, 5, 6, 7}}), IsEmpty()) << "they do not divide up";
  EXPECT_THAT(CpusOf(kBig, 1, {.allowed = {4, 5}}), IsEmpty()) << "alone: it has all there is";
  EXPECT_THAT(CpusOf(kBig, 32, {.bind = "none"}), IsEmpty());
}

TEST(BindPlan, CoresSocketsDomainsAndThreadsAreWhatARankIsWidenedTo) {
  EXPECT_THAT(CpusOf(kBig, 2, {.bind = "cores"}), ElementsAre(Cpus{0, 1}, Cpus{2, 3}));
  EXPECT_THAT(CpusOf(kBig, 2, {.bind = "threads"}), ElementsAre(Cpus{0}, Cpus{1}));
  EXPECT_THAT(CpusOf(kBig, 1, {.bind = "sockets"}), ElementsAre(Range(0, 31)));
  EXPECT_THAT(CpusOf(kBig, 2, {.bind = "ldoms", .each = 8}), ElementsAre(Range(0, 15), Range(16, 31)));
  EXPECT_THAT(CpusOf(kBig, 1, {.bind = "sockets", .allowed = {30, 31, 32, 33}}), ElementsAre(Cpus{30, 31}))
      << "only what is the step's";
}

TEST(BindPlan, CyclicDealsRanksToSocketsInTurn) {
  EXPECT_THAT(CpusOf(kSmall, 4, {.bind = "cores", .distribution = "block:cyclic"}),
              ElementsAre(Cpus{0}, Cpus{2}, Cpus{1}, Cpus{3}));
  EXPECT_THAT(CpusOf(kSmall, 2, {.bind = "cores", .distribution = "block:cyclic", .each = 2}),
              ElementsAre(Cpus{0, 1}, Cpus{2, 3}));
  EXPECT_THAT(CpusOf(kSmall, 2, {.bind = "cores", .distribution = "block:fcyclic", .each = 2}),
              ElementsAre(Cpus{0, 2}, Cpus{1, 3}));
  EXPECT_THAT(CpusOf(kSmall, 4, {.bind = "cores", .distribution = "cyclic"}),
              ElementsAre(Cpus{0}, Cpus{1}, Cpus{2}, Cpus{3}))
      << "that is about nodes";
}

TEST(BindPlan, ARankThatNoSocketHoldsAloneGetsTheRestOfSeveral) {
  EXPECT_THAT(CpusOf(kSmall, 1, {.bind = "cores", .distribution = "block:cyclic", .each = 3}),
              ElementsAre(Cpus{0, 1, 2}));
}

TEST(BindPlan, ThreadsAreTakenCoreByCoreOrFirstThreadsFirst) {
  constexpr const char* kTwoCores = "package:1 core:2 pu:2";
  EXPECT_THAT(CpusOf(kTwoCores, 3, {.bind = "threads"}), ElementsAre(Cpus{0}, Cpus{1}, Cpus{2}));
  EXPECT_THAT(CpusOf(kTwoCores, 3, {.bind = "threads", .distribution = "block:block:cyclic"}),
              ElementsAre(Cpus{0}, Cpus{2}, Cpus{1}));
}

TEST(BindPlan, HintsLeaveOutThreadsOrCores) {
  EXPECT_THAT(CpusOf(kBig, 2, {.hint = "nomultithread"}), ElementsAre(Cpus{0}, Cpus{2}));
  EXPECT_THAT(CpusOf(kBig, 2, {.hint = "compute_bound"}), ElementsAre(Cpus{0}, Cpus{2}));
  EXPECT_THAT(CpusOf(kBig, 2, {.hint = "memory_bound"}), ElementsAre(Cpus{0}, Cpus{32}));
  EXPECT_THAT(CpusOf(kBig, 2, {.hint = "multithread"}), ElementsAre(Cpus{0, 1}, Cpus{2, 3}));
  EXPECT_THAT(CpusOf(kBig, 1, {.bind = "sockets", .hint = "nomultithread"})[0].size(), 16u);
}

TEST(BindPlan, MoreRanksThanCoresShareThemInTurn) {
  EXPECT_THAT(CpusOf(kSmall, 6, {.bind = "cores"}),
              ElementsAre(Cpus{0}, Cpus{1}, Cpus{2}, Cpus{3}, Cpus{0}, Cpus{1}));
  EXPECT_THAT(CpusOf(kSmall, 1, {.bind = "cores", .each = 99}), ElementsAre(Range(0, 3)));
}

TEST(BindPlan, ListsAreOfTheStepsProcessorsAndUsedAgain) {
  EXPECT_THAT(CpusOf(kSmall, 3, {.bind = "map_cpu:3,0"}), ElementsAre(Cpus{3}, Cpus{0}, Cpus{3}));
  EXPECT_THAT(CpusOf(kSmall, 2, {.bind = "mask_cpu:0x3,c"}), ElementsAre(Cpus{0, 1}, Cpus{2, 3}));
  auto refused = Plan(kSmall, 2, {.bind = "map_cpu:0,7", .allowed = {0, 1}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("processor 7 is not one of the step's here (0-1)"));
}

TEST(BindPlan, IsSaidInOneLineThatStaysShort) {
  EXPECT_EQ(DescribeBinding(*Plan(kSmall, 2, {.bind = "cores", .each = 2})), "cores 0:0-1 1:2-3");
  EXPECT_EQ(DescribeBinding({.what = "none"}), "none");
  EXPECT_LT(DescribeBinding(*Plan(kBig, 1000, {.bind = "cores"})).size(), 1000u);
}

}  // namespace
}  // namespace slipway
