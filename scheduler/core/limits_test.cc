// SPDX-License-Identifier: Apache-2.0
// QOS and association limits: what is refused at submission, what waits, and by which name.
#include <gtest/gtest.h>

#include "scheduler/core/test_cluster.h"

namespace slipway::scheduler {
namespace {

Requester Admin() { return {0, true}; }

JobSpec JobOf(std::uint32_t uid, std::uint32_t tasks = 1, const std::string& qos = "") {
  JobSpec spec = SmallJob(tasks);
  spec.user.uid = uid;
  spec.user.name = Cat("user", uid);
  spec.time_limit_s = 600;
  spec.qos = qos;
  return spec;
}

Site WithQos(Limits limits) {
  Site site;
  site.qos = {{.name = "normal"}, {.name = "q", .limits = limits}};
  return site;
}

struct LimitsTest : ::testing::Test {
  std::unique_ptr<TestCluster> c;
  void Make(Site site) { c = std::make_unique<TestCluster>(4, 8, 8 << 20, std::move(site)); }
  void Waits(JobId job, const std::string& reason) {
    EXPECT_EQ(c->StateOf(job), "PENDING");
    EXPECT_TRUE(c->controller().ReasonText(job).starts_with(reason + ":")) << c->controller().ReasonText(job);
    bool told = std::ranges::any_of(c->controller().Explain(job).reasons,
                                    [&](const std::string& line) { return line.starts_with(reason + ":"); });
    EXPECT_TRUE(told) << reason;
  }
  void Refused(JobSpec spec, const std::string& reason) {
    Result<JobId> job = c->TrySubmit(std::move(spec));
    ASSERT_FALSE(job.has_value()) << reason;
    EXPECT_TRUE(job.error().message.starts_with(reason + ":")) << job.error().message;
  }
  Result<> Set(Account account) {
    c->Do(ChangeAccount{{1}, Admin(), AccountSet{std::move(account)}});
    return c->answer ? Result<>() : Failure(c->answer.error());
  }
  Result<> Put(const std::string& account, std::uint32_t uid, Association part = {}) {
    part.user = Cat("user", uid);
    c->Do(ChangeAccount{{1}, Admin(), AssociationSet{{account, uid}, std::move(part)}});
    return c->answer ? Result<>() : Failure(c->answer.error());
  }
};

TEST_F(LimitsTest, AQosBoundsWhatRunsInItAndOfEachUser) {
  Make(WithQos({.grp = {.cores = 10}, .grp_jobs = 3, .max_per_user = {.cores = 6}, .max_jobs_per_user = 2}));
  JobId first = c->Submit(JobOf(1, 4, "q"));
  Waits(c->Submit(JobOf(1, 3, "q")), "QOSMaxCpuPerUserLimit");
  (void)c->Submit(JobOf(1, 1, "q"));
  Waits(c->Submit(JobOf(1, 1, "q")), "QOSMaxJobsPerUserLimit");
  Waits(c->Submit(JobOf(2, 6, "q")), "QOSGrpCpuLimit");
  (void)c->Submit(JobOf(3, 1, "q"));
  Waits(c->Submit(JobOf(4, 1, "q")), "QOSGrpJobsLimit");
  EXPECT_EQ(c->StateOf(c->Submit(JobOf(5, 8, "normal"))), "STARTING") << "another QOS";
  c->Finish(first);
  EXPECT_EQ(c->state().active.size(), 4U) << "the end of one lets the next in";
}

TEST_F(LimitsTest, WhatALimitNeverAllowsIsRefusedAtOnce) {
  Make(WithQos({.grp = {.cores = 10},
                .max_per_job = {.cores = 8, .nodes = 2},
                .min_per_job = {.cores = 2},
                .max_wall_s = 3600}));
  Refused(JobOf(1, 9, "q"), "QOSMaxCpuPerJobLimit");
  Refused(JobOf(1, 1, "q"), "QOSMinCpuNotSatisfied");
  JobSpec spec = JobOf(1, 3, "q");
  spec.resources.nodes_min = 3;
  Refused(spec, "QOSMaxNodePerJobLimit");
  spec = JobOf(1, 2, "q");
  spec.time_limit_s = 7200;
  Refused(spec, "QOSMaxWallDurationPerJobLimit");
  spec.time_limit_s = 0;
  Refused(spec, "QOSMaxWallDurationPerJobLimit");
  Refused(JobOf(1, 1, "other"), "InvalidQOS");
}

TEST_F(LimitsTest, SubmissionsAreCountedPendingOnesToo) {
  Make(WithQos({.grp_submit = 3, .max_submit_per_user = 2}));
  JobId first = c->Submit(JobOf(1, 8, "q"));
  (void)c->Submit(JobOf(1, 8, "q"));
  Refused(JobOf(1, 1, "q"), "QOSMaxSubmitJobPerUserLimit");
  JobSpec array = JobOf(2, 1, "q");
  array.array = ArrayRequest{{1, 2}, 0};
  Refused(array, "QOSGrpSubmitJobsLimit");
  c->Finish(first);
  EXPECT_TRUE(c->TrySubmit(array).has_value());
}

TEST_F(LimitsTest, AccountsBoundTheirUsersAndAllBelowThem) {
  Make({});
  ASSERT_TRUE(Set({"physics", "root", 1, "", {.grp = {.cores = 12}, .max_jobs_per_user = 2}}));
  ASSERT_TRUE(Set({"atlas", "physics", 1, "", {.grp_jobs = 2}}));
  ASSERT_TRUE(Put("atlas", 1));
  ASSERT_TRUE(Put("physics", 2, {.limits = {.max_jobs_per_user = 1}}));
  ASSERT_TRUE(Put("physics", 3));
  JobId first = c->Submit(JobOf(1, 6));
  EXPECT_EQ(c->Of(first).spec->account, "atlas");
  (void)c->Submit(JobOf(1, 1));
  Waits(c->Submit(JobOf(1, 1)), "AssocMaxJobsLimit");
  (void)c->Submit(JobOf(2, 1));
  Waits(c->Submit(JobOf(2, 1)), "AssocMaxJobsLimit");
  Waits(c->Submit(JobOf(3, 5)), "AssocGrpCpuLimit");
  Refused(JobOf(3, 13), "AssocGrpCpuLimit");
  // Limits that are changed count what runs already.
  ASSERT_TRUE(Set({"physics", "root", 1, "", {.grp = {.cores = 20}}}));
  c->Pass(1);
  EXPECT_EQ(c->state().active.size(), 4U)
      << "the one of five cores; one user has a limit of his own, the other two "
         "jobs are as many as atlas allows";
}

TEST_F(LimitsTest, SubmissionsOfAnAccountAreThoseOfAllBelowIt) {
  Make({});
  ASSERT_TRUE(Set({"physics", "root", 1, "", {.grp_submit = 2}}));
  ASSERT_TRUE(Set({"atlas", "physics", 1, "", {.max_submit_per_user = 1}}));
  ASSERT_TRUE(Put("atlas", 1));
  ASSERT_TRUE(Put("physics", 2));
  (void)c->Submit(JobOf(1));
  Refused(JobOf(1), "AssocMaxSubmitJobLimit");
  (void)c->Submit(JobOf(2));
  Refused(JobOf(2), "AssocGrpSubmitJobsLimit");
}

TEST_F(LimitsTest, AnAccountThatHasUsedUpWhatItMayStartsNothingNew) {
  Site site;
  site.usage.half_life_s = 0;
  Make(site);
  ASSERT_TRUE(Set({"physics", "root", 1, "", {.grp_billing_minutes = 10}}));
  ASSERT_TRUE(Put("physics", 1));
  JobId job = c->Submit(JobOf(1, 8));
  c->Pass(120);  // 16 core minutes
  c->Finish(job);
  c->Pass(300);
  JobId waits = c->Submit(JobOf(1, 1));
  c->Pass(1);
  Waits(waits, "AssocGrpBillingMinutes");
  ASSERT_TRUE(Set({"physics", "root", 1, "", {.grp_billing_minutes = 1000}}));
  c->Pass(1);
  EXPECT_EQ(c->StateOf(waits), "STARTING");
}

TEST_F(LimitsTest, LimitsHoldAcrossARestart) {
  Make(WithQos({.max_jobs_per_user = 1, .max_submit_per_user = 2}));
  (void)c->Submit(JobOf(1, 1, "q"));
  JobId waits = c->Submit(JobOf(1, 1, "q"));
  c->Restart();
  for (int i = 1; i <= 4; ++i) c->Register(TestCluster::NodeName(static_cast<std::uint32_t>(i)));
  c->Pass(1);
  Waits(waits, "QOSMaxJobsPerUserLimit");
  Refused(JobOf(1, 1, "q"), "QOSMaxSubmitJobPerUserLimit");
}

TEST_F(LimitsTest, ALimitSetBelowWhatIsInUseEndsNothingAndStartsNothing) {
  Make({});
  ASSERT_TRUE(Set({"physics", "root", 1, "", {}}));
  ASSERT_TRUE(Put("physics", 1));
  JobId a = c->Submit(JobOf(1, 8)), b = c->Submit(JobOf(1, 8));
  JobSpec small = JobOf(1, 1);
  small.hold = true;
  JobId held = c->Submit(small);
  ASSERT_TRUE(Set({"physics", "root", 1, "", {.grp = {.cores = 4}}}));
  c->Do(ChangeJob{{1}, held, {1, false}, {.hold = Hold::kNone}});
  c->Pass(1);
  Waits(held, "AssocGrpCpuLimit");
  EXPECT_EQ(c->StateOf(a), "STARTING");
  c->Finish(a);
  Waits(held, "AssocGrpCpuLimit");
  c->Finish(b);
  EXPECT_EQ(c->StateOf(held), "STARTING");
}

TEST_F(LimitsTest, EnforcedAccountsLetOnlyTheirUsersSubmit) {
  Site site;
  site.usage.enforce = true;
  Make(site);
  Refused(JobOf(1), "InvalidAccount");
  ASSERT_TRUE(Set({"physics", "root", 1, "", {}}));
  ASSERT_TRUE(Put("physics", 1, {.is_default = true}));
  EXPECT_EQ(c->Of(c->Submit(JobOf(1))).spec->account, "physics");
  JobSpec other = JobOf(2);
  other.account = "physics";
  Refused(other, "InvalidAccount");
  other.account = "nowhere";
  Refused(other, "InvalidAccount");
}

TEST_F(LimitsTest, WhoNamesNoAccountGetsTheDefaultOrElseTheFirstOfOnesOwn) {
  Make({});
  auto account = [&](std::uint32_t uid) {
    Result<JobId> job = c->TrySubmit(JobOf(uid));
    return job ? c->state().FindJob(*job)->spec->account : job.error().message;
  };
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(Set({name, "root", 1, "", {}}));
  ASSERT_TRUE(Put("c", 2));  // somebody else
  EXPECT_EQ(account(1), "default") << "and with that he is in it";
  ASSERT_TRUE(Put("c", 1));
  ASSERT_TRUE(Put("b", 1));
  EXPECT_EQ(account(1), "b");
  ASSERT_TRUE(Put("c", 1, {.is_default = true}));
  EXPECT_EQ(account(1), "c");
  ASSERT_TRUE(Put("b", 1, {.is_default = true}));
  EXPECT_FALSE(c->state().FindAssociation({"c", 1})->is_default) << "there is one default";
  EXPECT_EQ(account(1), "b");
  c->Restart();
  EXPECT_EQ(account(1), "b") << "as before";
  EXPECT_EQ(account(2), "c");
}

TEST_F(LimitsTest, TheTreeStaysATree) {
  Make({});
  ASSERT_TRUE(Set({"a", "root", 1, "", {}}));
  ASSERT_TRUE(Set({"b", "a", 1, "", {}}));
  EXPECT_EQ(Set({"a", "b", 1, "", {}}).error().code, Code::kInvalidArgument) << "below itself";
  EXPECT_EQ(Set({"c", "nowhere", 1, "", {}}).error().code, Code::kNotFound);
  EXPECT_EQ(Set({"bad name", "root", 1, "", {}}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Put("nowhere", 1).error().code, Code::kNotFound);
  auto remove = [&](AccountChange change) -> Result<> {
    c->Do(ChangeAccount{{1}, Admin(), std::move(change)});
    return c->answer ? Result<>() : Failure(c->answer.error());
  };
  EXPECT_EQ(remove(AccountRemoved{"a"}).error().code, Code::kFailedPrecondition) << "b is below it";
  ASSERT_TRUE(Put("b", 1));
  EXPECT_EQ(remove(AccountRemoved{"b"}).error().code, Code::kFailedPrecondition) << "it has a user";
  JobId job = c->Submit(JobOf(1));
  EXPECT_EQ(remove(AssociationRemoved{{"b", 1}}).error().code, Code::kFailedPrecondition) << "he has a job";
  c->Finish(job);
  EXPECT_TRUE(remove(AssociationRemoved{{"b", 1}}));
  EXPECT_TRUE(c->state().accounts_of.empty());
  EXPECT_TRUE(remove(AccountRemoved{"b"}));
  EXPECT_TRUE(remove(AccountRemoved{"a"}));
  EXPECT_FALSE(remove(AccountRemoved{"root"}));
  c->Do(ChangeAccount{{1}, {1, false}, AccountSet{{"mine", "root", 1, "", {}}}});
  EXPECT_EQ(c->answer.error().code, Code::kPermissionDenied);
  c->Restart();
  EXPECT_EQ(c->state().accounts.size(), 1U);
}

}  // namespace
}  // namespace slipway::scheduler
