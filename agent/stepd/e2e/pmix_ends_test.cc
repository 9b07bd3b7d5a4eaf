// SPDX-License-Identifier: Apache-2.0
// Ranks that die or end under the others, and nodes that do.
#include "agent/stepd/e2e/pmix_program.h"

namespace slipway {
namespace {

using ::testing::HasSubstr;

constexpr char kProgram[] = R"(
// Rank 3 ends in one of three ways; the others hear of it and go on.
static volatile int end_code = 0, end_rank = -1, dead = 0;
static void Ended(size_t id, pmix_status_t status, const pmix_proc_t* source, pmix_info_t* info, size_t n,
                  pmix_info_t* results, size_t m, pmix_event_notification_cbfunc_fn_t done, void* context) {
  for (size_t i = 0; i < n; ++i)
    if (PMIX_CHECK_KEY(&info[i], PMIX_EVENT_AFFECTED_PROC)) end_rank = info[i].value.data.proc->rank;
  if (end_rank >= 0) dead |= 1 << end_rank;
  end_code = status;
  if (done) done(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, context);
}
static int GoOnWithoutRank3(const char* mode) {
  pmix_status_t codes[] = {PMIX_ERR_PROC_ABORTED, PMIX_ERR_PROC_ABORTED_BY_SIG, PMIX_ERR_PROC_TERM_WO_SYNC};
  PMIx_Register_event_handler(codes, 3, NULL, 0, Ended, NULL, NULL);
  FenceAll();
  if (me.rank == 3 && !strcmp(mode, "end by signal")) raise(SIGKILL);
  if (me.rank == 3) _exit(strcmp(mode, "end by error") ? 0 : 7);
  for (int i = 0; !end_code && i < 2000; ++i) usleep(10000);
  printf("%u: rank %d %s\n", me.rank, end_rank, PMIx_Error_string(end_code)); fflush(stdout);
  pmix_proc_t left[3];
  for (int i = 0; i < 3; ++i) PMIX_LOAD_PROCID(&left[i], me.nspace, i);
  MUST(PMIx_Fence(left, 3, NULL, 0), PMIX_SUCCESS);
  printf("%u well\n", me.rank); fflush(stdout);
  PMIx_Finalize(NULL, 0);
  return 0;
}
// Ranks 2 and 3 are on a node that dies.
static int GoOnWithoutNode(int all_wait) {
  pmix_status_t codes[] = {PMIX_ERR_PROC_ABORTED};
  pmix_proc_t left[2];
  if (me.rank < 2) PMIx_Register_event_handler(codes, 1, NULL, 0, Ended, NULL, NULL);
  FenceAll();
  printf("%u there\n", me.rank); fflush(stdout);
  alarm(60);
  if (me.rank > 1) pause();
  if (me.rank == 0 || all_wait) printf("open: %s\n", PMIx_Error_string(PMIx_Fence(NULL, 0, NULL, 0)));
  for (int i = 0; dead != 12 && i < 2000; ++i) usleep(10000);
  if (me.rank == 1) printf("open: %s\n", PMIx_Error_string(PMIx_Fence(NULL, 0, NULL, 0)));
  printf("%u: dead %d\n", me.rank, dead);
  for (int i = 0; i < 2; ++i) PMIX_LOAD_PROCID(&left[i], me.nspace, i);
  MUST(PMIx_Fence(left, 2, NULL, 0), PMIX_SUCCESS);
  printf("%u well\n", me.rank); fflush(stdout);
  PMIx_Finalize(NULL, 0);
  return 0;
}
// Ranks 2 and 3 end well, long before the others.
static int OutliveNode(void) {
  pmix_status_t codes[] = {PMIX_ERR_PROC_ABORTED, PMIX_ERR_PROC_ABORTED_BY_SIG, PMIX_ERR_PROC_TERM_WO_SYNC};
  char line[8];
  if (me.rank < 2) PMIx_Register_event_handler(codes, 3, NULL, 0, Ended, NULL, NULL);
  FenceAll();
  if (me.rank == 0 && !fgets(line, sizeof line, stdin)) return 8;
  if (me.rank == 0) { usleep(200000); printf("dead %d\n", dead); fflush(stdout); }
  pmix_proc_t left[2];
  for (int i = 0; i < 2; ++i) PMIX_LOAD_PROCID(&left[i], me.nspace, i);
  if (me.rank < 2) MUST(PMIx_Fence(left, 2, NULL, 0), PMIX_SUCCESS);
  PMIx_Finalize(NULL, 0);
  return 0;
}
int main(int argc, char** argv) {
  const char* mode = argv[1];
  MUST(PMIx_Init(&me, NULL, 0), PMIX_SUCCESS);
  if (!strcmp(mode, "node ends")) return OutliveNode();
  if (!strcmp(mode, "node dies")) return GoOnWithoutNode(0);
  if (!strcmp(mode, "node dies under all")) return GoOnWithoutNode(1);
  return GoOnWithoutRank3(mode);
}
)";

class PmixEnds : public PmixStep {
 protected:
  PmixEnds() : PmixStep(kProgram) {}
};

TEST_F(PmixEnds, GoesOnWithoutARankWhereAskedToAndTellsTheOthers) {
  struct Case {
    const char *mode, *code;
    int exit_code;
  };
  for (const Case& one :
       {Case{"end by signal", "PROC-ABORTED-BY-SIG", 137}, Case{"end by error", "PROC-ABORTED", 7},
        Case{"end early", "PROC TERMINATED WITHOUT SYNC", 0}}) {
    StepSpec spec = Spec(one.mode);
    spec.kill_on_bad_exit = false;
    StepUnderTest step(spec);
    ASSERT_TRUE(step.RunToEnd()) << step[0].out << step[1].out;
    EXPECT_EQ(step[0].result->exit_code, 0) << step[0].result->reason;
    EXPECT_EQ(step[1].result->exit_code, one.exit_code) << step[1].result->reason;
    for (int rank : {0, 1, 2}) {
      const std::string& out = step[rank / 2].out;
      EXPECT_THAT(out, HasSubstr(Cat(rank, ": rank 3 ")));
      EXPECT_THAT(out, HasSubstr(one.code));
      EXPECT_THAT(out, HasSubstr(Cat(rank, " well\n")));
    }
  }
}

TEST_F(PmixEnds, GoesOnWithoutADeadNodeWhereAskedToAndTellsOfEachOfItsRanks) {
  StepSpec spec = Spec("node dies");
  spec.kill_on_bad_exit = false;
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunUntil([&] { return step[1].out.ends_with("there\n") && step[1].out.size() > 10; }));
  step.LoseNode(1, "no heartbeat");
  ASSERT_TRUE(step.RunUntil([&] { return step[0].result.has_value(); })) << step[0].out << step[0].err;
  EXPECT_EQ(step[0].result->exit_code, 0) << step[0].result->reason << step[0].out;
  EXPECT_THAT(step[0].err, HasSubstr("node tnode1 is gone (no heartbeat); its ranks are taken for dead"));
  for (const char* line : {"0: dead 12\n", "1: dead 12\n", "0 well\n", "1 well\n"})
    EXPECT_THAT(step[0].out, HasSubstr(line));
  // A fence over that node ends at once, whether it was open or not.
  EXPECT_THAT(step[0].out, HasSubstr("open: LOST_CONNECTION\n"));
  EXPECT_EQ(step[0].out.find("open: SUCCESS"), std::string::npos);
}

TEST_F(PmixEnds, ADeadNodeFailsTheFenceThatIsOpenWithItsName) {
  StepUnderTest step(Spec("node dies under all"));
  ASSERT_TRUE(step.RunUntil([&] { return step[1].out.ends_with("there\n") && step[1].out.size() > 10; }));
  step.LoseNode(1, "no heartbeat");
  ASSERT_TRUE(step.RunUntil([&] { return step[0].result.has_value(); }));
  EXPECT_EQ(step[0].result->exit_code, 1);
  EXPECT_THAT(step[0].result->reason, HasSubstr("node tnode1 is gone: no heartbeat"));
}

TEST_F(PmixEnds, ANodeWhoseRanksHaveEndedIsNotTakenForDead) {
  StepSpec spec = Spec("node ends");
  spec.kill_on_bad_exit = false;
  spec.interactive_stdin = true;
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunUntil([&] { return step[1].result.has_value(); }));
  step.Send(0, StepFrame::kPeerGone, StepPeerGone{1, "its part of the step has ended", true});
  step.Send(0, StepFrame::kStdin, StepStdin{.bytes = "go\n", .eof = true});
  ASSERT_TRUE(step.RunUntil([&] { return step[0].result.has_value(); })) << step[0].out;
  EXPECT_THAT(step[0].out, HasSubstr("dead 0\n"));
  EXPECT_EQ(step[0].err.find("taken for dead"), std::string::npos) << step[0].err;
}

}  // namespace
}  // namespace slipway
