// SPDX-License-Identifier: Apache-2.0
// Ranks that send what they should not, or leave the others waiting: stepd stays up, bounded in memory, and
// the step ends with a reason.
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "agent/stepd/e2e/pmix_program.h"

namespace slipway {
namespace {

using ::testing::HasSubstr;

constexpr char kProgram[] = R"(
static int Connect(void) {
  struct sockaddr_in to = {AF_INET, htons(atoi(strrchr(getenv("PMIX_SERVER_URI41"), ':') + 1)), {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr*)&to, sizeof to) < 0) _exit(9);
  return fd;
}
// Bytes that are no frames, a frame that does not come, one that would be very long, and hundreds of callers.
static void SendGarbage(void) {
  static char noise[1 << 20];
  for (size_t i = 0; i < sizeof noise; ++i) noise[i] = rand();
  int fd = Connect();
  send(fd, noise, sizeof noise, MSG_NOSIGNAL);
  close(fd);
  for (int i = 0; i < 300; ++i) close(Connect());
  uint32_t header[4] = {0, 0, htonl(0x7ffffff0), 0};
  fd = Connect();
  send(fd, header, sizeof header, MSG_NOSIGNAL);
  close(fd);
  send(Connect(), header, 3, MSG_NOSIGNAL);  // and is left open
}
static void PutBytes(const char* key, size_t size) {
  pmix_value_t value;
  pmix_byte_object_t bytes = {calloc(1, size), size};
  PMIX_VALUE_LOAD(&value, &bytes, PMIX_BYTE_OBJECT);
  MUST(PMIx_Put(PMIX_GLOBAL, key, &value), PMIX_SUCCESS);
}
static void PutKeys(int count) {
  char key[32];
  for (int i = 0; i < count; ++i) { sprintf(key, "key%d", i); PutBytes(key, 10); }
  MUST(PMIx_Commit(), PMIX_SUCCESS);
}
// The last rank never enters the fence in which the others are.
static void Hang(void) {
  FenceAll();
  printf("%s is wired up\n", me.nspace); fflush(stdout);
  alarm(60);
  uint32_t size = atoi(getenv("SLIPWAY_NTASKS"));
  if (me.rank == size - 1) pause();
  FenceAll();
}
// By another step's rank, which has read our address.
static int Stray(const char* uri) {
  pmix_status_t got;
  const char* names[] = {"PMIX_SERVER_URI41", "PMIX_SERVER_URI4", "PMIX_SERVER_URI3", "PMIX_SERVER_URI21",
                         "PMIX_SERVER_URI2"};
  alarm(20);
  for (int i = 0; i < 5; ++i) setenv(names[i], uri, 1);
  got = PMIx_Init(&me, NULL, 0);
  printf("stray: %s\n", got == PMIX_SUCCESS ? "let in" : "refused"); fflush(stdout);
  return 0;
}
int main(int argc, char** argv) {
  const char* mode = argv[1];
  if (!strcmp(mode, "stray")) return Stray(argv[2]);
  MUST(PMIx_Init(&me, NULL, 0), PMIX_SUCCESS);
  pmix_proc_t all;
  PMIX_LOAD_PROCID(&all, me.nspace, PMIX_RANK_WILDCARD);
  if (!strcmp(mode, "exit")) {
    if (me.rank == 3) _exit(0);
    PMIx_Fence(&all, 1, NULL, 0);
  } else if (!strcmp(mode, "garbage")) {
    if (me.rank == 3) SendGarbage();
  } else if (!strcmp(mode, "keys")) {
    pmix_info_t collect; bool yes = true;
    PMIX_INFO_LOAD(&collect, PMIX_COLLECT_DATA, &yes, PMIX_BOOL);
    if (me.rank == 3) PutKeys(10000);
    MUST(PMIx_Fence(&all, 1, &collect, 1), PMIX_SUCCESS);
    pmix_value_t* value; pmix_proc_t whom; PMIX_LOAD_PROCID(&whom, me.nspace, 3);
    MUST(PMIx_Get(&whom, "key9999", NULL, 0, &value), PMIX_SUCCESS);
  } else if (!strcmp(mode, "huge")) {
    if (me.rank == 3) { PutBytes("huge", 256 << 20); PMIx_Commit(); }
    PMIx_Fence(&all, 1, NULL, 0);
  } else if (!strcmp(mode, "hang")) {
    Hang();
  } else if (!strcmp(mode, "wait for a word")) {
    char line[8];
    if (me.rank == 0) { printf("%s\n", getenv("PMIX_SERVER_URI41")); fflush(stdout); }
    if (me.rank == 0 && !fgets(line, sizeof line, stdin)) return 8;
  } else if (!strcmp(mode, "million")) {
    FenceAll();
    alarm(120);
    if (me.rank == 3) PutKeys(1000000);
  }
  FenceAll();
  printf("%u well\n", me.rank); fflush(stdout);
  MUST(PMIx_Finalize(NULL, 0), PMIX_SUCCESS);
  return 0;
}
)";

class PmixHostile : public PmixStep {
 protected:
  PmixHostile() : PmixStep(kProgram) {}
};

// Of the stepds, which are there until they are acknowledged.
void ExpectLittleMemory(StepUnderTest& step) {
  for (int node : {0, 1}) {
    std::string status = *ReadFile(Cat("/proc/", step[node].stepd.pid(), "/status"));
    std::size_t peak_kib = std::stoul(status.substr(status.find("VmHWM:") + 6));
    EXPECT_LT(peak_kib, 256U << 10);
  }
}

TEST_F(PmixHostile, GarbageAndTenThousandKeysHurtNobody) {
  for (const char* mode : {"garbage", "keys"}) {
    StepUnderTest step(Spec(mode));
    ASSERT_TRUE(step.RunToEnd(std::chrono::seconds(110)))
        << mode << step[0].out << step[1].out << step[0].err;
    for (int node : {0, 1}) {
      EXPECT_EQ(step[node].result->exit_code, 0) << mode << step[node].result->reason << step[node].out;
      for (int rank : {2 * node, 2 * node + 1}) EXPECT_THAT(step[node].out, HasSubstr(Cat(rank, " well\n")));
    }
  }
}

// The limit is for MPI_Init too, which takes a while on a busy machine.
TEST_F(PmixHostile, NamesTheRankThatNeverEntersAFenceWithinOneNode) {
  StepSpec spec = SpecOf(1, 3, {dir_ + "/p", "hang"});
  spec.mpi = MpiKind::kPmix;
  spec.env.push_back("SLIPWAY_MPI_TIMEOUT=8");
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd()) << step[0].out;
  EXPECT_EQ(step[0].result->exit_code, 1);
  EXPECT_EQ(step[0].result->reason,
            "a fence did not end within 8 s (--mpi-timeout); missing: rank 2 on tnode0");
}

TEST_F(PmixHostile, NamesTheRankThatNeverEntersAFenceOfSeveralNodes) {
  StepSpec spec = Spec("hang");
  spec.env.push_back("SLIPWAY_MPI_TIMEOUT=8");
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd()) << step[0].out;
  EXPECT_EQ(step[0].result->exit_code, 1);
  EXPECT_THAT(step[0].result->reason, HasSubstr("a fence did not end within 8 s (--mpi-timeout); missing: "));
  EXPECT_THAT(step[0].result->reason, HasSubstr("rank 3 on tnode1"));
}

// The limit of rank 3's own node ends its ranks, which leave their fences with that, just before the other
// node's limit makes that one ask who is missing.
TEST_F(PmixHostile, NamesOneRankAlthoughItsNodeIsAskedAfterItsRanksWereEnded) {
  StepSpec spec = Spec("hang");
  spec.env.push_back("SLIPWAY_MPI_TIMEOUT=8");
  StepUnderTest step(spec);
  auto wired_up = [](StepUnderTest::Node& node) {
    return std::count(node.out.begin(), node.out.end(), '\n') == 2;
  };
  ASSERT_TRUE(step.RunUntil([&] { return wired_up(step[0]) && wired_up(step[1]); }));
  std::string nspace = step[0].out.substr(0, step[0].out.find(' '));
  step.hold_exchange = true;
  auto holds = [&](int to, const std::string& text) {
    return std::any_of(step.Held(to).begin(), step.Held(to).end(),
                       [&](auto& frame) { return frame.bytes.find(text) != std::string::npos; });
  };
  constexpr char kReason[] = "a fence did not end within 8 s (--mpi-timeout); missing: rank 3 on tnode1";
  ASSERT_TRUE(step.RunUntil([&] { return holds(1, nspace) && holds(0, kReason); }));
  step.Release(1);
  step[1].state.reset();
  step.Send(1, StepFrame::kAttach, StepAttach{});  // answered after what it was asked before
  ASSERT_TRUE(step.RunUntil([&] { return step[1].state.has_value(); }));
  EXPECT_TRUE(holds(0, "its part of the step has failed"));
  step.hold_exchange = false;
  step.Release(0);
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_EQ(step[0].result->reason, kReason);
}

// libpmix looks a key up among all that it knows, so that a million of one rank take longer than anybody
// waits.
TEST_F(PmixHostile, EndsWithAReasonAndLittleMemoryWhereARankPutsAMillionKeys) {
  StepSpec spec = Spec("million");
  spec.env.push_back("SLIPWAY_MPI_TIMEOUT=5");
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd()) << step[0].out << step[1].out;
  EXPECT_THAT(step[0].result->reason, HasSubstr("rank 3 on tnode1"));
  ExpectLittleMemory(step);
}

TEST_F(PmixHostile, TwoStepsOfOneNodeHaveAddressesOfTheirOwnAndLetInTheirOwnRanks) {
  StepSpec spec = Spec("wait for a word");
  spec.interactive_stdin = true;
  StepUnderTest first(spec);
  ASSERT_TRUE(first.RunUntil([&] { return first[0].out.ends_with('\n'); }));
  std::string uri = first[0].out.substr(0, first[0].out.size() - 1);
  StepSpec stray = Spec("stray");
  stray.argv.push_back(uri);
  stray.step.step = 1;
  StepUnderTest second(stray);
  ASSERT_TRUE(second.RunToEnd()) << second[0].out;
  EXPECT_THAT(second[0].out + second[1].out, HasSubstr("stray: refused"));
  EXPECT_EQ((second[0].out + second[1].out).find("let in"), std::string::npos);
  EXPECT_THAT(second[0].result->reason, HasSubstr("without having called MPI_Init"));
  first.Send(0, StepFrame::kStdin, StepStdin{.bytes = "go\n", .eof = true});
  ASSERT_TRUE(first.RunToEnd());
  for (int node : {0, 1}) EXPECT_EQ(first[node].result->exit_code, 0) << first[node].result->reason;
}

// libpmix would read its settings there: opening a pipe that nobody writes into waits for ever, as a file of
// a dead server's does. The ranks' own libpmix is the user's affair.
TEST_F(PmixHostile, AHomeThatDoesNotAnswerDoesNotHoldUpTheServer) {
  StepSpec spec = Spec("plain");
  spec.home = dir_ + "/home";
  spec.env.push_back("HOME=/");
  ASSERT_TRUE(MakeDirectories(spec.home + "/.pmix"));
  ASSERT_EQ(::mkfifo((spec.home + "/.pmix/mca-params.conf").c_str(), 0600), 0);
  std::string before = ::getenv("HOME") != nullptr ? ::getenv("HOME") : "/";
  ::setenv("HOME", spec.home.c_str(), 1);
  StepUnderTest step(spec);
  ::setenv("HOME", before.c_str(), 1);
  ASSERT_TRUE(step.RunToEnd());
  for (int node : {0, 1}) EXPECT_EQ(step[node].result->exit_code, 0) << step[node].result->reason;
}

TEST_F(PmixHostile, NamesTheRankThatEndsWhileTheOthersWaitForIt) {
  StepUnderTest step(Spec("exit"));
  ASSERT_TRUE(step.RunToEnd()) << step[0].out << step[1].out;
  EXPECT_NE(step[0].result->exit_code, 0);
  EXPECT_THAT(step[0].result->reason, HasSubstr("rank 3 on tnode1 ended while the others wait for it"));
}

TEST_F(PmixHostile, EndsWithAReasonAndLittleMemoryWhereARankPutsAHugeValue) {
  StepUnderTest step(Spec("huge"));
  ASSERT_TRUE(step.RunToEnd()) << step[0].out << step[1].out;
  EXPECT_NE(step[1].result->exit_code, 0);
  EXPECT_THAT(step[1].result->reason, HasSubstr("rank 3 on tnode1"));
  ExpectLittleMemory(step);
}

}  // namespace
}  // namespace slipway
