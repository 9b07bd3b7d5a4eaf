// SPDX-License-Identifier: Apache-2.0
// MPICH, which speaks PMI-1, and ranks that speak PMI by hand, under the real stepd, on nodes that are
// namespaces of this machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/stepd/step_under_test.h"

namespace slipway {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr char kProgram[] = R"(
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "";
  int rank, size, sum = 0;
  if (!strcmp(mode, "session")) {
    MPI_Session session;
    MPI_Group group;
    MPI_Comm world;
    MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_ARE_FATAL, &session);
    MPI_Group_from_session_pset(session, "mpi://WORLD", &group);
    MPI_Comm_create_from_group(group, "tag", MPI_INFO_NULL, MPI_ERRORS_ARE_FATAL, &world);
    MPI_Comm_rank(world, &rank);
    MPI_Comm_size(world, &size);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, world);
    printf("rank %d of %d sum %d in a session\n", rank, size, sum);
    fflush(stdout);
    _exit(0);
  }
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (!strcmp(mode, "abort") && rank == 1) MPI_Abort(MPI_COMM_WORLD, 7);
  if (!strcmp(mode, "die") && rank == size - 1) _exit(11);
  if (!strcmp(mode, "names")) {
    char port[MPI_MAX_PORT_NAME] = "port#of#rank#0", found[MPI_MAX_PORT_NAME] = "";
    if (rank == 0) MPI_Publish_name("service", MPI_INFO_NULL, port);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == size - 1) MPI_Lookup_name("service", MPI_INFO_NULL, found);
    if (rank == size - 1) printf("found: %s\n", found);
  }
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  printf("rank %d of %d sum %d\n", rank, size, sum);
  fflush(stdout);
  _exit(0);  // MPICH 4.0 over UCX's TCP hangs in MPI_Finalize now and then, under its own mpiexec too (docs/mpi.md)
}
)";

// $1: what to do. Speaks PMI-1 (or, "two", PMI-2) on its own.
constexpr char kByHand[] = R"(
import os, socket, sys
rank, size, mode = int(os.environ["PMI_RANK"]), int(os.environ["PMI_SIZE"]), sys.argv[1]
if "PMI_PORT" in os.environ:
    host, port = os.environ["PMI_PORT"].split(":")
    s = socket.create_connection((host, int(port)))
else:
    s = socket.socket(fileno=int(os.environ["PMI_FD"]))
def ask(line):
    s.sendall(line.encode() + b"\n")
    return s.makefile().readline().strip()
def ask2(command):
    s.sendall(b"%6d" % len(command) + command.encode())
    return s.recv(int(s.recv(6))).decode()
if "PMI_PORT" in os.environ and mode != "two":
    assert "PMI_FD" not in os.environ
    s.sendall(b"cmd=initack pmiid=%d\n" % int(os.environ["PMI_ID"]))
    said = ""
    while said.count("\n") < 4: said += s.recv(1000).decode()
    assert said == "cmd=initack\ncmd=set size=%d\ncmd=set rank=%d\ncmd=set debug=0\n" % (size, rank), said
if mode == "child":
    ask("cmd=init pmi_version=1 pmi_subversion=1")
    appnum = ask("cmd=get_appnum")
    ask("cmd=put kvsname=x key=c%d value=v%d" % (rank, rank))
    ask("cmd=barrier_in")
    print("child", rank, "of", size, "spawned", os.environ["PMI_SPAWNED"], appnum, ask("cmd=get kvsname=x key=PARENT_ROOT_PORT_NAME"),
          ask("cmd=get kvsname=x key=c%d" % (size - 1 - rank)), len(os.sched_getaffinity(0)), flush=True)
    ask("cmd=finalize")
    sys.exit(0)
if mode == "spawn":
    ask("cmd=init pmi_version=1 pmi_subversion=1")
    spawn = "mcmd=spawn\nnprocs=4\nexecname=%s\ntotspawns=1\nspawnssofar=1\narg1=%s\narg2=child\nargcnt=2\n" \
            "preput_num=1\npreput_key_0=PARENT_ROOT_PORT_NAME\npreput_val_0=tag#0$host\n" % (sys.executable, sys.argv[0])
    if rank == 0:
        print("other image:", ask(spawn + "info_num=1\ninfo_key_0=container_image\ninfo_val_0=tools:2\nendcmd"), flush=True)
        print("spawned:", ask(spawn + "info_num=0\nendcmd"), flush=True)
    ask("cmd=barrier_in")
    ask("cmd=finalize")
    sys.exit(0)
if mode == "garbage" and rank == 1:
    s.sendall(os.urandom(100000).replace(b"\n", b"x") + b"\n"); s.recv(1); sys.exit(0)
if mode == "two":
    ask("cmd=init pmi_version=2 pmi_subversion=0")
    print(ask2("cmd=fullinit;pmirank=%d;threaded=FALSE;" % rank))
    ask2("cmd=kvs-put;key=k%d;value=v%d;" % (rank, rank))
    ask2("cmd=kvs-fence;")
    print(ask2("cmd=kvs-get;jobid=;srcid=-1;key=k%d;" % (size - 1 - rank)), flush=True)
    ask2("cmd=finalize;")
    sys.exit(0)
ask("cmd=init pmi_version=1 pmi_subversion=1")
if mode.startswith("hang"):
    ask("cmd=barrier_in")
    if rank == 1 or (mode == "hang2" and rank == 2): import time; time.sleep(600)
if mode.startswith("leave-") and rank != 1:
    import time; time.sleep(0.3)  # rank 1 is gone when the others enter: right in any order, wrong once in this one
if mode.startswith("leave-") and rank == 1: sys.exit(0)
if mode == "leave" and rank == 1: sys.exit(0)
if mode == "leave3" and rank == 1: sys.exit(3)
if mode == "never" and rank == 1:
    import time; time.sleep(600)
ask("cmd=put kvsname=x key=k%d value=v%d" % (rank, rank))
ask("cmd=barrier_in")
print(rank, ask("cmd=get kvsname=x key=k%d" % (size - 1 - rank)), flush=True)
ask("cmd=finalize")
)";

class PmiStep : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "emulated nodes need namespaces: run as root";
    dir_ = *MakeTempDirectory("/tmp", "stepd-pmi-");
    ASSERT_TRUE(WriteFileAtomically(dir_ + "/p.c", kProgram));
    ASSERT_TRUE(WriteFileAtomically(dir_ + "/hand.py", kByHand));
  }
  void TearDown() override {
    if (!dir_.empty()) (void)RemoveTree(dir_);
  }
  bool Build() {
    auto built = RunAndCapture({.argv = {"mpicc.mpich", "-o", dir_ + "/p", dir_ + "/p.c"}});
    return built && built->status.exit_code() == 0;
  }
  StepSpec Spec(MpiKind kind, const std::string& mode = "") {
    StepSpec spec = SpecOf(2, 4, {dir_ + "/p", mode});
    spec.mpi = kind;
    return spec;
  }
  StepSpec ByHand(const std::string& mode) {
    StepSpec spec = Spec(MpiKind::kPmi);
    spec.argv = {"/usr/bin/python3", dir_ + "/hand.py", mode};
    return spec;
  }
  std::string dir_;
};

#define NEED_MPICH() \
  if (!Build()) GTEST_SKIP() << "no MPICH compiler here (libmpich-dev)"

TEST_F(PmiStep, MpichIsOneWorldWhetherAskedForOrOffered) {
  NEED_MPICH();
  for (MpiKind kind : {MpiKind::kPmi, MpiKind::kAuto}) {
    StepUnderTest step(Spec(kind));
    ASSERT_TRUE(step.RunToEnd());
    for (int node : {0, 1}) {
      EXPECT_EQ(step[node].result->exit_code, 0) << step[node].result->reason << step[node].err;
      for (int rank : {2 * node, 2 * node + 1})
        EXPECT_THAT(step[node].out, HasSubstr(Cat("rank ", rank, " of 4 sum 6\n")));
      for (auto& rank : step[node].result->ranks) EXPECT_TRUE(rank.connected);
    }
  }
}

TEST_F(PmiStep, MpichEndsWithItsCodes) {
  NEED_MPICH();
  StepUnderTest abort(Spec(MpiKind::kPmi, "abort"));
  ASSERT_TRUE(abort.RunToEnd());
  EXPECT_EQ(abort[1].result->exit_code, 7) << abort[1].result->reason;
  StepUnderTest die(Spec(MpiKind::kPmi, "die"));
  ASSERT_TRUE(die.RunToEnd());
  // Either node may hear first from ranks that abort because their peer is gone; its own end is on record.
  EXPECT_THAT(die[1].result->exit_code, AnyOf(11, 1)) << die[1].result->reason;
  EXPECT_TRUE(std::ranges::any_of(die[1].result->ranks, [](const RankResult& rank) {
    return ExitStatus{rank.wait_status}.exit_code() == 11;
  }));
  EXPECT_NE(die[0].result->exit_code, 0);
}

TEST_F(PmiStep, MpichIsOneWorldInASession) {
  NEED_MPICH();
  StepUnderTest step(Spec(MpiKind::kPmi, "session"));
  ASSERT_TRUE(step.RunToEnd());
  for (int rank : {0, 1, 2, 3}) {
    EXPECT_THAT(step[rank / 2].out, HasSubstr(Cat("rank ", rank, " of 4 sum 6 in a session\n")))
        << step[rank / 2].result->reason << step[rank / 2].err;
  }
}

TEST_F(PmiStep, MpichFindsNamesOfAnotherNode) {
  NEED_MPICH();
  StepUnderTest step(Spec(MpiKind::kPmi, "names"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 0) << step[0].result->reason << step[0].err;
  EXPECT_THAT(step[1].out, HasSubstr("found: port#of#rank#0\n"));
}

TEST_F(PmiStep, MpichThatIsOnlyOfferedPmixIsNotNSilentSingletons) {
  NEED_MPICH();
  StepUnderTest step(Spec(MpiKind::kPmix));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 1);
  EXPECT_THAT(step[0].result->reason, AllOf(HasSubstr("no part of the job"), HasSubstr("--mpi=auto")));
}

TEST_F(PmiStep, SharesWhatWasPutInBothVersions) {
  StepUnderTest one(ByHand("one"));
  ASSERT_TRUE(one.RunToEnd());
  EXPECT_EQ(one[0].result->exit_code, 0) << one[0].result->reason << one[0].err;
  EXPECT_THAT(one[0].out, HasSubstr("0 cmd=get_result rc=0 msg=success value=v3\n"));
  StepUnderTest two(ByHand("two"));
  ASSERT_TRUE(two.RunToEnd());
  EXPECT_EQ(two[1].result->exit_code, 0) << two[1].result->reason << two[1].err;
  EXPECT_THAT(two[1].out, AllOf(HasSubstr("rank=3;size=4;"), HasSubstr("found=TRUE;value=v0;rc=0;")));
}

TEST_F(PmiStep, RanksThatCallAtAPortAreOneWorldInBothVersions) {
  for (const char* mode : {"one", "two", "leave"}) {
    StepSpec spec = ByHand(mode);
    spec.env.push_back("SLIPWAY_MPI_PMI_PORT=1");
    StepUnderTest step(spec);
    ASSERT_TRUE(step.RunToEnd());
    std::string end = Cat(step[0].result->reason, step[0].err, step[1].err);
    if (std::string_view(mode) == "leave") {
      EXPECT_THAT(end, HasSubstr("rank 1 on tnode0 ended while the others wait for it"));
      continue;
    }
    EXPECT_EQ(step[0].result->exit_code, 0) << end;
    EXPECT_THAT(step[1].out,
                HasSubstr(mode == std::string_view("one") ? "value=v0" : "found=TRUE;value=v0;rc=0;"));
  }
}

TEST_F(PmiStep, SpawnedRanksCallAtAPortOfTheirOwn) {
  StepSpec spec = ByHand("spawn");
  spec.cores = 4;
  spec.env.push_back("SLIPWAY_MPI_PMI_PORT=1");
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  std::string all = Cat(step[0].out, step[1].out, step[0].err, step[1].err);
  for (int node : {0, 1}) EXPECT_EQ(step[node].result->exit_code, 0) << step[node].result->reason << all;
  for (int rank : {0, 1, 2, 3}) EXPECT_THAT(all, HasSubstr(Cat("child ", rank, " of 4 spawned 1"))) << all;
}

TEST_F(PmiStep, MpichCallsAtAPort) {
  NEED_MPICH();
  StepSpec spec = Spec(MpiKind::kPmi);
  spec.env.push_back("SLIPWAY_MPI_PMI_PORT=1");
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  for (int rank : {0, 1, 2, 3}) {
    EXPECT_THAT(step[rank / 2].out, HasSubstr(Cat("rank ", rank, " of 4 sum 6\n")))
        << step[rank / 2].result->reason << step[rank / 2].err;
  }
}

TEST_F(PmiStep, EndsWithAReasonWhenARankSendsGarbage) {
  StepUnderTest step(ByHand("garbage"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->exit_code, 1);
  EXPECT_THAT(step[1].result->reason, HasSubstr("rank 1 on tnode0 does not speak PMI as it should"));
}

TEST_F(PmiStep, NamesTheRankThatLeavesTheOthersInAFence) {
  StepUnderTest quietly(ByHand("leave"));
  ASSERT_TRUE(quietly.RunToEnd());
  EXPECT_EQ(quietly[0].result->exit_code, 1);
  EXPECT_THAT(quietly[1].result->reason, HasSubstr("rank 1 on tnode0 ended while the others wait for it"));
  StepUnderTest before(ByHand("leave-before"));
  ASSERT_TRUE(before.RunToEnd());
  EXPECT_THAT(before[1].result->reason, HasSubstr("rank 1 on tnode0 ended while the others wait for it"));
  StepUnderTest with_code(ByHand("leave3"));
  ASSERT_TRUE(with_code.RunToEnd());
  EXPECT_EQ(with_code[1].result->exit_code, 3);
}

TEST_F(PmiStep, NamesTheRankThatNeverEntersTheFence) {
  StepSpec spec = ByHand("never");
  spec.env.push_back("SLIPWAY_MPI_TIMEOUT=2");
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_THAT(step[1].result->reason,
              AllOf(HasSubstr("within 2 s"), HasSubstr("on tnode0 not in the fence: 1")));
}

TEST_F(PmiStep, NamesTheRanksThatNeverEnterALaterFenceWhereALimitWasSet) {
  StepSpec one = ByHand("hang");
  one.env.push_back("SLIPWAY_MPI_TIMEOUT=2");
  StepUnderTest first(one);
  ASSERT_TRUE(first.RunToEnd());
  EXPECT_EQ(first[1].result->exit_code, 1);
  EXPECT_THAT(first[1].result->reason, AllOf(HasSubstr("a fence did not end within 2 s (--mpi-timeout)"),
                                             HasSubstr("rank 1 on tnode0")));
  StepSpec each = ByHand("hang2");  // no node is in it with all its ranks
  each.env.push_back("SLIPWAY_MPI_TIMEOUT=2");
  StepUnderTest second(each);
  ASSERT_TRUE(second.RunToEnd());
  EXPECT_THAT(second[1].result->reason,
              HasSubstr("a fence did not end within 2 s (--mpi-timeout); missing: rank "));
}

TEST_F(PmiStep, SpawnsAWorldOnBothNodesThatFindsItsParentsPort) {
  StepSpec spec = ByHand("spawn");
  spec.cores = 4;
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd());
  std::string all = Cat(step[0].out, step[1].out, step[0].err, step[1].err);
  for (int node : {0, 1}) EXPECT_EQ(step[node].result->exit_code, 0) << step[node].result->reason << all;
  EXPECT_THAT(step[0].out, HasSubstr("spawned: cmd=spawn_result rc=0\n"));
  for (int rank : {0, 1, 2, 3}) {
    EXPECT_THAT(step[rank / 2].out,
                HasSubstr(Cat("child ", rank,
                              " of 4 spawned 1 cmd=appnum rc=0 appnum=0 cmd=get_result rc=0 "
                              "msg=success value=tag#0$host cmd=get_result rc=0 msg=success value=v",
                              3 - rank)))
        << all;
  }
  // Another image is an error for who asked, with one line for the user, and the step goes on.
  EXPECT_THAT(step[0].out, HasSubstr("other image: cmd=spawn_result rc=-1 msg="));
  EXPECT_THAT(
      step[0].err,
      HasSubstr("rank 0 got no more ranks: image tools:2 is not one that ranks of this step may have"));
}

}  // namespace
}  // namespace slipway
