// SPDX-License-Identifier: Apache-2.0
// What a PMIx client may ask besides MPI_Init, asked by one over two nodes of a real step: each mode of the
// program below is one promise of the host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/stepd/step_under_test.h"

namespace slipway {
namespace {

using ::testing::HasSubstr;

constexpr char kProgram[] = R"(
#include <pmix.h>
#include <pmix_tool.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
static pmix_proc_t me;
static volatile int seen = 0;
#define MUST(what, wanted) do { pmix_status_t got = (what); if (got != (wanted)) { \
  printf("%u: %s gave %s\n", me.rank, #what, PMIx_Error_string(got)); fflush(stdout); _exit(9); } } while (0)
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
    PMIX_INFO_LOAD(&info, PMIX_JOB_CTRL_PAUSE, &on, PMIX_BOOL);
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
static void FenceAll(void) { MUST(PMIx_Fence(NULL, 0, NULL, 0), PMIX_SUCCESS); }
static void Put(const char* key, int number) {
  pmix_value_t value; PMIX_VALUE_LOAD(&value, &number, PMIX_INT);
  MUST(PMIx_Put(PMIX_GLOBAL, key, &value), PMIX_SUCCESS);
  MUST(PMIx_Commit(), PMIX_SUCCESS);
}
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
static int GoOnWithoutNode(void) {
  pmix_status_t codes[] = {PMIX_ERR_PROC_ABORTED};
  pmix_proc_t left[2];
  if (me.rank < 2) PMIx_Register_event_handler(codes, 1, NULL, 0, Ended, NULL, NULL);
  FenceAll();
  printf("%u there\n", me.rank); fflush(stdout);
  alarm(60);
  if (me.rank > 1) pause();
  if (me.rank == 0) printf("open: %s\n", PMIx_Error_string(PMIx_Fence(NULL, 0, NULL, 0)));
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
// The last rank never enters the fence in which the others are.
static void Hang(void) {
  FenceAll();
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
static int Get(unsigned rank, const char* key) {
  pmix_proc_t whom; pmix_value_t* value; PMIX_LOAD_PROCID(&whom, me.nspace, rank);
  MUST(PMIx_Get(&whom, key, NULL, 0, &value), PMIX_SUCCESS);
  return value->data.integer;
}
int main(int argc, char** argv) {
  const char* mode = argv[1];
  if (!strcmp(mode, "be tool")) return BeTool(argv[2]);
  if (!strcmp(mode, "stray")) return Stray(argv[2]);
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
    MUST(PMIx_Spawn(&image, 1, &app, 1, child), PMIX_ERR_NOT_SUPPORTED);
    pmix_info_t info; PMIX_INFO_LOAD(&info, PMIX_ALLOC_NUM_NODES, "1", PMIX_STRING);
    pmix_status_t got = PMIx_Allocation_request(PMIX_ALLOC_NEW, &info, 1, &results, &count);
    if (got != PMIX_ERR_NOT_SUPPORTED) { printf("allocate gave %s\n", PMIx_Error_string(got)); return 8; }
  } else if (!strcmp(mode, "exit")) {
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
  } else if (!strcmp(mode, "wait for a word")) {
    char line[8];
    if (me.rank == 0) { printf("%s\n", getenv("PMIX_SERVER_URI41")); fflush(stdout); }
    if (me.rank == 0 && !fgets(line, sizeof line, stdin)) return 8;
  } else if (!strcmp(mode, "million")) {
    FenceAll();
    alarm(120);
    if (me.rank == 3) PutKeys(1000000);
  } else if (!strcmp(mode, "node ends")) {
    return OutliveNode();
  } else if (!strcmp(mode, "node dies")) {
    return GoOnWithoutNode();
  } else if (!strncmp(mode, "end", 3)) {
    return GoOnWithoutRank3(mode);
  }
  FenceAll();
  printf("%u well\n", me.rank); fflush(stdout);
  MUST(PMIx_Finalize(NULL, 0), PMIX_SUCCESS);
  return 0;
}
)";

class PmixStep : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "emulated nodes need namespaces: run as root";
    dir_ = *MakeTempDirectory("/tmp", "stepd-pmix-");
    ASSERT_TRUE(WriteFileAtomically(dir_ + "/p.c", kProgram));
    auto built = RunAndCapture({.argv = {"gcc", "-w", "-o", dir_ + "/p", dir_ + "/p.c",
                                         "-I/usr/lib/x86_64-linux-gnu/pmix2/include", "-lpmix"}});
    if (!built || built->status.exit_code() != 0)
      built = RunAndCapture(
          {.argv = {"gcc", "-w", "-o", dir_ + "/p", dir_ + "/p.c",
                    "-I/usr/lib/x86_64-linux-gnu/pmix2/include", "/usr/lib/x86_64-linux-gnu/libpmix.so.2"}});
    if (!built || built->status.exit_code() != 0) GTEST_SKIP() << "no PMIx to compile with (libpmix-dev)";
  }
  void TearDown() override {
    if (!dir_.empty()) (void)RemoveTree(dir_);
  }
  StepSpec Spec(const std::string& mode) {
    StepSpec spec = SpecOf(2, 4, {dir_ + "/p", mode});
    spec.mpi = MpiKind::kPmix;
    return spec;
  }
  std::string dir_;
};

// Of the stepds, which are there until they are acknowledged.
void ExpectLittleMemory(StepUnderTest& step) {
  for (int node : {0, 1}) {
    std::string status = *ReadFile(Cat("/proc/", step[node].stepd.pid(), "/status"));
    std::size_t peak_kib = std::stoul(status.substr(status.find("VmHWM:") + 6));
    EXPECT_LT(peak_kib, 256U << 10);
  }
}

class PmixRequest : public PmixStep, public ::testing::WithParamInterface<const char*> {};

TEST_P(PmixRequest, IsAnswered) {
  StepUnderTest step(Spec(GetParam()));
  ASSERT_TRUE(step.RunToEnd()) << step[0].out << step[1].out << step[0].err;
  for (int node : {0, 1}) {
    EXPECT_EQ(step[node].result->exit_code, 0)
        << step[node].result->reason << step[node].out << step[node].err;
    for (int rank : {2 * node, 2 * node + 1}) EXPECT_THAT(step[node].out, HasSubstr(Cat(rank, " well\n")));
  }
}
INSTANTIATE_TEST_SUITE_P(Each, PmixRequest,
                         ::testing::Values("modex", "fences", "names", "connect", "group", "event", "query",
                                           "refused", "log", "job_control", "monitor", "iof_pull", "iof_push",
                                           "credential", "validate", "status", "invite", "tool", "garbage",
                                           "keys", "ranges", "stranger", "psets", "deregister", "fabric",
                                           "endpoints"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(PmixStep, CarriesAnInvitationToTheOtherNode) {
  StepUnderTest step(Spec("invite"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_THAT(step[0].out, HasSubstr("invite: SUCCESS\n"));
}

TEST_F(PmixStep, SaysWhyItSpawnsNothingInAnotherImageOrOnAnotherNode) {
  StepUnderTest step(Spec("refused"));
  ASSERT_TRUE(step.RunToEnd());
  std::string said = step[0].err + step[1].err;
  EXPECT_THAT(said, HasSubstr("image no-such-image (container_image)"));
  EXPECT_THAT(said, HasSubstr("host tnode7 is not a node of this step"));
}

TEST_F(PmixStep, LetsNoToolIn) {
  StepUnderTest step(Spec("tool"));
  ASSERT_TRUE(step.RunToEnd());
  EXPECT_THAT(step[1].out, HasSubstr("tool: refused\n"));
}

TEST_F(PmixStep, GoesOnWithoutARankWhereAskedToAndTellsTheOthers) {
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

TEST_F(PmixStep, GoesOnWithoutADeadNodeWhereAskedToAndTellsOfEachOfItsRanks) {
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

TEST_F(PmixStep, ADeadNodeFailsTheFenceThatIsOpenWithItsName) {
  StepUnderTest step(Spec("node dies"));
  ASSERT_TRUE(step.RunUntil([&] { return step[1].out.ends_with("there\n") && step[1].out.size() > 10; }));
  step.LoseNode(1, "no heartbeat");
  ASSERT_TRUE(step.RunUntil([&] { return step[0].result.has_value(); }));
  EXPECT_EQ(step[0].result->exit_code, 1);
  EXPECT_THAT(step[0].result->reason, HasSubstr("node tnode1 is gone: no heartbeat"));
}

TEST_F(PmixStep, ANodeWhoseRanksHaveEndedIsNotTakenForDead) {
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

TEST_F(PmixStep, NamesTheRankThatNeverEntersAFenceWithinOneNode) {
  StepSpec spec = SpecOf(1, 3, {dir_ + "/p", "hang"});
  spec.mpi = MpiKind::kPmix;
  spec.env.push_back("SLIPWAY_MPI_TIMEOUT=2");
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd()) << step[0].out;
  EXPECT_EQ(step[0].result->exit_code, 1);
  EXPECT_EQ(step[0].result->reason,
            "a fence did not end within 2 s (--mpi-timeout); missing: rank 2 on tnode0");
}

TEST_F(PmixStep, NamesTheRankThatNeverEntersAFenceOfSeveralNodes) {
  StepSpec spec = Spec("hang");
  spec.env.push_back("SLIPWAY_MPI_TIMEOUT=2");
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd()) << step[0].out;
  EXPECT_EQ(step[0].result->exit_code, 1);
  EXPECT_THAT(step[0].result->reason, HasSubstr("a fence did not end within 2 s (--mpi-timeout); missing: "));
  EXPECT_THAT(step[0].result->reason, HasSubstr("rank 3 on tnode1"));
}

// libpmix looks a key up among all that it knows, so that a million of one rank take longer than anybody
// waits.
TEST_F(PmixStep, EndsWithAReasonAndLittleMemoryWhereARankPutsAMillionKeys) {
  StepSpec spec = Spec("million");
  spec.env.push_back("SLIPWAY_MPI_TIMEOUT=5");
  StepUnderTest step(spec);
  ASSERT_TRUE(step.RunToEnd()) << step[0].out << step[1].out;
  EXPECT_THAT(step[0].result->reason, HasSubstr("rank 3 on tnode1"));
  ExpectLittleMemory(step);
}

TEST_F(PmixStep, TwoStepsOfOneNodeHaveAddressesOfTheirOwnAndLetInTheirOwnRanks) {
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

TEST_F(PmixStep, NamesTheRankThatEndsWhileTheOthersWaitForIt) {
  StepUnderTest step(Spec("exit"));
  ASSERT_TRUE(step.RunToEnd()) << step[0].out << step[1].out;
  EXPECT_NE(step[0].result->exit_code, 0);
  EXPECT_THAT(step[0].result->reason, HasSubstr("rank 3 on tnode1 ended while the others wait for it"));
}

TEST_F(PmixStep, EndsWithAReasonAndLittleMemoryWhereARankPutsAHugeValue) {
  StepUnderTest step(Spec("huge"));
  ASSERT_TRUE(step.RunToEnd()) << step[0].out << step[1].out;
  EXPECT_NE(step[1].result->exit_code, 0);
  EXPECT_THAT(step[1].result->reason, HasSubstr("rank 3 on tnode1"));
  ExpectLittleMemory(step);
}

TEST_F(PmixStep, GivesAGroupOneNumberOnEveryNode) {
  StepUnderTest step(Spec("group"));
  ASSERT_TRUE(step.RunToEnd());
  for (int node : {0, 1}) EXPECT_THAT(step[node].out, HasSubstr("context 1\n"));
}

}  // namespace
}  // namespace slipway
