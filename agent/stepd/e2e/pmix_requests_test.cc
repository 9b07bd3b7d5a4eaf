// SPDX-License-Identifier: Apache-2.0
// What a PMIx client may ask besides MPI_Init, and what it is refused.
#include "agent/stepd/e2e/pmix_program.h"

namespace slipway {
namespace {

using ::testing::HasSubstr;

constexpr char kProgram[] = R"(
static volatile int seen = 0;
static void Seen(size_t id, pmix_status_t status, const pmix_proc_t* source, pmix_info_t* info, size_t n,
                 pmix_info_t* results, size_t m, pmix_event_notification_cbfunc_fn_t done, void* context) {
  seen = source->rank == 0 ? 1 : 2;
  if (done) done(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, context);
}
static volatile int answered = 0;
static pmix_status_t answer;
static void Answer(pmix_status_t status, void* context) { answer = status; answered = 1; }
static void Ignore(size_t id, pmix_iof_channel_t channel, pmix_proc_t* source, pmix_byte_object_t* data,
                   pmix_info_t info[], size_t n) {}
// What the host does not offer; false when `mode` is none of these.
static int AskInVain(const char* mode, pmix_proc_t* all) {
  pmix_info_t info, *results = NULL;
  size_t count = 0;
  int one = 1;
  bool on = true;
  pmix_byte_object_t bytes = {"ticket", 6};
  if (!strcmp(mode, "log")) {
    PMIX_INFO_LOAD(&info, PMIX_LOG_EMAIL, "a line", PMIX_STRING);
    MUST(PMIx_Log(&info, 1, NULL, 0), PMIX_ERR_NOT_SUPPORTED);
  } else if (!strcmp(mode, "job_control")) {
    PMIX_INFO_LOAD(&info, PMIX_JOB_CTRL_CHECKPOINT_EVENT, &on, PMIX_BOOL);
    MUST(PMIx_Job_control(all, 1, &info, 1, &results, &count), PMIX_ERR_NOT_SUPPORTED);
  } else if (!strcmp(mode, "monitor")) {
    // Of libpmix itself: it starts to expect heartbeats.
    pmix_info_t every;
    uint32_t seconds = 60;
    PMIX_INFO_LOAD(&info, PMIX_MONITOR_HEARTBEAT, &on, PMIX_BOOL);
    PMIX_INFO_LOAD(&every, PMIX_MONITOR_HEARTBEAT_TIME, &seconds, PMIX_UINT32);
    MUST(PMIx_Process_monitor(&info, PMIX_MONITOR_HEARTBEAT_ALERT, &every, 1, &results, &count), PMIX_SUCCESS);
  } else if (!strcmp(mode, "iof_pull")) {
    MUST(PMIx_IOF_pull(all, 1, NULL, 0, PMIX_FWD_STDOUT_CHANNEL, Ignore, NULL, NULL), PMIX_ERR_NOT_SUPPORTED);
  } else if (!strcmp(mode, "iof_push")) {
    // The blocking form frees in the client what it waits on.
    MUST(PMIx_IOF_push(all, 1, &bytes, NULL, 0, Answer, NULL), PMIX_SUCCESS);
    while (!answered) usleep(1000);
    MUST(answer, PMIX_ERR_NOT_SUPPORTED);
  } else if (!strcmp(mode, "credential")) {
    MUST(PMIx_Get_credential(NULL, 0, &bytes), PMIX_ERR_NOT_SUPPORTED);
  } else if (!strcmp(mode, "validate")) {
    MUST(PMIx_Validate_credential(&bytes, NULL, 0, &results, &count), PMIX_ERR_NOT_SUPPORTED);
  } else if (!strcmp(mode, "status")) {
    pmix_query_t query;
    PMIX_QUERY_CONSTRUCT(&query);
    PMIX_ARGV_APPEND(one, query.keys, PMIX_QUERY_JOB_STATUS);
    MUST(PMIx_Query_info(&query, 1, &results, &count), PMIX_ERR_NOT_SUPPORTED);
  } else {
    return 0;
  }
  return 1;
}
// Values that only some may see, that are read once, and that nobody publishes.
static int Find(const char* key, int wait_s) {
  pmix_pdata_t data;
  pmix_info_t info[2];
  int none = 0;
  PMIX_PDATA_CONSTRUCT(&data); strcpy(data.key, key);
  PMIX_INFO_LOAD(&info[0], PMIX_WAIT, &none, PMIX_INT);
  PMIX_INFO_LOAD(&info[1], PMIX_TIMEOUT, &wait_s, PMIX_INT);
  return PMIx_Lookup(&data, 1, info, wait_s ? 2 : 0);
}
static void Publish(const char* key, pmix_data_range_t range, pmix_persistence_t life) {
  pmix_info_t info[3];
  PMIX_INFO_LOAD(&info[0], key, "value", PMIX_STRING);
  PMIX_INFO_LOAD(&info[1], PMIX_RANGE, &range, PMIX_DATA_RANGE);
  PMIX_INFO_LOAD(&info[2], PMIX_PERSISTENCE, &life, PMIX_PERSIST);
  MUST(PMIx_Publish(info, 3), PMIX_SUCCESS);
}
static void Ranges(void) {
  if (me.rank == 0) {
    Publish("here", PMIX_RANGE_LOCAL, PMIX_PERSIST_APP);
    Publish("once", PMIX_RANGE_SESSION, PMIX_PERSIST_FIRST_READ);
    Publish("mine", PMIX_RANGE_PROC_LOCAL, PMIX_PERSIST_SESSION);
  }
  FenceAll();
  MUST(Find("here", 0), me.rank < 2 ? PMIX_SUCCESS : PMIX_ERR_NOT_FOUND);
  MUST(Find("mine", 0), me.rank == 0 ? PMIX_SUCCESS : PMIX_ERR_NOT_FOUND);
  if (me.rank == 3) MUST(Find("once", 0), PMIX_SUCCESS);
  FenceAll();
  if (me.rank == 1) MUST(Find("once", 0), PMIX_ERR_NOT_FOUND);
  if (me.rank == 2) MUST(Find("never", 1), PMIX_ERR_TIMEOUT);
}
// Who is of no namespace of this step, as a rank of another step would be.
static void ConnectToStranger(void) {
  pmix_proc_t both[2];
  PMIX_LOAD_PROCID(&both[0], me.nspace, me.rank);
  PMIX_LOAD_PROCID(&both[1], "slipway.other", 0);
  MUST(PMIx_Connect(both, 2, NULL, 0), PMIX_ERR_NOT_SUPPORTED);
}
static void Psets(void) {
  pmix_query_t query;
  pmix_info_t* results = NULL;
  size_t count = 0;
  PMIX_QUERY_CONSTRUCT(&query);
  int ignored;
  PMIX_ARGV_APPEND(ignored, query.keys, PMIX_QUERY_NUM_PSETS);
  PMIX_ARGV_APPEND(ignored, query.keys, PMIX_QUERY_PSET_NAMES);
  MUST(PMIx_Query_info(&query, 1, &results, &count), PMIX_SUCCESS);
  if (count != 2) _exit(8);
}
static void Deregister(void) {
  pmix_status_t code = PMIX_EXTERNAL_ERR_BASE - 5;
  int id = PMIx_Register_event_handler(&code, 1, NULL, 0, Seen, NULL, NULL);
  if (id < 0) _exit(8);
  MUST(PMIx_Deregister_event_handler(id, NULL, NULL), PMIX_SUCCESS);
  FenceAll();
  if (me.rank == 0) MUST(PMIx_Notify_event(code, &me, PMIX_RANGE_NAMESPACE, NULL, 0, NULL, NULL), PMIX_SUCCESS);
  FenceAll();
  if (seen) _exit(8);
}
static void Fabric(void) {
  pmix_fabric_t fabric;
  memset(&fabric, 0, sizeof fabric);
  MUST(PMIx_Fabric_register(&fabric, NULL, 0), PMIX_SUCCESS);  // of libpmix itself: there is none
}
// What a rank has put is there for the others of its group, without a fence.
static void Endpoints(void) {
  pmix_info_t info[2], *results = NULL;
  pmix_value_t* value;
  pmix_proc_t members[4], whom;
  size_t count = 0;
  bool yes = true;
  Put("endpoint", 200 + me.rank);
  for (int i = 0; i < 4; ++i) PMIX_LOAD_PROCID(&members[i], me.nspace, i);
  PMIX_INFO_LOAD(&info[0], PMIX_GROUP_ASSIGN_CONTEXT_ID, &yes, PMIX_BOOL);
  PMIX_INFO_LOAD(&info[1], PMIX_COLLECT_DATA, &yes, PMIX_BOOL);
  MUST(PMIx_Group_construct("e", members, 4, info, 2, &results, &count), PMIX_SUCCESS);
  PMIX_LOAD_PROCID(&whom, me.nspace, (me.rank + 2) % 4);
  MUST(PMIx_Get(&whom, "endpoint", NULL, 0, &value), PMIX_SUCCESS);
  if (value->data.integer != 200 + (me.rank + 2) % 4) _exit(8);
  MUST(PMIx_Group_destruct("e", NULL, 0), PMIX_SUCCESS);
}
// Rank 0 invites the others, who are on both nodes, and waits until all have joined.
static volatile int joined = 0;
static void Joined(pmix_status_t status, pmix_info_t* info, size_t n, void* context,
                   pmix_release_cbfunc_t release, void* release_context) {
  joined = status == PMIX_SUCCESS ? 1 : 2;
  if (release) release(release_context);
}
static void Invited(size_t id, pmix_status_t status, const pmix_proc_t* source, pmix_info_t* info, size_t n,
                    pmix_info_t* results, size_t m, pmix_event_notification_cbfunc_fn_t done, void* context) {
  const char* group = NULL;
  for (size_t i = 0; i < n; ++i)
    if (PMIX_CHECK_KEY(&info[i], PMIX_GROUP_ID)) group = info[i].value.data.string;
  if (group) PMIx_Group_join_nb(group, source, PMIX_GROUP_ACCEPT, NULL, 0, Joined, NULL);
  if (done) done(PMIX_EVENT_ACTION_COMPLETE, NULL, 0, NULL, NULL, context);
}
static void Invite(void) {
  pmix_status_t code = PMIX_GROUP_INVITED;
  if (me.rank != 0) PMIx_Register_event_handler(&code, 1, NULL, 0, Invited, NULL, NULL);
  FenceAll();
  pmix_info_t timeout, *results = NULL;
  size_t count = 0;
  int seconds = 3;
  pmix_proc_t members[4];
  for (int i = 0; i < 4; ++i) PMIX_LOAD_PROCID(&members[i], me.nspace, i);
  PMIX_INFO_LOAD(&timeout, PMIX_TIMEOUT, &seconds, PMIX_INT);
  if (me.rank == 0) {
    pmix_status_t got = PMIx_Group_invite("guests", members, 4, &timeout, 1, &results, &count);
    printf("invite: %s\n", PMIx_Error_string(got));
  }
  FenceAll();
}
static pmix_status_t near, far;
static volatile int answers = 0;
static void NearIs(pmix_status_t status, pmix_value_t* value, void* context) { near = status; ++answers; }
static void FarIs(pmix_status_t status, pmix_value_t* value, void* context) { far = status; ++answers; }
static void MustHaveFar(int count) {
  while (answers < count) usleep(1000);
  if (near == PMIX_ERR_NOT_FOUND && far == PMIX_SUCCESS) return;
  printf("%u: near %s, far %s\n", me.rank, PMIx_Error_string(near), PMIx_Error_string(far)); fflush(stdout);
  _exit(8);
}
static void AskBoth(unsigned rank) {
  pmix_proc_t whom; PMIX_LOAD_PROCID(&whom, me.nspace, rank);
  MUST(PMIx_Get_nb(&whom, "near", NULL, 0, NearIs, NULL), PMIX_SUCCESS);
  MUST(PMIx_Get_nb(&whom, "far", NULL, 0, FarIs, NULL), PMIX_SUCCESS);
}
// Of what a rank of the other node put, what is for its own node is not there, and what is for others is,
// asked for together, before the other has put anything (ranks 0 and 1) or later.
static void Scopes(void) {
  const unsigned other = (me.rank + 2) % 4;
  pmix_value_t value; int number = 7;
  PMIX_VALUE_LOAD(&value, &number, PMIX_INT);
  if (me.rank < 2) AskBoth(other);
  FenceAll();
  MUST(PMIx_Put(PMIX_LOCAL, "near", &value), PMIX_SUCCESS);
  MUST(PMIx_Put(PMIX_REMOTE, "far", &value), PMIX_SUCCESS);
  MUST(PMIx_Commit(), PMIX_SUCCESS);
  if (me.rank >= 2) AskBoth(other);
  MustHaveFar(2);
  FenceAll();
  AskBoth(other ^ 1);
  MustHaveFar(4);
}
// A tool of the job's user that comes with the address that a rank has.
static int BeTool(char* uri) {
  pmix_proc_t tool;
  pmix_info_t info;
  PMIX_INFO_LOAD(&info, PMIX_SERVER_URI, uri, PMIX_STRING);
  alarm(10);
  pmix_status_t got = PMIx_tool_init(&tool, &info, 1);
  printf("tool: %s\n", got == PMIX_SUCCESS ? "let in" : "refused"); fflush(stdout);
  return 0;
}
static void BringTool(const char* self) {
  char* address = strdup(getenv("PMIX_SERVER_URI41"));
  pid_t child = fork();
  if (child == 0) {
    clearenv();
    execl(self, self, "be tool", address, NULL);
    _exit(1);
  }
  int status;
  waitpid(child, &status, 0);
  if (status != 0) { printf("the tool ended with %d\n", status); fflush(stdout); _exit(9); }
}
int main(int argc, char** argv) {
  const char* mode = argv[1];
  if (!strcmp(mode, "be tool")) return BeTool(argv[2]);
  MUST(PMIx_Init(&me, NULL, 0), PMIX_SUCCESS);
  pmix_proc_t all, some[2];
  PMIX_LOAD_PROCID(&all, me.nspace, PMIX_RANK_WILDCARD);
  PMIX_LOAD_PROCID(&some[0], me.nspace, 1); PMIX_LOAD_PROCID(&some[1], me.nspace, 2);
  if (AskInVain(mode, &all)) {
    // and go on
  } else if (!strcmp(mode, "invite")) {
    Invite();
  } else if (!strcmp(mode, "tool")) {
    if (me.rank == 3) BringTool(argv[0]);
  } else if (!strcmp(mode, "modex")) {
    Put("k", 100 + me.rank);
    if (Get((me.rank + 2) % 4, "k") != 100 + (me.rank + 2) % 4) return 8;
  } else if (!strcmp(mode, "scopes")) {
    Scopes();
  } else if (!strcmp(mode, "fences")) {
    for (int i = 0; i < 20; ++i) {
      if (me.rank == 1 || me.rank == 2) MUST(PMIx_Fence(some, 2, NULL, 0), PMIX_SUCCESS);
      if (i % 5 == 0) FenceAll();
    }
  } else if (!strcmp(mode, "names")) {
    pmix_info_t info; pmix_pdata_t data; pmix_info_t wait; bool yes = true;
    if (me.rank == 3) {
      PMIX_PDATA_CONSTRUCT(&data); strcpy(data.key, "port"); int none = 0;
      PMIX_INFO_LOAD(&wait, PMIX_WAIT, &none, PMIX_INT);
      MUST(PMIx_Lookup(&data, 1, &wait, 1), PMIX_SUCCESS);
      if (data.proc.rank != 0 || strcmp(data.value.data.string, "here")) return 8;
    }
    if (me.rank == 0) {
      usleep(200000);  // the other waits
      PMIX_INFO_LOAD(&info, "port", "here", PMIX_STRING);
      MUST(PMIx_Publish(&info, 1), PMIX_SUCCESS);
      MUST(PMIx_Publish(&info, 1), PMIX_ERR_DUPLICATE_KEY);
    }
    FenceAll();
    char* keys[] = {"port", NULL};
    if (me.rank == 0) MUST(PMIx_Unpublish(keys, NULL, 0), PMIX_SUCCESS);
    FenceAll();
    PMIX_PDATA_CONSTRUCT(&data); strcpy(data.key, "port");
    if (me.rank == 2) MUST(PMIx_Lookup(&data, 1, NULL, 0), PMIX_ERR_NOT_FOUND);
  } else if (!strcmp(mode, "connect")) {
    MUST(PMIx_Connect(&all, 1, NULL, 0), PMIX_SUCCESS);
    MUST(PMIx_Disconnect(&all, 1, NULL, 0), PMIX_SUCCESS);
  } else if (!strcmp(mode, "group")) {
    pmix_info_t info, *results = NULL; size_t count = 0; bool yes = true;
    pmix_proc_t members[4];
    for (int i = 0; i < 4; ++i) PMIX_LOAD_PROCID(&members[i], me.nspace, i);
    PMIX_INFO_LOAD(&info, PMIX_GROUP_ASSIGN_CONTEXT_ID, &yes, PMIX_BOOL);
    MUST(PMIx_Group_construct("g", members, 4, &info, 1, &results, &count), PMIX_SUCCESS);
    for (size_t i = 0; i < count; ++i)
      if (PMIX_CHECK_KEY(&results[i], PMIX_GROUP_CONTEXT_ID)) printf("context %zu\n", results[i].value.data.size);
    MUST(PMIx_Group_destruct("g", NULL, 0), PMIX_SUCCESS);
  } else if (!strcmp(mode, "event")) {
    pmix_status_t code = PMIX_EXTERNAL_ERR_BASE - 5;
    PMIx_Register_event_handler(&code, 1, NULL, 0, Seen, NULL, NULL);
    FenceAll();
    if (me.rank == 0) MUST(PMIx_Notify_event(code, &me, PMIX_RANGE_NAMESPACE, NULL, 0, NULL, NULL), PMIX_SUCCESS);
    for (int i = 0; me.rank != 0 && !seen && i < 2000; ++i) usleep(10000);
    if (me.rank != 0 && seen != 1) { printf("%u: no event\n", me.rank); return 8; }
  } else if (!strcmp(mode, "query")) {
    pmix_query_t query; pmix_info_t* results = NULL; size_t count = 0;
    PMIX_QUERY_CONSTRUCT(&query);
    PMIX_ARGV_APPEND(*(int*)&count, query.keys, PMIX_QUERY_NUM_PSETS); count = 0;
    MUST(PMIx_Query_info(&query, 1, &results, &count), PMIX_SUCCESS);
    printf("psets %zu\n", results[0].value.data.size);
  } else if (!strcmp(mode, "refused")) {
    pmix_app_t app; pmix_nspace_t child; pmix_info_t *results = NULL; size_t count = 0;
    PMIX_APP_CONSTRUCT(&app); app.cmd = strdup("true"); app.maxprocs = 1;
    pmix_info_t add; PMIX_INFO_LOAD(&add, PMIX_ADD_HOST, "other", PMIX_STRING);
    MUST(PMIx_Spawn(&add, 1, &app, 1, child), PMIX_ERR_NOT_SUPPORTED);
    pmix_info_t host, image;
    PMIX_INFO_LOAD(&host, PMIX_HOST, "tnode7", PMIX_STRING);
    MUST(PMIx_Spawn(&host, 1, &app, 1, child), PMIX_ERR_NOT_SUPPORTED);
    PMIX_INFO_LOAD(&image, "container_image", "no-such-image", PMIX_STRING);
    MUST(PMIx_Spawn(&image, 1, &app, 1, child), PMIX_ERR_NO_PERMISSIONS);
    pmix_info_t info; PMIX_INFO_LOAD(&info, PMIX_ALLOC_NUM_NODES, "1", PMIX_STRING);
    pmix_status_t got = PMIx_Allocation_request(PMIX_ALLOC_NEW, &info, 1, &results, &count);
    if (got != PMIX_ERR_NOT_SUPPORTED) { printf("allocate gave %s\n", PMIx_Error_string(got)); return 8; }
  } else if (!strcmp(mode, "ranges")) {
    Ranges();
  } else if (!strcmp(mode, "stranger")) {
    ConnectToStranger();
  } else if (!strcmp(mode, "psets")) {
    Psets();
  } else if (!strcmp(mode, "deregister")) {
    Deregister();
  } else if (!strcmp(mode, "fabric")) {
    Fabric();
  } else if (!strcmp(mode, "endpoints")) {
    Endpoints();
  }
  FenceAll();
  printf("%u well\n", me.rank); fflush(stdout);
  MUST(PMIx_Finalize(NULL, 0), PMIX_SUCCESS);
  return 0;
}
)";

class PmixRequests : public PmixStep {
 protected:
  PmixRequests() : PmixStep(kProgram) {}
};

class EachRequest : public PmixRequests, public ::testing::WithParamInterface<const char*> {};

TEST_P(EachRequest, IsAnswered) {
  StepUnderTest step(Spec(GetParam()));
  ASSERT_TRUE(step.RunToEnd()) << step[0].out << step[1].out << step[0].err;
  for (int node : {0, 1}) {
    EXPECT_EQ(step[node].result->exit_code, 0)
        << step[node].result->reason << step[node].out << step[node].err;
    for (int rank : {2 * node, 2 * node + 1}) EXPECT_THAT(step[node].out, HasSubstr(Cat(rank, " well\n")));
  }
}
INSTANTIATE_TEST_SUITE_P(Each, EachRequest,
                         ::testing::Values("modex", "scopes", "fences", "names", "connect", "group", "event",
                                           "query", "refused", "log", "job_control", "monitor", "iof_pull",
                                           "iof_push", "credential", "validate", "status", "invite", "tool",
                                           "ranges", "stranger", "psets", "deregister", "fabric",
                                           "endpoints"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(PmixRequests, CarriesAnInvitationToTheOtherNode) {
  StepUnderTest step(Spec("invite"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_THAT(step[0].out, HasSubstr("invite: SUCCESS\n"));
}

TEST_F(PmixRequests, SaysWhyItSpawnsNothingInAnotherImageOrOnAnotherNode) {
  StepUnderTest step(Spec("refused"));
  ASSERT_TRUE(step.RunToEnd());
  std::string said = step[0].err + step[1].err;
  EXPECT_THAT(said, HasSubstr("image no-such-image is not one that ranks of this step may have"));
  EXPECT_THAT(said, HasSubstr("host tnode7 is not a node of this step"));
}

TEST_F(PmixRequests, LetsNoToolIn) {
  StepUnderTest step(Spec("tool"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_THAT(step[1].out, HasSubstr("tool: refused\n"));
}

TEST_F(PmixRequests, GivesAGroupOneNumberOnEveryNode) {
  StepUnderTest step(Spec("group"));
  ASSERT_TRUE(step.RunToEnd());
  for (int node : {0, 1}) EXPECT_THAT(step[node].out, HasSubstr("context 1\n"));
}

}  // namespace
}  // namespace slipway
