// SPDX-License-Identifier: Apache-2.0
// --nodelist and --exclude: where such jobs go, what is refused, and what `why` says of those that wait.
#include "scheduler/core/node_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

using testing::Contains;
using testing::HasSubstr;

JobSpec On(JobSpec spec, const std::string& nodes, const std::string& excluded = "") {
  spec.resources.choice.Set({nodes, excluded});
  spec.time_limit_s = 100;
  return spec;
}
JobSpec Nodes(std::uint32_t nodes) {
  JobSpec spec = SmallJob(0);
  spec.resources.nodes_min = nodes;
  return spec;
}
std::string Refusal(TestCluster& c, JobSpec spec) {
  Result<JobId> job = c.TrySubmit(std::move(spec));
  return job ? "" : job.error().message;
}

TEST(NodeChoice, AJobGetsTheNodesThatItNamesAndOthersWhereItAsksForMore) {
  TestCluster c(5);
  EXPECT_EQ(c.NodesOf(c.Submit(On(SmallJob(), "n4"))), "n4:1");
  EXPECT_EQ(c.NodesOf(c.Submit(On(Nodes(0), "n[2,3]"))), "n2:1 n3:1") << "as many as are named";
  EXPECT_EQ(c.NodesOf(c.Submit(On(Nodes(3), "n5"))), "n1:1 n2:1 n5:1");
}

TEST(NodeChoice, TasksThatDoNotFitOnTheNamedNodesGoOnOthers) {
  TestCluster c(4);
  EXPECT_EQ(c.NodesOf(c.Submit(On(SmallJob(6), "n3"))), "n1:2 n3:4");
  TestCluster d(4);
  EXPECT_EQ(d.NodesOf(d.Submit(On(SmallJob(4), "n3"))), "n3:4") << "one node is enough";
  TestCluster e(4);
  EXPECT_EQ(e.NodesOf(e.Submit(On(WideJob(3, 7), "n[3-4]"))), "n1:2 n3:3 n4:2") << "unequal shares";
}

TEST(NodeChoice, ExcludedNodesAreLeftOut) {
  TestCluster c(3);
  EXPECT_EQ(c.NodesOf(c.Submit(On(SmallJob(), "", "n[1-2]"))), "n3:1");
  EXPECT_EQ(c.NodesOf(c.Submit(On(Nodes(2), "n3", "n1"))), "n2:1 n3:1");
  EXPECT_THAT(Refusal(c, On(Nodes(2), "", "n[1-2]")), HasSubstr("2 nodes are asked for"));
}

TEST(NodeChoice, WhatContradictsItselfOrCanNeverBeIsRefusedByName) {
  Site site;
  site.partitions = {{.name = "some", .nodes = {"n1", "n2"}, .is_default = true}};
  TestCluster c(3, 4, 8 << 20, site);
  EXPECT_THAT(Refusal(c, On(SmallJob(), "n[1,9]")), HasSubstr("there is no node n9"));
  EXPECT_THAT(Refusal(c, On(SmallJob(), "", "n77")), HasSubstr("there is no node n77"));
  EXPECT_THAT(Refusal(c, On(SmallJob(), "n1", "n[1-2]")),
              HasSubstr("n1 is both in --nodelist and in --exclude"));
  EXPECT_THAT(Refusal(c, On(Nodes(1), "n[1-2]")), HasSubstr("names 2 nodes, the job asks for 1 at most"));
  EXPECT_THAT(Refusal(c, On(SmallJob(1), "n[1-2]")), HasSubstr("cannot be on all 2 nodes"));
  EXPECT_THAT(Refusal(c, On(SmallJob(), "n3")),
              HasSubstr("n3, which --nodelist names, is not in partition some"));
  EXPECT_THAT(Refusal(c, On(SmallJob(), "n[1")), HasSubstr("--nodelist"));
  JobSpec wide = On(SmallJob(), "n1");
  wide.resources.cores_per_task = 5;
  EXPECT_THAT(Refusal(c, wide), HasSubstr("n1, which --nodelist names, has 4 cores, not 5"));
  EXPECT_EQ(Refusal(c, On(Nodes(0), "n2,n1,n2", "n3")), "") << "twice is once";
}

TEST(NodeChoice, AJobWaitsForItsNodesAndIsPlannedThereWhileOthersPass) {
  TestCluster c(2);
  JobSpec spec = On(SmallJob(4), "n2");
  JobId first = c.Submit(spec), second = c.Submit(spec);
  EXPECT_EQ(c.NodesOf(first), "n2:4");
  EXPECT_EQ(c.StateOf(second), "PENDING");
  std::optional<PlannedStart> planned = c.controller().PlannedStartOf(second);
  ASSERT_TRUE(planned.has_value());
  EXPECT_EQ(planned->nodes.front().node, "n2");
  Explanation why = c.controller().Explain(second);
  EXPECT_THAT(why.reasons, Contains("ReqNodeNotAvail: of --nodelist not enough is free on n2"));
  EXPECT_THAT(why.earlier, Contains(EarlierStart{"without --nodelist", c.now, true}));
  EXPECT_EQ(c.StateOf(c.Submit(On(SmallJob(4), "", "n2"))), "STARTING") << "elsewhere";
  c.Finish(first);
  EXPECT_EQ(c.NodesOf(second), "n2:4");
}

TEST(NodeChoice, ANamedNodeThatIsAwayIsTheReason) {
  TestCluster c(3);
  c.Do(ChangeNode{{1}, "n2", NodeChange::kDrain, "new memory"});
  JobId fixed = c.Submit(On(Nodes(2), "n2")), tasks = c.Submit(On(SmallJob(6), "n2"));
  for (JobId job : {fixed, tasks}) {
    EXPECT_EQ(c.StateOf(job), "PENDING");
    EXPECT_EQ(c.controller().ReasonText(job), "ReqNodeNotAvail: of --nodelist n2 is drained: new memory");
    EXPECT_THAT(c.controller().Explain(job).reasons,
                Contains("ReqNodeNotAvail: of --nodelist n2 is drained: new memory"));
  }
  c.Do(ChangeNode{{1}, "n2", NodeChange::kResume, ""});
  EXPECT_EQ(c.StateOf(fixed), "STARTING");
}

TEST(NodeChoice, APromiseOnNamedNodesOutlivesARestart) {
  TestCluster c(3);
  JobSpec whole = On(Nodes(3), "");
  whole.resources.exclusive = true;
  JobId runs = c.Submit(whole);
  JobId waits = c.Submit(On(SmallJob(6), "n3"));
  std::optional<PlannedStart> planned = c.controller().PlannedStartOf(waits);
  ASSERT_TRUE(planned.has_value());
  c.Restart();
  for (const char* node : {"n1", "n2", "n3"}) c.Register(node, "boot-1", {c.PrimaryOf(runs)});
  EXPECT_EQ(c.controller().PlannedStartOf(waits), planned);
  c.Finish(runs);
  EXPECT_EQ(c.StateOf(waits), "STARTING");
  EXPECT_THAT(c.NodesOf(waits), HasSubstr("n3:"));
}

TEST(NodeChoice, OfSeveralPartitionsTheOneThatHasThem) {
  Site site;
  site.partitions = {{.name = "a", .nodes = {"n1", "n2"}, .is_default = true},
                     {.name = "b", .nodes = {"n2", "n3"}}};
  TestCluster c(3, 4, 8 << 20, site);
  JobSpec spec = On(Nodes(2), "n3");
  spec.resources.partition = "a,b";
  EXPECT_EQ(c.NodesOf(c.Submit(spec)), "n2:1 n3:1");
}

TEST(NodeChoice, AStepInAnAllocationRunsOnTheNodesThatItNames) {
  TestCluster c(3);
  JobId job = c.Submit(WideJob(3, 6));
  auto parts = [&](Resources asked) -> std::string {
    Result<StepId> step = c.TryStep(job, std::move(asked));
    if (!step) return step.error().message;
    std::string text;
    for (const StepNode& part : c.Of(job).FindStep(step->step)->nodes)
      text += Cat(part.node, ':', part.first_rank, '+', part.tasks, ' ');
    return text;
  };
  Resources asked;
  asked.choice.Set({"n[2-3]", ""});
  EXPECT_EQ(parts(asked), "n2:0+2 n3:2+2 ");
  asked.choice.Set({"", "n2"});
  EXPECT_EQ(parts(asked), "n1:0+2 n3:2+2 ");
  asked.choice.Set({"n3", ""});
  asked.tasks = 1;
  EXPECT_EQ(parts(asked), "n3:0+1 ");
  asked.tasks = 3;
  EXPECT_EQ(parts(asked), "n1:0+1 n3:1+2 ");
  asked.choice.Set({"n4", ""});
  EXPECT_THAT(parts(asked), HasSubstr("node n4 is not one of job"));
}

TEST(WhenWould, SaysWhenAndWhereAJobWouldStartAndChangesNothing) {
  TestCluster c(2);
  c.Submit(On(SmallJob(4), "n2"));
  std::size_t records = c.log.size();
  auto would = [&](JobSpec spec) { return c.controller().WhenWould(std::move(spec), c.now); };
  Result<std::optional<PlannedStart>> start = would(On(SmallJob(4), "n2"));
  ASSERT_TRUE(start.has_value() && start->has_value());
  EXPECT_EQ((*start)->nodes.front().node, "n2");
  EXPECT_GE((*start)->at, c.now.PlusSeconds(100)) << "when the other one has ended";
  EXPECT_EQ((**would(On(SmallJob(4), ""))).nodes.front().node, "n1");
  EXPECT_THAT(would(On(SmallJob(), "n9")).error().message, HasSubstr("there is no node n9"));
  EXPECT_EQ(c.log.size(), records);
  EXPECT_EQ(c.state().next_job.value, 2U);
}

TEST(NodeChoice, OthersPayOnePointer) {
  EXPECT_EQ(sizeof(Rarely<NodeChoice>), sizeof(void*));
  Resources a, b;
  a.choice.Set({"n1", ""});
  b = a;
  EXPECT_EQ(a, b);
  b.choice.Set({});
  EXPECT_FALSE(b.choice.there());
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace slipway::scheduler
