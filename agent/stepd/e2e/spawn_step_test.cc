// SPDX-License-Identifier: Apache-2.0
// MPI_Comm_spawn and what goes with it, by a real Open MPI program under the real stepd and libpmix, on nodes
// that are namespaces of this machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/stepd/step_under_test.h"

namespace slipway {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kProgram[] = R"(
#include <mpi.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static int rank, size;
static void Fail(const char* what) { printf("%d: %s\n", rank, what); fflush(stdout); _exit(9); }
static int Child(const char* mode) {
  MPI_Comm parent, all;
  char name[MPI_MAX_PROCESSOR_NAME];
  int length, sum = 0, remote, *app, flag;
  MPI_Comm_get_parent(&parent);
  if (parent == MPI_COMM_NULL) Fail("no parent");
  MPI_Comm_remote_size(parent, &remote);
  MPI_Get_processor_name(name, &length);
  if (!strcmp(mode, "childdie") && rank == 1) _exit(3);
  if (!strcmp(mode, "childabort") && rank == 1) MPI_Abort(MPI_COMM_WORLD, 5);
  MPI_Intercomm_merge(parent, 1, &all);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, all);
  int pids[64], pid = getpid();
  MPI_Allgather(&pid, 1, MPI_INT, pids, 1, MPI_INT, all);
  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_APPNUM, &app, &flag);
  printf("child %d of %d of %d on %s sum %d app %d env %s\n", rank, size, remote, name, sum, flag ? *app : -1,
         getenv("SLIPWAY_RANK"));
  fflush(stdout);
  MPI_Comm_free(&all);
  MPI_Comm_disconnect(&parent);
  if (!strcmp(mode, "outlive")) {
    for (int i = 0; i < remote; ++i) {  // until both parents have ended
      struct pollfd ended = {syscall(SYS_pidfd_open, pids[i], 0), POLLIN};
      if (ended.fd >= 0 && poll(&ended, 1, 30000) != 1) Fail("the parent goes on");
    }
    printf("child %d outlived\n", rank);
    fflush(stdout);
  }
  MPI_Finalize();
  return 0;
}
static void Spawn(const char* self, const char* mode, int count, MPI_Comm among) {
  MPI_Comm children, all;
  int sum = 0;
  char* arguments[] = {"child", (char*)mode, NULL};
  MPI_Comm_spawn((char*)self, arguments, count, MPI_INFO_NULL, 0, among, &children, MPI_ERRCODES_IGNORE);
  MPI_Intercomm_merge(children, 0, &all);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, all);
  int pids[64], pid = getpid();
  MPI_Allgather(&pid, 1, MPI_INT, pids, 1, MPI_INT, all);
  printf("parent %d sum %d\n", rank, sum);
  fflush(stdout);
  MPI_Comm_free(&all);
  MPI_Comm_disconnect(&children);
}
static void Refused(const char* program, int count) {
  MPI_Comm children;
  MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
  int got = MPI_Comm_spawn((char*)program, MPI_ARGV_NULL, count, MPI_INFO_NULL, 0, MPI_COMM_SELF, &children,
                           MPI_ERRCODES_IGNORE);
  printf("%d: %s\n", rank, got == MPI_SUCCESS ? "spawned" : "refused");
  fflush(stdout);
}
int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "";
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (!strcmp(mode, "child")) return Child(argv[2]);
  if (!strcmp(mode, "universe")) {
    int *universe, flag;
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_UNIVERSE_SIZE, &universe, &flag);
    printf("universe %d\n", flag ? *universe : -1);
  } else if (!strcmp(mode, "each")) {
    Spawn(argv[0], mode, 1, MPI_COMM_SELF);
  } else if (!strcmp(mode, "again")) {
    for (int i = 0; i < 20; ++i) Spawn(argv[0], mode, 2, MPI_COMM_WORLD);
  } else if (!strcmp(mode, "multiple")) {
    MPI_Comm children, all;
    int counts[] = {1, 2}, sum = 0, ranks[64];
    MPI_Info infos[] = {MPI_INFO_NULL, MPI_INFO_NULL};
    char *a[] = {"child", "a", NULL}, *b[] = {"child", "b", NULL}, **arguments[] = {a, b};
    char* commands[] = {argv[0], argv[0]};
    MPI_Comm_spawn_multiple(2, commands, arguments, counts, infos, 0, MPI_COMM_WORLD, &children,
                            MPI_ERRCODES_IGNORE);
    MPI_Intercomm_merge(children, 0, &all);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, all);
    MPI_Allgather(&rank, 1, MPI_INT, ranks, 1, MPI_INT, all);
    MPI_Comm_free(&all);
    MPI_Comm_disconnect(&children);
  } else if (!strcmp(mode, "noroom")) {
    Refused(argv[0], 50);
  } else if (!strcmp(mode, "missing")) {
    Refused("/no/such/program", 1);
    Refused("/bin/true", 1);
    Spawn(argv[0], mode, 2, MPI_COMM_WORLD);  // and it still works
  } else if (!strcmp(mode, "accept")) {
    // Two halves of one world meet by a name as two programs would.
    MPI_Comm half, other, all;
    char port[MPI_MAX_PORT_NAME];
    int sum = 0;
    MPI_Comm_split(MPI_COMM_WORLD, rank < size / 2, rank, &half);
    if (rank == 0) {
      MPI_Open_port(MPI_INFO_NULL, port);
      MPI_Publish_name("meeting", MPI_INFO_NULL, port);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank >= size / 2) MPI_Lookup_name("meeting", MPI_INFO_NULL, port);
    if (rank < size / 2)
      MPI_Comm_accept(port, MPI_INFO_NULL, 0, half, &other);
    else
      MPI_Comm_connect(port, MPI_INFO_NULL, 0, half, &other);
    MPI_Intercomm_merge(other, rank >= size / 2, &all);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, all);
    printf("met %d sum %d\n", rank, sum);
    MPI_Comm_free(&all);
    MPI_Comm_disconnect(&other);
  } else {
    Spawn(argv[0], mode, 4, MPI_COMM_WORLD);
  }
  MPI_Finalize();
  return 0;
}
)";

class SpawnStep : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "emulated nodes need namespaces: run as root";
    dir_ = *MakeTempDirectory("/tmp", "stepd-spawn-");
    ASSERT_TRUE(WriteFileAtomically(dir_ + "/p.c", kProgram));
    auto built = RunAndCapture({.argv = {"mpicc.openmpi", "-w", "-o", dir_ + "/p", dir_ + "/p.c"}});
    if (!built || built->status.exit_code() == 127)
      GTEST_SKIP() << "no Open MPI compiler here (libopenmpi-dev)";
    ASSERT_EQ(built->status.exit_code(), 0);
  }
  void TearDown() override {
    if (!dir_.empty()) (void)RemoveTree(dir_);
  }
  // Four cores on each of two nodes, of which the ranks have one each.
  StepSpec Spec(const std::string& mode, std::uint32_t ranks = 2) {
    StepSpec spec = SpecOf(2, ranks, {dir_ + "/p", mode});
    spec.mpi = MpiKind::kPmix;
    spec.cores = 4;
    spec.env = {"LC_ALL=C", "OMPI_MCA_btl_tcp_if_include=lo", "OMPI_MCA_mpi_yield_when_idle=1"};
    return spec;
  }
  static void ExpectWell(StepUnderTest& step) {
    for (int node : {0, 1})
      EXPECT_EQ(step[node].result->exit_code, 0)
          << node << ": " << step[node].result->reason << step[node].out << step[node].err;
  }
  static std::string Said(StepUnderTest& step) {
    return Cat(step[0].out, step[0].err, step[1].out, step[1].err);
  }
  std::string dir_;
};

TEST_F(SpawnStep, GivesANewWorldOnBothNodesThatMeetsItsParent) {
  StepUnderTest step(Spec("plain"));
  ASSERT_TRUE(step.RunToEnd(std::chrono::seconds(60))) << Said(step);
  ExpectWell(step);
  // Parents 0 and 1, children 0 to 3.
  for (int child : {0, 1, 2})
    EXPECT_THAT(step[0].out, HasSubstr(Cat("child ", child, " of 4 of 2 on tnode0 sum 7 app 0 env ", child)));
  EXPECT_THAT(step[1].out,
              AllOf(HasSubstr("child 3 of 4 of 2 on tnode1 sum 7"), HasSubstr("parent 1 sum 7")));
  EXPECT_EQ(step[0].err + step[1].err, "");
}

TEST_F(SpawnStep, ByEveryRankAtOnceSharesTheRoom) {
  StepUnderTest step(Spec("each", 4));
  ASSERT_TRUE(step.RunToEnd(std::chrono::seconds(60))) << Said(step);
  ExpectWell(step);
}

TEST_F(SpawnStep, AgainAndAgainFindsTheRoomOfThoseThatEnded) {
  StepUnderTest step(Spec("again"));
  ASSERT_TRUE(step.RunToEnd(std::chrono::seconds(110))) << Said(step);
  ExpectWell(step);
}

TEST_F(SpawnStep, OfSeveralProgramsNumbersThem) {
  StepUnderTest step(Spec("multiple"));
  ASSERT_TRUE(step.RunToEnd(std::chrono::seconds(60))) << Said(step);
  ExpectWell(step);
  std::string all = step[0].out + step[1].out;
  EXPECT_THAT(all, AllOf(HasSubstr("child 0 of 3 of 2"), HasSubstr("app 0"), HasSubstr("app 1")));
}

TEST_F(SpawnStep, WithoutRoomIsAnErrorThatSaysWhatToChange) {
  StepUnderTest step(Spec("noroom"));
  ASSERT_TRUE(step.RunToEnd(std::chrono::seconds(60))) << Said(step);
  ExpectWell(step);
  EXPECT_THAT(step[0].out, HasSubstr("0: refused"));
  EXPECT_THAT(step[0].err, AllOf(HasSubstr("rank 0 got no more ranks: 50 ranks were asked for"),
                                 HasSubstr("6 are free"), HasSubstr("-n")));
}

TEST_F(SpawnStep, OfWhatIsNotThereOrNoMpiProgramIsAnErrorAndLeavesTheRoom) {
  StepUnderTest step(Spec("missing"));
  ASSERT_TRUE(step.RunToEnd(std::chrono::seconds(60))) << Said(step);
  ExpectWell(step);
  EXPECT_THAT(step[0].out, AllOf(HasSubstr("0: refused\n0: refused\n"), HasSubstr("parent 0 sum 2")));
  EXPECT_THAT(step[0].err, HasSubstr("exited with code 0 before it had called MPI_Init"));
}

TEST_F(SpawnStep, EndsWithTheCodeOfASpawnedRank) {
  StepUnderTest dies(Spec("childdie"));
  ASSERT_TRUE(dies.RunToEnd(std::chrono::seconds(60))) << Said(dies);
  EXPECT_EQ(dies[0].result->exit_code, 3) << dies[0].result->reason;
  EXPECT_THAT(dies[1].result->reason, HasSubstr("rank 1 of spawned world 1 on tnode0 exited with code 3"));
  StepUnderTest aborts(Spec("childabort"));
  ASSERT_TRUE(aborts.RunToEnd(std::chrono::seconds(60))) << Said(aborts);
  EXPECT_EQ(aborts[1].result->exit_code, 5);
  EXPECT_THAT(aborts[1].result->reason, HasSubstr("spawned world 1 on tnode0 called MPI_Abort with code 5"));
}

TEST_F(SpawnStep, ChildrenOutliveTheirParents) {
  StepUnderTest step(Spec("outlive"));
  ASSERT_TRUE(step.RunToEnd(std::chrono::seconds(60))) << Said(step);
  ExpectWell(step);
  EXPECT_THAT(step[0].out, HasSubstr("child 0 outlived"));
  EXPECT_THAT(step[1].out, HasSubstr("child 3 outlived"));
}

TEST_F(SpawnStep, UniverseIsWhatTheStepHasCoresFor) {
  StepUnderTest step(Spec("universe"));
  ASSERT_TRUE(step.RunToEnd()) << Said(step);
  EXPECT_THAT(step[0].out, HasSubstr("universe 8\n"));
}

TEST_F(SpawnStep, PortsAndNamesJoinGroupsThatWereApart) {
  StepUnderTest step(Spec("accept", 4));
  ASSERT_TRUE(step.RunToEnd(std::chrono::seconds(60))) << Said(step);
  ExpectWell(step);
  EXPECT_THAT(step[1].out, AllOf(HasSubstr("met 2 sum 6"), HasSubstr("met 3 sum 6")));
}

}  // namespace
}  // namespace slipway
