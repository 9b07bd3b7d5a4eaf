// SPDX-License-Identifier: Apache-2.0
// What is computed from a spec before anything runs, and from what is heard after.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/stepd/launch_plan.h"
#include "agent/stepd/outcome.h"
#include "agent/stepd/rank_environment.h"
#include "agent/stepd/usage.h"
#include "base/os/fd.h"

namespace slipway {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

StepSpec TwoNodes() {
  StepSpec spec;
  spec.step = {.job = 42, .attempt = 1, .step = 3};
  spec.user = "alice";
  spec.home = "/home/alice";
  spec.uid = 1001;
  spec.gid = 1001;
  spec.nodes = {"n1", "n2"};
  spec.tasks_per_node = {2, 2};
  spec.ranks = {{0, 1}, {2, 3}};
  spec.node_index = 1;
  spec.argv = {"a.out"};
  spec.cwd = "/scratch/run";
  return spec;
}

TEST(RankEnvironment, TellsScriptsWhoTheyAreInSlurmsWordsToo) {
  StepSpec spec = TwoNodes();
  auto env = StepEnvironment(spec);
  for (const char* line :
       {"SLURM_JOB_ID=42", "SLURM_NTASKS=4", "SLURM_JOB_NUM_NODES=2", "SLURM_JOB_NODELIST=n[1-2]",
        "SLURM_TASKS_PER_NODE=2(x2)", "SLIPWAY_NODE=n2", "SLURM_SUBMIT_DIR=/scratch/run"}) {
    EXPECT_THAT(env, Contains(line));
  }
  auto rank = RankEnvironment(spec, 1);
  for (const char* line : {"SLURM_PROCID=3", "SLURM_LOCALID=1", "SLURM_NODEID=1"})
    EXPECT_THAT(rank, Contains(line));
}

TEST(RankEnvironment, DropsWhatAnEnclosingJobLeft) {
  StepSpec spec = TwoNodes();
  spec.env = {"PMIX_RANK=7", "PMIX_MCA_gds=hash", "SLURM_JOBID=1", "SLURM_ARRAY_TASK_ID=5", "MINE=1"};
  auto env = StepEnvironment(spec);
  EXPECT_THAT(env, Not(Contains(HasSubstr("PMIX_RANK"))));
  EXPECT_THAT(env, Not(Contains(HasSubstr("SLURM_JOBID="))));
  for (const char* line : {"PMIX_MCA_gds=hash", "SLURM_ARRAY_TASK_ID=5", "MINE=1"})
    EXPECT_THAT(env, Contains(line));
}

TEST(LaunchPlan, EachRankIsToldOfItsOwnDevices) {
  StepSpec spec = TwoNodes();
  spec.task_devices = {{.env = {"CUDA_VISIBLE_DEVICES=GPU-1"}}, {.env = {"CUDA_VISIBLE_DEVICES=GPU-2"}}};
  auto launch = PlanLaunch(spec);
  ASSERT_TRUE(launch) << launch.error().message;
  EXPECT_THAT(launch->tasks[0].env, Contains("CUDA_VISIBLE_DEVICES=GPU-1"));
  EXPECT_THAT(launch->tasks[1].env, Contains("CUDA_VISIBLE_DEVICES=GPU-2"));
}

TEST(LaunchPlan, MountsWhatAUserOfApptainerExpects) {
  StepSpec spec = TwoNodes();
  spec.mounts = {{.source = "/data", .target = "/data"}};
  auto launch = PlanLaunch(spec);
  ASSERT_TRUE(launch);
  std::vector<std::string> targets;
  for (const Mount& mount : launch->mounts) targets.push_back(mount.target);
  for (const char* target : {"/proc", "/dev", "/sys", "/tmp", "/home/alice", "/scratch/run", "/etc/hosts"}) {
    EXPECT_THAT(targets, Contains(target));
  }
  EXPECT_EQ(targets.back(), "/data");  // over ours
  EXPECT_EQ(launch->files.at(0).content, "alice:x:1001:1001:alice:/home/alice:/bin/sh");
  EXPECT_TRUE(DecodeLaunchSpec(EncodeLaunchSpec(*launch)));
}

TEST(LaunchPlan, PrivateFoldersOfAStepAreGoneWithIt) {
  StepSpec spec = TwoNodes();
  spec.private_shm = true;
  spec.private_tmp_bytes = 1 << 30;
  auto launch = PlanLaunch(spec);
  ASSERT_TRUE(launch);
  for (const Mount& mount : launch->mounts) {
    if (mount.target == "/dev") {
      EXPECT_EQ(mount.options, "ownshm");
    }
    if (mount.target != "/tmp" && mount.target != "/var/tmp") continue;
    EXPECT_EQ(mount.type, Mount::kTmpfs);
    EXPECT_EQ(mount.options, "mode=1777,size=1073741824");
  }
  EXPECT_TRUE(DecodeLaunchSpec(EncodeLaunchSpec(*launch)));
}

TEST(LaunchPlan, FoldersOfTheJobTakeThePlaceOfTheStepsAndOfTheNodes) {
  StepSpec spec = TwoNodes();
  spec.private_tmp_bytes = 1 << 30;
  spec.job_tmp = "/run/slipway/jobs/7.1/tmp";
  spec.job_shm = "/run/slipway/jobs/7.1/shm";
  auto launch = PlanLaunch(spec);
  ASSERT_TRUE(launch);
  std::map<std::string, std::string> sources;
  for (const Mount& mount : launch->mounts) {
    EXPECT_TRUE(mount.target != "/dev" || mount.options == "ownshm");
    EXPECT_NE(mount.type == Mount::kTmpfs && mount.target != kSessionTarget, true) << mount.target;
    sources[mount.target] = mount.source;
  }
  EXPECT_EQ(sources["/tmp"], spec.job_tmp);
  EXPECT_EQ(sources["/var/tmp"], spec.job_tmp);
  EXPECT_EQ(sources["/dev/shm"], spec.job_shm);
}

TEST(LaunchPlan, GivesEachRankItsOwnProcessorsOrAllOfTheStep) {
  StepSpec spec = TwoNodes();
  spec.cpus = {4, 5, 6, 7};
  EXPECT_EQ(PlanLaunch(spec)->tasks[1].cpus, spec.cpus);
  spec.rank_cpus = {{4, 5}, {6, 7}};
  EXPECT_EQ(PlanLaunch(spec)->tasks[1].cpus, (std::vector<std::uint32_t>{6, 7}));
}

TEST(LaunchPlan, LimitsThatTheSubmitterSentAlongAreTheRanks) {
  StepSpec spec = TwoNodes();
  spec.env = {"SLIPWAY_RESOURCE_LIMITS=CORE=0,NOFILE=512"};
  ASSERT_EQ(PlanLaunch(spec)->resource_limits.size(), 2u);
  EXPECT_EQ(PlanLaunch(spec)->resource_limits[1].value, 512u);
  spec.env = {"SLIPWAY_RESOURCE_LIMITS=FILES=512"};
  EXPECT_THAT(PlanLaunch(spec).error().message, HasSubstr("FILES=512"));
}

TEST(Script, MustNameItsInterpreter) {
  EXPECT_TRUE(CheckScript("#!/bin/bash\necho\n"));
  EXPECT_THAT(CheckScript("echo\n").error().message, HasSubstr("#!"));
  EXPECT_THAT(CheckScript("#!/bin/sh\r\n").error().message, HasSubstr("CR LF"));
}

TEST(Outcome, IsTheFirstFailure) {
  Outcome outcome(TwoNodes());
  EXPECT_TRUE(outcome.RankExited(3, 5 << 8));
  EXPECT_FALSE(outcome.RankExited(2, 15));  // ended because of the first
  EXPECT_TRUE(outcome.all_exited());
  StepResult result = outcome.Result({});
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.reason, "rank 3 on n2 exited with code 5");
}

TEST(Outcome, OfACancelledStepIsNeverSuccess) {
  Outcome outcome(TwoNodes());
  outcome.Terminate("CANCELLED");
  outcome.RankExited(2, 0);
  outcome.RankExited(3, 0);
  EXPECT_EQ(outcome.Result({}).exit_code, 143);
}

TEST(Outcome, OfferedMpiThatNobodyTakesIsNoFailure) {
  StepSpec spec = TwoNodes();
  spec.mpi = MpiKind::kAuto;
  Outcome outcome(spec);
  EXPECT_FALSE(outcome.RankExited(2, 0));
  EXPECT_FALSE(outcome.RankExited(3, 0));
  EXPECT_FALSE(outcome.failed());
}

TEST(Outcome, OfferedMpiThatOnlySomeTakeIsAFailureThatNamesTheOther) {
  StepSpec spec = TwoNodes();
  spec.mpi = MpiKind::kAuto;
  Outcome late(spec);
  EXPECT_FALSE(late.RankExited(2, 0));
  EXPECT_TRUE(late.RankConnected(3));
  EXPECT_THAT(late.reason(), HasSubstr("rank 2 on n2"));
  Outcome early(spec);
  EXPECT_FALSE(early.RankConnected(3));
  EXPECT_TRUE(early.RankExited(2, 0));
  EXPECT_THAT(early.reason(), HasSubstr("rank 2 on n2"));
}

TEST(Outcome, OfMpiAbortWithZeroIsNoSuccessEither) {
  StepSpec spec = TwoNodes();
  spec.mpi = MpiKind::kPmix;
  Outcome outcome(spec);
  EXPECT_TRUE(outcome.RankAborted(2, 0));
  EXPECT_EQ(outcome.exit_code(), 1);
}

TEST(Usage, IsReadBesideOurOwnCgroup) {
  EXPECT_EQ(
      RanksCgroup("0::/slipway/42.1/3/stepd\n", "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
      "/sys/fs/cgroup/slipway/42.1/3/tasks");
  EXPECT_EQ(RanksCgroup("0::/user.slice\n", "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"), "");
  EXPECT_EQ(RanksCgroup("", ""), "");
  std::string dir = *MakeTempDirectory("/tmp", "stepd-cgroup-");
  ASSERT_TRUE(WriteFileAtomically(dir + "/cpu.stat", "usage_usec 123\nuser_usec 100\n"));
  ASSERT_TRUE(WriteFileAtomically(dir + "/memory.peak", "4096\n"));
  ASSERT_TRUE(WriteFileAtomically(dir + "/memory.events", "low 0\noom 2\noom_kill 1\n"));
  ASSERT_TRUE(WriteFileAtomically(
      dir + "/io.stat", "8:0 rbytes=10 wbytes=3 rios=1\n253:0 rbytes=5 wbytes=4 rios=1\nwbytes=x\n"));
  ASSERT_TRUE(WriteFileAtomically(
      dir + "/io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.00 total=5\n"));
  EXPECT_EQ(UsageOf(dir), (StepUsage{.cpu_us = 123,
                                     .cpu_user_us = 100,
                                     .memory_peak_bytes = 4096,
                                     .io_read_bytes = 15,
                                     .io_write_bytes = 7,
                                     .pressure_io_us = 77}));
  EXPECT_EQ(OutOfMemoryKills(dir), 1u);
  EXPECT_EQ(UsageOf(""), StepUsage());
  EXPECT_EQ(OutOfMemoryKills(""), 0u);
  ASSERT_TRUE(RemoveTree(dir));
}

}  // namespace
}  // namespace slipway
