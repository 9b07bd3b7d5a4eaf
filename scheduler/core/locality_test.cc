// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/locality.h"

#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

CoreSet Range(std::uint32_t from, std::uint32_t to) {
  CoreSet set = CoreSet::FirstN(to);
  set.Remove(CoreSet::FirstN(from));
  return set;
}

// Cores 0-3 and GPUs 0 and 3 on domain 0, cores 4-7 and GPUs 1 and 2 on domain 1.
const std::vector<std::string> kIds = {"a", "b", "c", "d"};
NodeLocality Two() {
  return {{{0, Range(0, 4)}, {1, Range(4, 8)}}, {{"a", 0}, {"b", 1}, {"c", 1}, {"d", 0}}};
}

std::string Chosen(const CoreSet& cores, std::uint32_t cores_wanted, const CoreSet& gpus,
                   std::uint32_t gpus_wanted, const NodeLocality& locality = Two()) {
  CoresAndGpus chosen = ChooseCoresAndGpus(locality, kIds, cores, cores_wanted, gpus, gpus_wanted);
  std::string text;
  for (std::uint32_t core : chosen.cores.Numbers()) text += Cat(core, ' ');
  text += "|";
  for (std::uint32_t gpu : chosen.gpus.Numbers()) text += Cat(' ', gpu);
  return text;
}

TEST(Locality, GpusAndTheCoresBesideThemAreOfOneDomainWhereOneHasThem) {
  EXPECT_EQ(Chosen(Range(0, 8), 2, Range(0, 4), 2), "0 1 | 0 3");
  EXPECT_EQ(Chosen(Range(0, 8), 2, Range(1, 4), 2), "4 5 | 1 2") << "GPU 0 is another's";
  EXPECT_EQ(Chosen(Range(2, 8), 3, Range(0, 4), 1), "4 5 6 | 1") << "cores 0 and 1 are another's";
}

TEST(Locality, CoresWithoutGpusAreTakenWhereNoGpuIsFreeAndLeastIsLeft) {
  EXPECT_EQ(Chosen(Range(0, 8), 2, Range(1, 3), 0), "0 1 |") << "the free GPUs are on domain 1";
  EXPECT_EQ(Chosen(Range(2, 8), 2, CoreSet(), 0), "2 3 |") << "what fills a domain";
  EXPECT_EQ(Chosen(Range(2, 8), 3, CoreSet(), 0), "4 5 6 |");
}

TEST(Locality, MoreThanADomainHasIsOfAsFewAsCanBe) {
  EXPECT_EQ(Chosen(Range(0, 8), 6, Range(0, 4), 3), "0 1 2 3 4 5 | 0 1 3");
  EXPECT_EQ(Chosen(Range(3, 8), 5, CoreSet(), 0), "3 4 5 6 7 |");
}

TEST(Locality, WhereNothingIsKnownTheLowestNumbersAreGiven) {
  EXPECT_EQ(Chosen(Range(1, 8), 2, Range(1, 4), 2, {}), "1 2 | 1 2");
  EXPECT_EQ(Chosen(Range(0, 8), 2, Range(0, 4), 1, {{{0, Range(0, 4)}, {1, Range(4, 8)}}, {}}), "0 1 | 0")
      << "of GPUs without a domain";
}

// Whatever is free: as many as were asked for, of what was free, nothing more.
TEST(Locality, EveryRequestThatFitsIsGivenExactlyWhatItAsksFor) {
  std::uint64_t seed = 1;
  auto below = [&seed](std::uint32_t most) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    return static_cast<std::uint32_t>(seed >> 33) % most;
  };
  for (int round = 0; round < 5000; ++round) {
    CoreSet cores, gpus;
    for (std::uint32_t i = 0; i < 8; ++i) {
      if (below(2) == 0) cores.Insert(Range(i, i + 1));
      if (i < 4 && below(2) == 0) gpus.Insert(Range(i, i + 1));
    }
    NodeLocality locality = Two();
    if (below(3) == 0) locality.gpus.erase("c");
    if (below(3) == 0) locality.cores.erase(1);
    const std::uint32_t wanted = below(cores.count() + 1), gpus_wanted = below(gpus.count() + 1);
    CoresAndGpus chosen = ChooseCoresAndGpus(locality, kIds, cores, wanted, gpus, gpus_wanted);
    ASSERT_EQ(chosen.cores.count(), wanted);
    ASSERT_EQ(chosen.gpus.count(), gpus_wanted);
    chosen.cores.Remove(cores);
    chosen.gpus.Remove(gpus);
    ASSERT_TRUE(chosen.cores.empty() && chosen.gpus.empty()) << round;
  }
}

TEST(Locality, AJobIsGivenWhatHangsTogetherOnItsNode) {
  auto localities = std::make_shared<Localities>();
  (*localities)["n1"] = {{{0, Range(0, 4)}, {1, Range(4, 8)}}, {}};
  TestCluster c(1, 8, 8 << 20, {}, 256, localities);
  JobId first = c.Submit(SmallJob(3)), second = c.Submit(SmallJob(2)), third = c.Submit(SmallJob(1));
  EXPECT_EQ(c.Of(first).nodes[0].cores, Range(0, 3));
  EXPECT_EQ(c.Of(second).nodes[0].cores, Range(4, 6)) << "core 3 alone is not enough";
  EXPECT_EQ(c.Of(third).nodes[0].cores, Range(3, 4)) << "it fills a domain";
}

}  // namespace
}  // namespace slipway::scheduler
