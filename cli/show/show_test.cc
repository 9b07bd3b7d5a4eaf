// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/show/grouped.h"
#include "cli/show/image_json.h"
#include "cli/show/json.h"
#include "cli/show/table.h"

namespace slipway::cli {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({{"ID", true}, {"NAME"}, {"STATE"}});
  table.Add({"7", "a", "RUNNING"});
  table.Add({"123", "löng", "-"});
  EXPECT_EQ(table.Text(false),
            " ID  NAME  STATE\n"
            "  7  a     RUNNING\n"
            "123  löng  -\n");
}

TEST(Table, CellsCannotCommandTheTerminal) {
  Table table({{"NAME"}});
  table.Add({"\033[2Jx\n"});
  EXPECT_EQ(table.Text(false), "NAME\n?[2Jx?\n");
}

TEST(Grouped, LimitsThatAreMissingForOneReasonAreOneLine) {
  EXPECT_EQ(GroupedByReason({"processes: mkdir /a: EPERM; one by one", "memory: no tree", "io: kernel",
                             "pids: no tree", "odd", "other"}),
            (std::vector<std::string>{"processes: mkdir /a: EPERM; one by one", "memory, pids: no tree",
                                      "io: kernel", "odd", "other"}));
  EXPECT_TRUE(GroupedByReason({}).empty());
}

TEST(Json, OfAJobHasThePlainStateAndNumbers) {
  v1::Job job;
  job.set_job_id(12);
  job.set_state(v1::JOB_STATE_RUNNING);
  job.set_submit_ms(1'700'000'000'123);
  job.add_nodes("n1");
  auto parsed = nlohmann::json::parse(JobJson(job));
  EXPECT_EQ(parsed["state"], "RUNNING");
  EXPECT_EQ(parsed["job_id"], 12);
  EXPECT_EQ(parsed["submit_ms"], 1'700'000'000'123);
  EXPECT_EQ(parsed["nodes"][0], "n1");
  EXPECT_EQ(parsed["ended"], false);
}

TEST(Json, ListsAreObjects) {
  EXPECT_EQ(nlohmann::json::parse(JobsJson({}))["jobs"].size(), 0u);
  EXPECT_EQ(nlohmann::json::parse(NodesJson({}))["nodes"].size(), 0u);
  EXPECT_EQ(nlohmann::json::parse(ImagesJson({}))["images"].size(), 0u);
}

TEST(JobId, OfAnArrayTaskNamesTheArray) {
  v1::Job job;
  job.set_job_id(15);
  EXPECT_EQ(JobIdText(job), "15");
  job.set_array_job_id(12);
  job.set_array_task_id(3);
  EXPECT_EQ(JobIdText(job), "12_3");
  EXPECT_EQ(StepIdText(4294967294U), "batch");
}

}  // namespace
}  // namespace slipway::cli
