// SPDX-License-Identifier: Apache-2.0
// A real Open MPI program under the real stepd and libpmix, on nodes that are namespaces of this machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "agent/stepd/step_under_test.h"

namespace slipway {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kProgram[] = R"(
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "";
  if (!strcmp(mode, "never") && !strcmp(getenv("SLIPWAY_RANK"), "1")) return 0;
  MPI_Init(&argc, &argv);
  int rank, size, sum = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (!strcmp(mode, "abort") && rank == 1) MPI_Abort(MPI_COMM_WORLD, 7);
  if (!strcmp(mode, "die") && rank == size - 1) _exit(11);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  char name[MPI_MAX_PROCESSOR_NAME];
  int length;
  MPI_Get_processor_name(name, &length);
  printf("rank %d of %d on %s sum %d\n", rank, size, name, sum);
  fflush(stdout);
  if (!strcmp(mode, "nofinalize")) _exit(0);
  MPI_Finalize();
  return 0;
}
)";

class MpiStep : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "emulated nodes need namespaces: run as root";
    dir_ = *MakeTempDirectory("/tmp", "stepd-mpi-");
    ASSERT_TRUE(WriteFileAtomically(dir_ + "/p.c", kProgram));
    auto built = RunAndCapture({.argv = {"mpicc.openmpi", "-o", Program(), dir_ + "/p.c"}});
    if (!built || built->status.exit_code() != 0)
      GTEST_SKIP() << "no Open MPI compiler here (libopenmpi-dev)";
  }
  void TearDown() override {
    if (!dir_.empty()) (void)RemoveTree(dir_);
  }
  std::string Program() const { return dir_ + "/p"; }
  StepSpec Spec(std::uint32_t nodes, std::uint32_t ranks, const std::string& mode = "") {
    StepSpec spec = SpecOf(nodes, ranks, {Program(), mode});
    spec.mpi = MpiKind::kPmix;
    spec.env = {"LC_ALL=C", "OMPI_MCA_btl_tcp_if_include=lo", "OMPI_MCA_mpi_yield_when_idle=1"};
    return spec;
  }
  std::string dir_;
};

TEST_F(MpiStep, IsOneWorldOfAllRanksOnTwoNodes) {
  StepUnderTest step(Spec(2, 4));
  ASSERT_TRUE(step.RunToEnd());
  for (int node : {0, 1}) {
    EXPECT_EQ(step[node].result->exit_code, 0) << step[node].result->reason << step[node].err;
    for (int rank : {2 * node, 2 * node + 1}) {
      EXPECT_THAT(step[node].out, HasSubstr(Cat("rank ", rank, " of 4 on tnode", node, " sum 6\n")));
    }
    for (auto& rank : step[node].result->ranks) EXPECT_TRUE(rank.connected);
    EXPECT_EQ(step[node].err, "");
    for (auto& lap : step[node].result->laps) std::printf("%d %s %u us\n", node, lap.name.c_str(), lap.us);
  }
}

TEST_F(MpiStep, OnOneNode) {
  StepUnderTest step(Spec(1, 2));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 0) << step[0].result->reason << step[0].err;
  EXPECT_THAT(step[0].out, AllOf(HasSubstr("rank 0 of 2"), HasSubstr("rank 1 of 2")));
  for (auto& lap : step[0].result->laps) std::printf("%s %u us\n", lap.name.c_str(), lap.us);
}

TEST_F(MpiStep, OnFourNodes) {
  StepUnderTest step(Spec(4, 8));
  ASSERT_TRUE(step.RunToEnd());
  for (int node = 0; node < 4; ++node) {
    EXPECT_EQ(step[node].result->exit_code, 0) << step[node].result->reason << step[node].err;
    EXPECT_THAT(step[node].out, HasSubstr(Cat("of 8 on tnode", node, " sum 28\n")));
  }
}

TEST_F(MpiStep, WorksBesideWhatAnEnclosingSlurmJobLeft) {
  StepSpec spec = Spec(2, 4);
  for (const char* line : {"SLURM_JOBID=9", "SLURM_NODELIST=elsewhere", "SLURM_STEP_ID=0", "PMIX_RANK=5",
                           "PMIX_SERVER_URI4=x;tcp4://127.0.0.1:1"}) {
    spec.env.push_back(line);
  }
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 0) << step[0].result->reason << step[0].err;
  EXPECT_THAT(step[0].out, HasSubstr("rank 0 of 4"));
}

TEST_F(MpiStep, EndsWithTheCodeOfMpiAbortOnEveryNode) {
  StepUnderTest step(Spec(2, 4, "abort"));
  ASSERT_TRUE(step.RunToEnd());
  for (int node : {0, 1}) {
    EXPECT_EQ(step[node].result->exit_code, 7);
    EXPECT_EQ(step[node].result->reason, "rank 1 on tnode0 called MPI_Abort with code 7");
  }
}

TEST_F(MpiStep, EndsWithTheCodeOfARankThatDies) {
  StepUnderTest step(Spec(2, 4, "die"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 11);
  EXPECT_EQ(step[1].result->reason, "rank 3 on tnode1 exited with code 11");
}

TEST_F(MpiStep, FailsWhenARankNeverCallsMpiInit) {
  StepUnderTest step(Spec(1, 2, "never"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 1);
  EXPECT_THAT(step[0].result->reason, AllOf(HasSubstr("rank 1 on tnode0"), HasSubstr("--mpi=none")));
  EXPECT_FALSE(step[0].result->ranks.at(1).connected);
}

// 0 when a process of that uid that connects to the port is shut out before it has said anything.
int KnockAs(uid_t uid, std::uint16_t port) {
  auto child = Clone3({});
  if (*child) return child->Wait()->exit_code();
  if (::setresgid(uid, uid, uid) < 0 || ::setresuid(uid, uid, uid) < 0) ::_exit(2);
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) ::_exit(3);
  timeval two_seconds{.tv_sec = 2};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &two_seconds, sizeof two_seconds);
  char byte;
  ::_exit(::recv(fd, &byte, 1, 0) < 0 && errno == EAGAIN ? 1 : 0);
}

TEST_F(MpiStep, IsClosedToOtherUsersOfTheNode) {
  StepSpec spec = Spec(1, 2);
  spec.interactive_stdin = true;
  spec.argv = {"/bin/sh", "-c",
               Cat("[ $SLIPWAY_RANK = 0 ] && echo $PMIX_SERVER_URI41 && read line; exec ", Program())};
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunUntil([&] { return step[0].out.ends_with('\n'); }));
  int port = std::atoi(step[0].out.substr(step[0].out.rfind(':') + 1).c_str());
  ASSERT_GT(port, 0) << step[0].out;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(KnockAs(20778, static_cast<std::uint16_t>(port)), 0);
  step.Send(0, StepFrame::kStdin, StepStdin{.bytes = "go\n", .eof = true});
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 0) << step[0].result->reason;  // its own ranks still got in
  EXPECT_THAT(step[0].out, HasSubstr("rank 0 of 2"));
}

// What the trap is: without our variables each rank is a job of one, exits 0 and nobody notices.
TEST_F(MpiStep, NoticesThatRanksBecameSingletons) {
  StepSpec spec = Spec(1, 2);
  spec.env.push_back("OMPI_MCA_schizo=orte");
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 1) << step[0].out;
  EXPECT_THAT(step[0].result->reason, HasSubstr("no part of the job"));
}

TEST_F(MpiStep, NamesTheRanksThatNeverConnected) {
  StepSpec spec = Spec(1, 2);
  spec.argv = {"/bin/sh", "-c", Cat("[ $SLIPWAY_RANK = 1 ] && exec sleep 60; exec ", Program())};
  spec.wireup_timeout_s = 2;
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 1);
  EXPECT_THAT(step[0].result->reason, AllOf(HasSubstr("missing: 1"), HasSubstr("2 s")));
}

TEST_F(MpiStep, NamesTheNodeThatIsGone) {
  StepUnderTest step(Spec(2, 2));
  step.carry_exchange = false;  // nothing comes through, as when the other node is dead
  step.Send(0, StepFrame::kPeerGone, StepPeerGone{.node = 1, .reason = "no heartbeat"});
  ASSERT_TRUE(step.RunUntil([&] { return step[0].result.has_value(); }));
  EXPECT_THAT(step[0].result->reason, HasSubstr("node tnode1 is gone: no heartbeat"));
}

TEST_F(MpiStep, SurvivesAgentsThatTakeFramesWithThem) {
  StepUnderTest step(Spec(2, 4));
  step.carry_exchange = false;
  ASSERT_TRUE(step.RunUntil([&] { return step[0].state && step[1].state; }));
  EXPECT_FALSE(step.RunUntil([] { return false; }, std::chrono::seconds(1)));
  step.carry_exchange = true;
  step.Attach(0);
  step.Attach(1);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 0) << step[0].result->reason;
  EXPECT_THAT(step[1].out, HasSubstr("sum 6"));
}

TEST_F(MpiStep, SaysThatARankLeftWithoutFinalize) {
  StepUnderTest step(Spec(1, 1, "nofinalize"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 0);
  EXPECT_THAT(step[0].err, HasSubstr("without having called MPI_Finalize"));
}

}  // namespace
}  // namespace slipway
