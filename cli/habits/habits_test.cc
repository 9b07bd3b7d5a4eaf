// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/habits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/text/text.h"
#include "cli/habits/declared/declared.h"
#include "cli/habits/job_fields.h"
#include "cli/habits/job_filter.h"
#include "cli/habits/sacct_fields.h"
#include "cli/habits/scontrol_words.h"
#include "cli/habits/show_records.h"
#include "cli/habits/sinfo_fields.h"
#include "cli/habits/words.h"

namespace slipway::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Job Running() {
  v1::Job job;
  job.set_job_id(12);
  job.set_name("relax");
  job.set_user("ann");
  job.set_uid(1000);
  job.set_state(v1::JOB_STATE_RUNNING);
  job.set_submit_ms(1'000);
  job.set_start_ms(2'000);
  job.set_end_ms(3'725'000);
  job.add_nodes("n1");
  job.add_nodes("n2");
  job.mutable_resources()->set_tasks(8);
  job.mutable_resources()->set_cores_per_task(2);
  job.mutable_resources()->set_time_limit_s(7200);
  return job;
}
std::string Queue(const char* format, const v1::Job& job) {
  return Line(*ParseLetters(format, LetterIn(JobFields())), TextsOf(JobFields(), job));
}

TEST(Habits, EveryInstalledNameIsAnsweredTo) {
  std::vector<std::string> names;
  for (const Habit& habit : Habits()) {
    names.push_back(habit.name);
    auto known = std::ranges::any_of(CommandsWithHabits(),
                                     [&](const Subcommand* one) { return one->words[0] == habit.means; });
    EXPECT_TRUE(known) << habit.name;
  }
  EXPECT_EQ(Join(names, ","), SLIPWAY_HABIT_NAMES);
}

TEST(Habits, EachDeclarationHasEveryLetterOnce) {
  for (const Subcommand* command : {&kSqueue, &kSinfo, &kSacct, &kScontrol, &kSprio, &kSshare, &kSattach}) {
    std::set<std::string> seen;
    for (const Option& option : command->declare().options) {
      EXPECT_TRUE(seen.insert("--" + option.name).second) << command->words[0] << " --" << option.name;
      if (option.letter == 0) continue;
      EXPECT_TRUE(seen.insert(std::string("-") + option.letter).second)
          << command->words[0] << " -" << option.letter;
    }
  }
}

TEST(Habits, SqueueShowsWhatScriptsParse) {
  v1::Job job = Running();
  EXPECT_EQ(Queue("%i %T %t %u %D %C %N", job), "12 RUNNING R ann 2 16 n[1-2]\n");
  EXPECT_EQ(Queue("%M %l", job), "1:02:03 2:00:00\n");
  job.clear_nodes();
  job.set_state(v1::JOB_STATE_PENDING);
  job.set_reason("next in line; waits until enough nodes, cores or memory are free");
  EXPECT_EQ(Queue("%t %r %R", job), "PD Resources (Resources)\n");
  for (const auto& field : JobFields()) EXPECT_NO_THROW((void)field.text(job)) << field.name;
}

TEST(Habits, NoLetterMeansTwoThings) {
  std::set<char> seen;
  for (const auto& field : JobFields())
    EXPECT_TRUE(field.letter == 0 || seen.insert(field.letter).second) << field.name;
  seen.clear();
  for (const auto& field : NodeGroupFields())
    EXPECT_TRUE(field.letter == 0 || seen.insert(field.letter).second) << field.name;
}

TEST(Habits, SacctHasALineOfEachStep) {
  v1::Job job = Running();
  job.set_state(v1::JOB_STATE_FAILED);
  job.set_exit_code(128 + 9);
  v1::Step& step = *job.add_steps();
  step.set_step_id(4294967294);
  step.set_state("COMPLETED");
  step.set_tasks(1);
  step.add_nodes("n1");
  step.add_parts()->mutable_usage()->set_memory_peak_bytes(3 << 20);
  auto line = [&](JobLine row) {
    return TableLine(*ParseTable("jobid,state,exitcode,maxrss,nodelist,elapsed", NameIn(JobLineFields()),
                                 WidthsOf(JobLineFields())),
                     {.delimiter = '|'}, TextsOf(JobLineFields(), row));
  };
  EXPECT_EQ(line({.job = &job}), "12|FAILED|0:9||n[1-2]|01:02:03\n");
  EXPECT_EQ(line({.job = &job, .step = &job.steps(0)}), "12.batch|COMPLETED|0:0|3072K|n1|00:00:00\n");
}

TEST(Habits, ScontrolShowsLinesToGrep) {
  std::string text = Text(RecordOf(Running()), false);
  EXPECT_THAT(text, HasSubstr("JobId=12 JobName=relax\n"));
  EXPECT_THAT(text, HasSubstr("\n   JobState=RUNNING Reason=None"));
  EXPECT_EQ(std::ranges::count(Text(RecordOf(Running()), true), '\n'), 1);
  v1::Node node;
  node.set_name("n1");
  node.set_state("DRAINED");
  node.set_reason("memory\x1b[31m");
  EXPECT_THAT(Text(RecordOf(node), false), HasSubstr("State=IDLE+DRAIN"));
  EXPECT_EQ(Text(RecordOf(node), false).find('\x1b'), std::string::npos);
}

TEST(Habits, ScontrolChangesInOurWords) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(*ScontrolWords({"hold", "12,13", "14"}), (Words{"hold", "12", "13", "14"}));
  EXPECT_EQ(*ScontrolWords({"update", "JobId=12", "TimeLimit=2:00:00"}),
            (Words{"update", "--time=2:00:00", "12"}));
  EXPECT_EQ(*ScontrolWords({"update", "NodeName=n[1-2]", "State=DRAIN", "Reason=new memory"}),
            (Words{"node", "drain", "n[1-2]", "--reason=new memory"}));
  EXPECT_EQ(*ScontrolWords({"update", "nodename=n1", "state=resume"}), (Words{"node", "resume", "n1"}));
  EXPECT_EQ(*ScontrolWords({"create", "reservation", "ReservationName=r", "Nodes=n1", "Duration=60"}),
            (Words{"reservation", "create", "r", "--nodes=n1", "--duration=60"}));
  EXPECT_EQ(*ScontrolWords({"delete", "ReservationName=r"}), (Words{"reservation", "delete", "r"}));
  EXPECT_TRUE(ScontrolWords({"show", "job"})->empty());
}

TEST(Habits, WhatScontrolHasNotIsRefusedWithTheCure) {
  EXPECT_THAT(ScontrolWords({"reconfigure"}).error().message, HasSubstr("restart"));
  EXPECT_THAT(ScontrolWords({"update", "JobId=1", "Partition=x"}).error().message,
              HasSubstr("slipway update"));
  EXPECT_THAT(ScontrolWords({"update", "NodeName=n1", "State=DOWN"}).error().message, HasSubstr("fenced"));
  EXPECT_FALSE(ScontrolWords({"update", "JobId"}));
  EXPECT_FALSE(ScontrolWords({"update"}));
  EXPECT_FALSE(ScontrolWords({"delete", "Nodes=x"}));
}

TEST(Habits, StatesHaveLongAndShortNames) {
  EXPECT_THAT(*StatesOf("pd,RUNNING"), ElementsAre(v1::JOB_STATE_PENDING, v1::JOB_STATE_RUNNING));
  EXPECT_GT(StatesOf("all")->size(), 10u);
  EXPECT_FALSE(StatesOf("RUNING"));
  EXPECT_THAT(*StatesOf("F,BF,REQUEUED"), ElementsAre(v1::JOB_STATE_UNSPECIFIED, v1::JOB_STATE_FAILED))
      << "scripts list all of Slurm's; no job is in the others";
}

TEST(Habits, AFilterTakesArrayTasksByEitherName) {
  v1::Job job = Running();
  job.set_array_job_id(10);
  job.set_array_task_id(3);
  for (const char* id : {"10", "10_3", "12"}) EXPECT_TRUE(JobFilter{.ids = {id}}.Takes(job)) << id;
  EXPECT_FALSE(JobFilter{.ids = {"10_4"}}.Takes(job));
  EXPECT_TRUE(JobFilter{.nodes = {"n2"}}.Takes(job));
  EXPECT_FALSE(JobFilter{.users = {"bob"}}.Takes(job));
  EXPECT_TRUE(JobFilter{.users = {"1000"}}.Takes(job));
}

TEST(Habits, PastMomentsLieInThePast) {
  constexpr std::int64_t kNow = 1'700'000'000'000;
  EXPECT_EQ(*PastMoment("now-2hours", kNow, "-S"), kNow - 7'200'000);
  EXPECT_LE(*PastMoment("today", kNow, "-S"), kNow);
  EXPECT_LE(*PastMoment("23:59", kNow, "-S"), kNow);
  EXPECT_LT(*PastMoment("2023-01-01", kNow, "-S"), kNow);
  EXPECT_FALSE(PastMoment("yesteryear", kNow, "-S"));
}

}  // namespace
}  // namespace slipway::cli
