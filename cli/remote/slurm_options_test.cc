// SPDX-License-Identifier: Apache-2.0
// What options that users' Slurm scripts carry become in the protocol, and which are refused with what cure.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/os/fd.h"
#include "cli/remote/job_options.h"
#include "cli/remote/job_wishes.h"
#include "cli/remote/ratio_options.h"
#include "cli/remote/signal_name.h"
#include "cli/remote/slurm_words.h"
#include "cli/remote/subcommand.h"

namespace slipway::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

Command Submit() { return kSubmit.declare(); }
Parsed Given(const std::vector<std::string>& words) {
  Command command{.name = "slipway x", .options = ResourceOptions()};
  std::vector<Option> wishes = JobWishOptions();
  command.options.insert(command.options.end(), wishes.begin(), wishes.end());
  auto parsed = ParseOptions(command, words);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return *parsed;
}
Result<v1::Resources> Of(const std::vector<std::string>& words, bool step = false) {
  return ResourcesOf(Given(words), step);
}
std::string Refusal(const std::vector<std::string>& words) {
  auto read = Of(words);
  return read ? "" : read.error().message;
}
Result<v1::JobSpec> Wishes(const std::vector<std::string>& words) {
  v1::JobSpec spec;
  TRY(ReadJobWishes(Given(words), spec));
  return spec;
}

TEST(LimitSignal, IsAsSlurmWritesIt) {
  v1::LimitSignal signal = *LimitSignalOf("USR1");
  EXPECT_EQ(signal.signal(), 10);
  EXPECT_EQ(signal.seconds(), 60U);
  EXPECT_FALSE(signal.batch_only());
  signal = *LimitSignalOf("B:SIGTERM@300");
  EXPECT_EQ(signal.signal(), 15);
  EXPECT_EQ(signal.seconds(), 300U);
  EXPECT_TRUE(signal.batch_only());
  for (const char* text : {"BR:12@0", "B:R:12@0", "RB:12@0"}) {
    EXPECT_EQ(LimitSignalOf(text)->seconds(), 0U) << text;
    EXPECT_TRUE(LimitSignalOf(text)->batch_only()) << text;
  }
  EXPECT_FALSE(LimitSignalOf("R:12")->batch_only());
  for (const char* text : {"", "USR9", "0", "65", "X:USR1", "USR1@", "USR1@65536", "USR1@x", "B:"})
    EXPECT_THAT(LimitSignalOf(text).error().message, HasSubstr("--signal")) << text;
  EXPECT_EQ(Wishes({"--signal=B:USR2@30"})->signal().seconds(), 30U);
}

TEST(NodeChoice, TravelsAsItIsWritten) {
  auto asked = *Of({"-w", "n[1-4,7]", "-x", "n9"});
  EXPECT_EQ(asked.nodelist(), "n[1-4,7]");
  EXPECT_EQ(asked.excluded_nodes(), "n9");
  std::string dir = *MakeTempDirectory("/tmp", "nodefile-");
  ASSERT_TRUE(WriteFileAtomically(dir + "/nodes", "n1\nn2 n3,n4\n\n"));
  EXPECT_EQ(Of({"-F", dir + "/nodes"})->nodelist(), "n1,n2,n3,n4");
  EXPECT_THAT(Refusal({"-F", dir + "/nodes", "-w", "n1"}), HasSubstr("one of them"));
  EXPECT_THAT(Refusal({"-F", dir + "/none"}), HasSubstr("--nodefile"));
  ASSERT_TRUE(RemoveTree(dir));
  EXPECT_THAT(Refusal({"--nodelist="}), HasSubstr("names no node"));
}

TEST(PerGpu, TasksFollowFromGpusAndGpusFromTasks) {
  auto asked = *Of({"--gpus=4", "--ntasks-per-gpu=1"});
  EXPECT_EQ(asked.tasks(), 4U);
  EXPECT_EQ(asked.gpus_per_task(), 1U);
  EXPECT_EQ(asked.gpus_per_node(), 0U);
  asked = *Of({"-N2", "--gpus-per-node=a100:4", "--ntasks-per-gpu=2"});
  EXPECT_EQ(asked.tasks(), 16U);
  EXPECT_EQ(asked.gpus_per_node(), 4U);
  EXPECT_EQ(asked.gpu_type(), "a100");
  asked = *Of({"-n8", "--ntasks-per-gpu=1"});
  EXPECT_EQ(asked.gpus_per_task(), 1U);
  asked = *Of({"-N2", "-n8", "--ntasks-per-gpu=2"});
  EXPECT_EQ(asked.gpus_per_node(), 2U);
  EXPECT_THAT(Refusal({"-n3", "--gpus-per-node=2", "--ntasks-per-gpu=2"}), HasSubstr("--ntasks says 3"));
  EXPECT_THAT(Refusal({"-n3", "--ntasks-per-gpu=2"}), HasSubstr("--gpus and --ntasks"));
  EXPECT_THAT(Refusal({"-N1-2", "--gpus-per-node=2", "--ntasks-per-gpu=2"}),
              HasSubstr("exact number of nodes"));
  EXPECT_THAT(Refusal({"--gpus-per-task=2", "-n2", "--ntasks-per-gpu=2"}), HasSubstr("contradict"));
}

TEST(PerGpu, CoresAndMemoryBecomeThoseOfTasksAndNodes) {
  EXPECT_EQ(Of({"--gpus-per-task=2", "-n2", "--cpus-per-gpu=4"})->cores_per_task(), 8U);
  EXPECT_EQ(Of({"-N1", "--gpus-per-node=4", "--cpus-per-gpu=4"})->cores_per_task(), 16U) << "one task";
  EXPECT_EQ(Of({"-N1", "-n8", "--gpus-per-node=4", "--cpus-per-gpu=4"})->cores_per_task(), 2U);
  EXPECT_THAT(Refusal({"-N1", "-n3", "--gpus-per-node=4", "--cpus-per-gpu=4"}), HasSubstr("--cpus-per-task"));
  EXPECT_THAT(Refusal({"--cpus-per-gpu=4"}), HasSubstr("no GPU"));
  EXPECT_THAT(Refusal({"-c2", "--gpus=1", "--cpus-per-gpu=4"}), HasSubstr("one of them"));
  EXPECT_EQ(Of({"--gres=gpu:2", "--mem-per-gpu=3G"})->memory_bytes_per_node(), 6ULL << 30);
  EXPECT_EQ(Of({"-n2", "--gpus-per-task=1", "-c4", "--mem-per-gpu=4G"})->memory_bytes_per_core(), 1ULL << 30);
  EXPECT_THAT(Refusal({"--gpus=1", "--mem=1G", "--mem-per-gpu=4G"}), HasSubstr("one of them"));
}

TEST(WholeNodes, AllMemoryGoesWithTheWholeNode) {
  EXPECT_THAT(Refusal({"--mem=0"}), HasSubstr("add --exclusive"));
  EXPECT_TRUE(Of({"--mem=0", "--exclusive"})->exclusive());
  EXPECT_TRUE(Of({"--mem=0"}, true)) << "a step has the job's";
  EXPECT_THAT(Refusal({"--exclusive=user"}), HasSubstr("use --exclusive"));
}

TEST(Sizes, WhatHoldsAnywayIsTakenAndTheRestRefused) {
  EXPECT_TRUE(Of({"--mincpus=4", "-c4"}));
  EXPECT_TRUE(Of({"--mincpus=4", "-c2", "--ntasks-per-node=2"}));
  EXPECT_THAT(Refusal({"--mincpus=5", "-c4"}), AllOf(HasSubstr("--mincpus=5"), HasSubstr("--cpus-per-task")));
  EXPECT_TRUE(Of({"--ntasks-per-core=1", "--threads-per-core=1"}));
  EXPECT_THAT(Refusal({"--ntasks-per-core=2"}), HasSubstr("only 1"));
  EXPECT_THAT(Refusal({"--threads-per-core=2"}), HasSubstr("nomultithread"));
  EXPECT_THAT(Refusal({"--threads-per-core=1", "--hint=multithread"}), HasSubstr("one of them"));
  v1::Program program;
  ASSERT_TRUE(DescribeProgram(Given({"--threads-per-core=1"}), program));
  EXPECT_THAT(program.env(), testing::Contains("SLIPWAY_HINT=nomultithread"));
  EXPECT_TRUE(Of({"--gpu-bind=closest"}));
  EXPECT_THAT(Refusal({"--gpu-bind=single:1"}), HasSubstr("--gpus-per-task"));
}

TEST(Wishes, AreTheJobs) {
  v1::JobSpec spec =
      *Wishes({"--nice", "-d", "afterok:3", "-H", "--comment=words", "--priority=7", "--begin=now+60"});
  EXPECT_EQ(spec.nice(), 100) << "as Slurm's without a number";
  EXPECT_EQ(Wishes({"--nice=-5"})->nice(), -5);
  EXPECT_EQ(spec.dependency(), "afterok:3");
  EXPECT_TRUE(spec.hold());
  EXPECT_EQ(spec.comment(), "words");
  EXPECT_EQ(spec.priority(), 7U);
  EXPECT_GT(spec.begin_ms(), 0);
  EXPECT_THAT(Wishes({"--nice=x"}).error().message, HasSubstr("--nice"));
}

TEST(Wishes, MailThatIsNotSentIsSaid) {
  EXPECT_THAT(WarningsOf(Given({"--mail-type=END", "--mail-user=a@b"})), ElementsAre(HasSubstr("no mail")));
  EXPECT_THAT(WarningsOf(Given({"--mail-user=a@b"})), SizeIs(1));
  EXPECT_THAT(WarningsOf(Given({"--mail-type=NONE", "--mail-user=a@b"})), SizeIs(0));
  EXPECT_THAT(WarningsOf(Given({"-Q", "--mail-type=END"})), SizeIs(0));
}

TEST(SlurmWords, EachIsTakenOrRefusedWithACure) {
  struct {
    SlurmCommand which;
    const Subcommand& subcommand;
  } both[] = {{SlurmCommand::kSbatch, kSubmit}, {SlurmCommand::kSrun, kLaunch}};
  for (const auto& [which, subcommand] : both) {
    for (const Option& option : SlurmWords(which)) {
      bool flag = option.type == Option::kFlag || option.type == Option::kCount;
      std::string word = "--" + option.name + (flag || option.type == Option::kMaybe ? "" : "=x");
      Command command = subcommand.declare();
      auto parsed = ParseOptions(command, {word, "program"});
      ASSERT_TRUE(parsed) << word;
      auto fit = JudgeForeignOptions(command, *parsed);
      EXPECT_EQ(fit.has_value(), option.foreign == Option::kNothing) << word;
      EXPECT_FALSE(option.help.empty()) << word;
      std::string said = fit ? option.name + option.help : fit.error().message;
      EXPECT_THAT(said, AllOf(HasSubstr(option.name), HasSubstr(option.help)));
      auto same = [&](const Option& other) { return other.letter != 0 && other.letter == option.letter; };
      EXPECT_LE(std::ranges::count_if(command.options, same), 1) << "-" << option.letter << " is two options";
      EXPECT_EQ(std::ranges::count(command.options, option.name, &Option::name), 1) << option.name;
    }
  }
  auto launch = [](std::vector<std::string> words) {
    return JudgeForeignOptions(kLaunch.declare(), *ParseOptions(kLaunch.declare(), words)).has_value();
  };
  EXPECT_TRUE(launch({"-u", "-vv", "--overlap", "x"}));
  EXPECT_FALSE(launch({"--bcast", "x"}));
}

TEST(SlurmVariables, CountWhereTheCommandIsCalledByItsName) {
  std::vector<std::string> own = {"SBATCH_PARTITION=gpu", "SBATCH_EXCLUSIVE=1", "SBATCH_TIMELIMIT=5",
                                  "SBATCH_NONSENSE=1"};
  EXPECT_FALSE(FromSlurmEnvironment(SlurmCommand::kSbatch, Submit(), own)->Has("partition"));
  own.emplace_back("SLIPWAY_CALLED_AS=sbatch");
  Parsed said = *FromSlurmEnvironment(SlurmCommand::kSbatch, Submit(), own);
  EXPECT_EQ(said.Value("partition"), "gpu");
  EXPECT_TRUE(said.Has("exclusive"));
  EXPECT_EQ(said.Value("exclusive"), "");
  EXPECT_EQ(said.Value("time"), "5");
}

TEST(SlurmVariables, OfAnAllocationAreNotItsSteps) {
  auto of = [](std::vector<std::string> environment) {
    environment.emplace_back("SLIPWAY_CALLED_AS=srun");
    return *FromSlurmEnvironment(SlurmCommand::kSrun, kLaunch.declare(), environment);
  };
  EXPECT_FALSE(of({"SLURM_NTASKS=8", "SLIPWAY_NTASKS=8"}).Has("ntasks")) << "the allocation set it";
  EXPECT_EQ(of({"SLURM_NTASKS=2", "SLIPWAY_NTASKS=8"}).Value("ntasks"), "2") << "its script did";
  EXPECT_FALSE(of({"SLURM_NNODES=2", "SLIPWAY_NNODES=2"}).Has("nodes"));
  EXPECT_FALSE(of({"SLURM_CPUS_PER_TASK=4"}).Has("cpus-per-task"));
  EXPECT_EQ(of({"SRUN_CPUS_PER_TASK=4"}).Value("cpus-per-task"), "4");
  EXPECT_TRUE(of({"SLURM_LABELIO=1"}).Has("label"));
}

}  // namespace
}  // namespace slipway::cli
