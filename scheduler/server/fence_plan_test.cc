// SPDX-License-Identifier: Apache-2.0
// Which silent node is fenced when, and above all when none is.
#include "scheduler/server/fence_plan.h"

#include <gmock/gmock.h>

#include <deque>

namespace slipway::scheduler {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Verdict = FencePlan::Verdict;

constexpr Duration kAfter = minutes(5), kTick = seconds(1);

// Nodes n00, n01, …, all of which have a job and are heard, and a clock.
struct Cluster {
  explicit Cluster(std::size_t count, FenceRules rules = {}) : plan(With(std::move(rules))) {
    for (std::size_t i = 0; i < count; ++i) {
      names.push_back(Cat("n", i / 10, i % 10));
      nodes.push_back({.node = names.back(),
                       .state = NodeState::kUp,
                       .session = ++sessions,
                       .heard = now,
                       .holds_jobs = true});
    }
    (void)plan.Look(nodes, now);
  }
  static FenceRules With(FenceRules rules) {
    rules.program = "/etc/slipway/fence";
    return rules;
  }
  HeardNode& operator[](std::size_t i) { return nodes[i]; }
  void Silent(std::size_t from, std::size_t count = 1) {
    for (std::size_t i = from; i < from + count; ++i) nodes[i].state = NodeState::kUnknown;
  }
  void Registers(std::size_t from, std::size_t count = 1) {
    for (std::size_t i = from; i < from + count; ++i) {
      nodes[i].session = ++sessions;
      nodes[i].heard = now;
      nodes[i].state = NodeState::kUp;
    }
  }
  // Time goes by, with a look each second; who was asked about in it, and called off.
  std::vector<std::string> Pass(Duration time) {
    std::vector<std::string> asked;
    for (const MonotonicTime end = now + time; now < end;) {
      now += kTick;
      for (HeardNode& node : nodes)
        if (node.state == NodeState::kUp) node.heard = now;
      FencePlan::Orders orders = plan.Look(nodes, now);
      for (const FencePlan::Question& question : orders.ask) asked.push_back(question.node);
      called_off.insert(called_off.end(), orders.call_off.begin(), orders.call_off.end());
    }
    return asked;
  }
  Verdict Answer(std::size_t i, bool dead) {
    Verdict verdict = plan.Answered(nodes[i], dead, "exit code 3: no BMC", now);
    if (verdict == Verdict::kDead) nodes[i].state = NodeState::kDown;
    return verdict;
  }

  MonotonicTime now{std::chrono::hours(100)};
  std::uint64_t sessions = 0;
  std::deque<std::string> names;
  std::vector<HeardNode> nodes;
  std::vector<std::string> called_off;
  FencePlan plan;
};

TEST(FencePlan, ASilentNodeWithJobsIsFencedOnceItWasSilentForSoLong) {
  Cluster c(10);
  c.Silent(3);
  EXPECT_THAT(c.Pass(kAfter - kTick), IsEmpty());
  EXPECT_THAT(c.plan.TextOf(c[3], c.now), "silent, fenced in 1 s");
  EXPECT_THAT(c.Pass(kTick), ElementsAre("n03"));
  EXPECT_THAT(c.plan.TextOf(c[3], c.now), "is being fenced by /etc/slipway/fence, attempt 1");
  EXPECT_THAT(c.Pass(minutes(60)), IsEmpty()) << "it is being asked about";
  EXPECT_EQ(c.Answer(3, true), Verdict::kDead);
  EXPECT_THAT(c.Pass(minutes(60)), IsEmpty());
  EXPECT_THAT(c.called_off, IsEmpty());
}

TEST(FencePlan, ANodeWithoutJobsIsNot) {
  Cluster c(10);
  c.Silent(3);
  c[3].holds_jobs = false;
  EXPECT_THAT(c.Pass(minutes(60)), IsEmpty());
  EXPECT_EQ(c.plan.TextOf(c[3], c.now), "");
}

TEST(FencePlan, ANodeThatAnAdministratorHasDrainedIsNotButOneThatFoundItselfUnfitIs) {
  Cluster c(10);
  c.Silent(3, 2);
  c[3].drained = c[3].drained_by_admin = c[4].drained = true;
  EXPECT_THAT(c.Pass(kAfter), ElementsAre("n04"));
  EXPECT_THAT(c.plan.TextOf(c[3], c.now), HasSubstr("is not fenced: it is drained"));
  c[3].drained = c[3].drained_by_admin = false;  // resumed
  EXPECT_THAT(c.Pass(kTick), ElementsAre("n03"));
}

TEST(FencePlan, DrainingANodeCallsItsFenceOff) {
  Cluster c(10);
  c.Silent(3);
  EXPECT_THAT(c.Pass(kAfter), ElementsAre("n03"));
  c[3].drained = c[3].drained_by_admin = true;
  EXPECT_THAT(c.Pass(2 * kTick), IsEmpty());
  EXPECT_THAT(c.called_off, ElementsAre("n03")) << "once";
  EXPECT_EQ(c.Answer(3, false), Verdict::kMoot);
}

TEST(FencePlan, AfterAFailureItIsAskedAgainEachTimeLaterUpToAnHour) {
  Cluster c(10);
  c.Silent(3);
  (void)c.Pass(kAfter);
  for (Duration wait :
       {minutes(1), minutes(2), minutes(4), minutes(8), minutes(16), minutes(32), minutes(60), minutes(60)}) {
    EXPECT_EQ(c.Answer(3, false), Verdict::kNot);
    EXPECT_EQ(c.plan.AgainIn("n03", c.now), wait);
    EXPECT_EQ(c.plan.TextOf(c[3], c.now), Cat("could not be fenced (exit code 3: no BMC), tried again in ",
                                              std::chrono::duration_cast<seconds>(wait).count(), " s"));
    EXPECT_THAT(c.Pass(wait - kTick), IsEmpty());
    EXPECT_THAT(c.Pass(kTick), ElementsAre("n03"));
  }
}

TEST(FencePlan, ALongIntervalOfTheSitesIsNotShortened) {
  Cluster c(10, {.retry = std::chrono::hours(3)});
  c.Silent(3);
  (void)c.Pass(kAfter);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(c.Answer(3, false), Verdict::kNot);
    EXPECT_EQ(c.plan.AgainIn("n03", c.now), std::chrono::hours(3));
    (void)c.Pass(std::chrono::hours(3));
  }
}

TEST(FencePlan, ANodeThatHasReportedSinceTheQuestionIsNotDeclaredDead) {
  Cluster c(10);
  c.Silent(3);
  (void)c.Pass(kAfter);
  c.Registers(3);
  EXPECT_EQ(c.Answer(3, true), Verdict::kMoot) << "the answer was on its way when it came back";
  EXPECT_EQ(c[3].state, NodeState::kUp);
}

TEST(FencePlan, NorOneThatHasReportedAndIsSilentAgain) {
  Cluster c(10);
  c.Silent(3);
  (void)c.Pass(kAfter);
  c.Registers(3);
  c.Silent(3);  // between two looks
  EXPECT_EQ(c.Answer(3, true), Verdict::kMoot) << "nobody knows which was first, its power off or its word";
  EXPECT_THAT(c.Pass(kAfter - kTick), IsEmpty()) << "its silence counts anew";
  EXPECT_THAT(c.Pass(kTick), ElementsAre("n03"));
  EXPECT_EQ(c.plan.TextOf(c[3], c.now), "is being fenced by /etc/slipway/fence, attempt 1");
}

TEST(FencePlan, ANodeThatIsBackCallsItsFenceOffAndASecondProgramNeverRunsBesideTheFirst) {
  Cluster c(10);
  c.Silent(3);
  (void)c.Pass(kAfter);
  c.Registers(3);
  (void)c.Pass(2 * kTick);
  EXPECT_THAT(c.called_off, ElementsAre("n03"));
  c.Silent(3);
  EXPECT_THAT(c.Pass(minutes(30)), IsEmpty()) << "the first has not ended yet";
  EXPECT_EQ(c.Answer(3, false), Verdict::kMoot);
  EXPECT_THAT(c.Pass(kTick), ElementsAre("n03"));
  EXPECT_EQ(c.Answer(3, true), Verdict::kDead);
}

TEST(FencePlan, AnAdministratorsWordEndsTheQuestion) {
  Cluster c(10);
  c.Silent(3);
  (void)c.Pass(kAfter);
  c[3].state = NodeState::kDown;
  (void)c.Pass(kTick);
  EXPECT_THAT(c.called_off, ElementsAre("n03"));
  EXPECT_EQ(c.Answer(3, true), Verdict::kMoot);
}

TEST(FencePlan, JobsThatLeaveANodeDoNotCallOffWhatHasBegun) {
  Cluster c(10);
  c.Silent(3);
  (void)c.Pass(kAfter);
  c[3].holds_jobs = false;  // a lease was over
  (void)c.Pass(kTick);
  EXPECT_THAT(c.called_off, IsEmpty());
  EXPECT_EQ(c.Answer(3, true), Verdict::kDead);
}

TEST(FencePlan, NoneIsFencedWhileTooManyAreSilentAndThenSilenceCountsAnew) {
  Cluster c(20);
  c.Silent(0, 5);  // of 20 by default four may be
  EXPECT_THAT(c.Pass(minutes(60)), IsEmpty());
  EXPECT_THAT(c.plan.TextOf(c[0], c.now),
              "is not fenced: 5 of 20 nodes are silent or were just fenced (hooks.fence_share_max)");
  c.Registers(4);
  EXPECT_THAT(c.Pass(kAfter), IsEmpty()) << "each has the whole time to come back";
  EXPECT_THAT(c.Pass(kTick), ElementsAre("n00", "n01", "n02", "n03"));
}

TEST(FencePlan, NothingIsFencedWhereNobodyIsHeard) {
  for (std::size_t count : {1, 2, 100}) {
    Cluster c(count);
    c.Silent(0, count);
    EXPECT_THAT(c.Pass(minutes(60)), IsEmpty()) << count;
  }
}

TEST(FencePlan, OneOfFewMayBeMissingAndASiteMaySayThatAnyNumberMay) {
  Cluster two(2);
  two.Silent(1);
  EXPECT_THAT(two.Pass(kAfter), ElementsAre("n01"));
  Cluster three(3);
  three.Silent(1, 2);
  EXPECT_THAT(three.Pass(minutes(60)), IsEmpty());
  Cluster one(1, {.share_max = 100});
  one.Silent(0);
  EXPECT_THAT(one.Pass(kAfter), ElementsAre("n00"));
}

TEST(FencePlan, NodesThatWereTakenOutOfUseDoNotCount) {
  Cluster c(10);
  for (std::size_t i = 0; i < 4; ++i) {  // drained, emptied and switched off
    c[i].drained = c[i].drained_by_admin = true;
    c[i].holds_jobs = false;
  }
  c[4].state = NodeState::kDown;  // for repair
  c.Silent(0, 4);
  c.Silent(5);
  EXPECT_THAT(c.Pass(kAfter), ElementsAre("n05"));
}

TEST(FencePlan, AFailureThatCreepsThroughTheClusterDoesNotSwitchItOffPieceByPiece) {
  Cluster c(20);
  for (std::size_t i = 0; i < 4; ++i) {
    c.Silent(i);
    EXPECT_EQ(c.Pass(kAfter).size(), 1U);
    EXPECT_EQ(c.Answer(i, true), Verdict::kDead);
  }
  c.Silent(4);
  EXPECT_THAT(c.Pass(minutes(30)), IsEmpty())
      << "a fifth of the cluster was switched off within half an hour";
  c.Registers(0);  // with another boot id
  EXPECT_THAT(c.Pass(kAfter + kTick), ElementsAre("n04"));
}

TEST(FencePlan, AfterAnHourTheFencedAreThoseThatAreDown) {
  Cluster c(10);
  c.Silent(0, 2);
  (void)c.Pass(kAfter);
  EXPECT_EQ(c.Answer(0, true), Verdict::kDead);
  EXPECT_EQ(c.Answer(1, true), Verdict::kDead);
  c.Silent(2);
  EXPECT_THAT(c.Pass(std::chrono::hours(1) - kTick), IsEmpty());
  EXPECT_THAT(c.Pass(kAfter + kTick), ElementsAre("n02"));
}

// Of a replayed state each node is UNKNOWN, and has not been heard since the start.
TEST(FencePlan, AfterARestartEachNodeHasTheWholeTimeToComeBack) {
  Cluster c(20);
  for (HeardNode& node : c.nodes) {
    node.state = NodeState::kUnknown;
    node.session = 0;
    node.heard = c.now;
  }
  c.plan = FencePlan(Cluster::With({}));
  EXPECT_THAT(c.Pass(minutes(60)), IsEmpty()) << "none has come";
  c.Registers(2, 15);
  EXPECT_THAT(c.Pass(minutes(60)), IsEmpty()) << "not enough have come";
  c.Registers(17);
  EXPECT_THAT(c.Pass(kAfter), IsEmpty());
  c.Registers(0);
  EXPECT_THAT(c.Pass(kTick), ElementsAre("n01", "n18", "n19"));
}

TEST(FencePlan, WhoDidNotListenForAWhileBlamesNobodyForIt) {
  Cluster c(10, {.share_max = 100});
  c.now += minutes(10);  // slipwayd was stopped
  c.Silent(0, 10);
  EXPECT_THAT(c.Pass(kAfter), IsEmpty());
  c.Registers(0, 9);
  EXPECT_THAT(c.Pass(kTick), ElementsAre("n09"));
}

TEST(FencePlan, OfManyTheLongestSilentComeFirstAndNoMoreRunAtOnceThanThreadsAreAllowed) {
  Cluster c(99, {.share_max = 50});
  c.Silent(40);
  (void)c.Pass(kTick);
  c.Silent(0, 20);
  EXPECT_THAT(c.Pass(kAfter - kTick), ElementsAre("n40"));
  EXPECT_EQ(c.Pass(kTick).size(), kFencesAtOnce - 1);
  EXPECT_EQ(c.Answer(40, true), Verdict::kDead);
  EXPECT_EQ(c.Answer(0, false), Verdict::kNot);
  EXPECT_THAT(c.Pass(kTick), ElementsAre("n15", "n16"));
}

}  // namespace
}  // namespace slipway::scheduler
