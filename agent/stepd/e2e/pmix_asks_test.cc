// SPDX-License-Identifier: Apache-2.0
// What a rank may ask of its host besides data: lines among its output, signals to other ranks, and a key
// that nobody has put yet.
#include "agent/stepd/e2e/pmix_program.h"

namespace slipway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kProgram[] = R"(
#include <time.h>
static pmix_status_t Log(const char* key, const char* text, const char* about) {
  pmix_info_t line, dirs[2];
  PMIX_INFO_LOAD(&line, key, text, PMIX_STRING);
  PMIX_INFO_LOAD(&dirs[0], PMIX_LOG_KEY, "help.txt", PMIX_STRING);
  PMIX_INFO_LOAD(&dirs[1], PMIX_LOG_VAL, about, PMIX_STRING);
  return PMIx_Log(&line, 1, dirs, about ? 2 : 0);
}
static void Logs(void) {
  char text[64];
  sprintf(text, "out of %u\n", me.rank);
  MUST(Log(PMIX_LOG_STDOUT, text, NULL), PMIX_SUCCESS);
  sprintf(text, "err of %u\n", me.rank);
  MUST(Log(PMIX_LOG_STDERR, text, NULL), PMIX_SUCCESS);
  // The ranks of a node say the same: libpmix lets one of them through.
  pmix_status_t got = Log(PMIX_LOG_STDERR, "help for all\n", "topic");
  if (got != PMIX_SUCCESS && got != PMIX_OPERATION_SUCCEEDED) { printf("help gave %s\n", PMIx_Error_string(got)); _exit(8); }
  char* long_line = malloc(100001);
  memset(long_line, 'x', 100000); long_line[100000] = 0;
  MUST(Log(PMIX_LOG_STDERR, long_line, NULL), PMIX_ERR_NOT_SUPPORTED);
}
// More than the output's reader has asked for: the host says so and keeps none of it.
static void Flood(void) {
  char text[60001];
  memset(text, 'y', 60000); text[60000] = 0;
  pmix_status_t got = PMIX_SUCCESS;
  int said = 0;
  for (; said < 100 && got == PMIX_SUCCESS; ++said) got = Log(PMIX_LOG_STDOUT, text, NULL);
  if (got != PMIX_ERR_RESOURCE_BUSY) { printf("%d after %d\n", got, said); fflush(stdout); _exit(8); }
  if (said > 20) _exit(8);
}
static volatile sig_atomic_t caught = 0;
static void Catch(int number) { caught = number; }
static pmix_status_t Control(const char* what, int number, unsigned rank) {
  pmix_proc_t whom;
  pmix_info_t info, *results = NULL;
  size_t count = 0;
  bool yes = true;
  PMIX_LOAD_PROCID(&whom, me.nspace, rank);
  if (number) PMIX_INFO_LOAD(&info, what, &number, PMIX_INT);
  else PMIX_INFO_LOAD(&info, what, &yes, PMIX_BOOL);
  return PMIx_Job_control(&whom, 1, &info, 1, &results, &count);
}
static void AwaitCaught(int number) {
  for (int i = 0; i < 3000 && caught != number; ++i) usleep(10000);
  if (caught != number) { printf("%u: no signal\n", me.rank); fflush(stdout); _exit(8); }
}
static void Signals(void) {
  signal(SIGUSR1, Catch); signal(SIGUSR2, Catch);
  FenceAll();
  if (me.rank == 0) MUST(Control(PMIX_JOB_CTRL_SIGNAL, SIGUSR1, 3), PMIX_SUCCESS);  // on the other node
  if (me.rank == 3) AwaitCaught(SIGUSR1);
  FenceAll();
  if (me.rank != 3 && caught) _exit(8);
  FenceAll();
  if (me.rank == 1) MUST(Control(PMIX_JOB_CTRL_SIGNAL, SIGUSR2, PMIX_RANK_WILDCARD), PMIX_SUCCESS);
  AwaitCaught(SIGUSR2);
  FenceAll();
  MUST(Control(PMIX_JOB_CTRL_SIGNAL, 65, 0), PMIX_ERR_NOT_SUPPORTED);
  MUST(Control(PMIX_JOB_CTRL_PREEMPTIBLE, 0, 0), PMIX_ERR_NOT_SUPPORTED);
  MUST(Control(PMIX_JOB_CTRL_KILL, 0, 17), PMIX_ERR_NOT_FOUND);
}
static char StateOf(int pid) {
  char path[64], state = '?';
  sprintf(path, "/proc/%d/stat", pid);
  FILE* f = fopen(path, "r");
  if (f) { fscanf(f, "%*d %*s %c", &state); fclose(f); }
  return state;
}
static void AwaitState(int pid, char wanted, bool is) {
  for (int i = 0; i < 3000 && (StateOf(pid) == wanted) != is; ++i) usleep(10000);
  if ((StateOf(pid) == wanted) != is) { printf("%u: state %c\n", me.rank, StateOf(pid)); fflush(stdout); _exit(8); }
}
static void Pause(void) {
  Put("pid", getpid());
  FenceAll();
  if (me.rank == 2) {
    int pid = Get(3, "pid");
    MUST(Control(PMIX_JOB_CTRL_PAUSE, 0, 3), PMIX_SUCCESS);
    AwaitState(pid, 'T', true);
    MUST(Control(PMIX_JOB_CTRL_RESUME, 0, 3), PMIX_SUCCESS);
    AwaitState(pid, 'T', false);
  }
}
static void Late(const char* mode) {
  const unsigned other = (me.rank + 2) % 4;
  pmix_proc_t whom; pmix_value_t* value = NULL;
  PMIX_LOAD_PROCID(&whom, me.nspace, other);
  if (me.rank < 2 || strcmp(mode, "mute")) Put("first", 1);
  FenceAll();
  if (me.rank >= 2 && !strcmp(mode, "late")) { usleep(500000); Put("second", 40 + me.rank); }
  if (me.rank < 2) {
    pmix_info_t limit; int one = 1;
    PMIX_INFO_LOAD(&limit, PMIX_TIMEOUT, &one, PMIX_INT);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    if (!strcmp(mode, "late")) {
      MUST(PMIx_Get(&whom, "second", NULL, 0, &value), PMIX_SUCCESS);
      if (value->data.integer != 40 + (int)other) _exit(8);
    } else if (!strcmp(mode, "never")) {
      MUST(PMIx_Get(&whom, "second", NULL, 0, &value), PMIX_ERR_NOT_FOUND);
    } else {
      MUST(PMIx_Get(&whom, "second", &limit, 1, &value), PMIX_ERR_TIMEOUT);
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (after.tv_sec - before.tv_sec > 30) _exit(8);
  }
}
// Rank 3's node is told that the job stands still, and then rank 0, on the other, would have it go on.
static void Thaw(const char* folder) {
  char path[4096];
  printf("%u ready\n", me.rank); fflush(stdout);
  if (me.rank != 0) return;
  sprintf(path, "%s/go", folder);
  while (access(path, F_OK) != 0) usleep(10000);
  MUST(Control(PMIX_JOB_CTRL_RESUME, 0, 3), PMIX_ERROR);
  printf("refused\n"); fflush(stdout);
}
int main(int argc, char** argv) {
  const char* mode = argv[1];
  MUST(PMIx_Init(&me, NULL, 0), PMIX_SUCCESS);
  FenceAll();
  if (!strcmp(mode, "logs")) Logs();
  if (!strcmp(mode, "flood") && me.rank == 0) Flood();
  if (!strcmp(mode, "signals")) Signals();
  if (!strcmp(mode, "pause")) Pause();
  if (!strcmp(mode, "late") || !strcmp(mode, "never") || !strcmp(mode, "limit") || !strcmp(mode, "mute")) Late(mode);
  if (!strcmp(mode, "thaw")) Thaw(argv[2]);
  if (!strcmp(mode, "kill")) {
    if (me.rank == 0) MUST(Control(PMIX_JOB_CTRL_KILL, 0, 3), PMIX_SUCCESS);
    for (;;) pause();
  }
  FenceAll();
  printf("%u well\n", me.rank); fflush(stdout);
  MUST(PMIx_Finalize(NULL, 0), PMIX_SUCCESS);
  return 0;
}
)";

class PmixAsks : public PmixStep {
 protected:
  PmixAsks() : PmixStep(kProgram) {}
  // Both nodes' output, when all four have ended well.
  std::string Run(StepUnderTest& step) {
    EXPECT_TRUE(step.RunToEnd());
    for (int node : {0, 1}) {
      EXPECT_EQ(step[node].result->exit_code, 0)
          << step[node].result->reason << step[node].out << step[node].err;
      for (int rank : {2 * node, 2 * node + 1}) EXPECT_THAT(step[node].out, HasSubstr(Cat(rank, " well\n")));
    }
    return step[0].err + step[1].err;
  }
};

TEST_F(PmixAsks, ALineComesWhereTheRanksOutputGoes) {
  StepUnderTest step(Spec("logs"));
  Run(step);
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_THAT(step[rank / 2].out, HasSubstr(Cat("out of ", rank, "\n")));
    EXPECT_THAT(step[rank / 2].err, HasSubstr(Cat("err of ", rank, "\n")));
    EXPECT_THAT(step[rank / 2].out, Not(HasSubstr("err of")));
  }
  for (int node : {0, 1}) {
    std::size_t first = step[node].err.find("help for all");
    ASSERT_NE(first, std::string::npos);
    EXPECT_EQ(step[node].err.find("help for all", first + 1), std::string::npos) << step[node].err;
  }
}

TEST_F(PmixAsks, ALineComesIntoTheFileThatTheOutputGoesTo) {
  StepSpec spec = Spec("logs");
  spec.stdout_path = dir_ + "/all";
  StepUnderTest step(std::move(spec));
  ASSERT_TRUE(step.RunToEnd());
  std::string all = *ReadFile(dir_ + "/all");
  for (int rank = 0; rank < 4; ++rank) {
    EXPECT_THAT(all, HasSubstr(Cat("out of ", rank, "\n")));
    EXPECT_THAT(all, HasSubstr(Cat("err of ", rank, "\n")));
  }
}

TEST_F(PmixAsks, LinesThatNobodyTakesAreRefusedAndNotKept) {
  StepSpec spec = Spec("flood");
  StepUnderTest step(std::move(spec));
  step.grant_credit = false;
  Run(step);
}

TEST_F(PmixAsks, ASignalReachesJustTheRanksThatItIsFor) {
  StepUnderTest step(Spec("signals"));
  Run(step);
}

TEST_F(PmixAsks, ARankIsPausedAndResumed) {
  StepUnderTest step(Spec("pause"));
  Run(step);
}

TEST_F(PmixAsks, ARankOfASuspendedJobIsNotLetGoOnByAnother) {
  StepSpec spec = Spec("thaw");
  spec.argv.push_back(dir_);
  StepUnderTest step(std::move(spec));
  ASSERT_TRUE(step.RunUntil([&] {
    return step[0].out.find("0 ready") != std::string::npos &&
           step[1].out.find("3 ready") != std::string::npos;
  }));
  step.Send(1, StepFrame::kSuspend, true);
  ASSERT_TRUE(WriteFileAtomically(dir_ + "/go", ""));
  EXPECT_TRUE(step.RunUntil([&] { return step[0].out.find("refused") != std::string::npos; }));
  step.Send(1, StepFrame::kSuspend, false);
  Run(step);
}

TEST_F(PmixAsks, ARankThatAnotherHasKilledFailsTheStepByItsName) {
  StepUnderTest step(Spec("kill"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[1].result->exit_code, 137);
  EXPECT_THAT(step[1].result->reason, HasSubstr("rank 3"));
}

TEST_F(PmixAsks, AKeyOfAnotherNodeThatIsNotThereYetIsWaitedFor) {
  StepUnderTest step(Spec("late"));
  Run(step);
}

TEST_F(PmixAsks, AKeyThatNeverComesIsAnErrorAfterTheTimeThatIsGiven) {
  for (const char* mode : {"never", "limit", "mute"}) {  // mute: nothing at all comes
    StepUnderTest step(Spec(mode));
    Run(step);
  }
}

}  // namespace
}  // namespace slipway
