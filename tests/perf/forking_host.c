// SPDX-License-Identifier: Apache-2.0
// The least that can start an MPI program on one node: a PMIx host that registers a namespace, forks the ranks, and waits
// for them. No container, no scheduler, no other node. What it takes is the floor that a step on one node is measured
// against:
//
//   forking_host RANKS PROGRAM [ARG…]     environment as the ranks shall have it; exit code 0 when all of theirs are
//
// It can also be one of several nodes that do not exist, to learn what an MPI brings to their first fence:
//
//   forking_host --node NUMBER COUNT FILE RANKS PROGRAM [ARG…]     that is written to FILE, and the ranks are killed
//
// The host's name must be nodeNUMBER then.
//
// It forks after PMIx_server_init, which hangs now and then with some versions of libpmix (a child that inherits a lock):
// good enough for a measurement that can be begun again, and why Slipway does not.
#include <pmix.h>
#include <pmix_server.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kRanksMax = 1024, kNodesMax = 1024 };
extern char** environ;

static int node_number = 0, node_count = 1, ranks_here = 0;
static const char* fence_file = NULL;
static int fence_written = 0;
static pid_t children[kRanksMax];

static pmix_status_t OnConnected(const pmix_proc_t* proc, void* object, pmix_info_t info[], size_t count, pmix_op_cbfunc_t done,
                                 void* data) {
  (void)proc, (void)object, (void)info, (void)count, (void)done, (void)data;
  return PMIX_OPERATION_SUCCEEDED;
}
static pmix_status_t OnFinalized(const pmix_proc_t* proc, void* object, pmix_op_cbfunc_t done, void* data) {
  (void)proc, (void)object, (void)done, (void)data;
  return PMIX_OPERATION_SUCCEEDED;
}
// The ranks wait for the other nodes, which are not there: they have done what they were started for.
static void KeepFence(const char* bytes, size_t size) {
  FILE* file = fopen(fence_file, "w");
  if (file != NULL) fence_written = fwrite(bytes, 1, size, file) == size && fclose(file) == 0;
  for (int rank = 0; rank < ranks_here; ++rank) kill(children[rank], SIGKILL);
}
// All of them are here: what they have is what there is.
static pmix_status_t OnFence(const pmix_proc_t procs[], size_t count, const pmix_info_t info[], size_t infos, char* bytes,
                             size_t size, pmix_modex_cbfunc_t done, void* data) {
  (void)procs, (void)count, (void)info, (void)infos;
  if (fence_file != NULL && size > 0) {
    KeepFence(bytes, size);
    return PMIX_SUCCESS;
  }
  done(PMIX_SUCCESS, bytes, size, data, NULL, NULL);
  return PMIX_SUCCESS;
}

static void Need(pmix_status_t status, const char* what) {
  if (status == PMIX_SUCCESS || status == PMIX_OPERATION_SUCCEEDED) return;
  fprintf(stderr, "forking_host: %s: %s\n", what, PMIx_Error_string(status));
  exit(2);
}

static void RegisterJob(const pmix_nspace_t nspace) {
  int ranks = ranks_here * node_count;
  char *hosts = calloc((size_t)node_count, 256), *list = calloc((size_t)ranks, 12), *nodes, *procs;
  gethostname(hosts, 256);
  if (node_count > 1) hosts[0] = 0;
  for (int node = 0; node < node_count && node_count > 1; ++node) sprintf(hosts + strlen(hosts), node ? ",node%d" : "node%d", node);
  char* end = list;
  for (int rank = 0; rank < ranks; ++rank) end += sprintf(end, rank == 0 ? "%d" : rank % ranks_here ? ",%d" : ";%d", rank);
  PMIx_generate_regex(hosts, &nodes);
  PMIx_generate_ppn(list, &procs);
  pmix_info_t info[4];
  uint32_t size = (uint32_t)ranks;
  PMIX_INFO_LOAD(&info[0], PMIX_NODE_MAP, nodes, PMIX_REGEX);
  PMIX_INFO_LOAD(&info[1], PMIX_PROC_MAP, procs, PMIX_REGEX);
  PMIX_INFO_LOAD(&info[2], PMIX_JOB_SIZE, &size, PMIX_UINT32);
  PMIX_INFO_LOAD(&info[3], PMIX_UNIV_SIZE, &size, PMIX_UINT32);
  Need(PMIx_server_register_nspace(nspace, ranks_here, info, 4, NULL, NULL), "registering the namespace");
  free(list);
  free(hosts);
}

static pid_t StartRank(const pmix_nspace_t nspace, int rank, char** argv) {
  pmix_proc_t proc;
  PMIX_LOAD_PROCID(&proc, nspace, (pmix_rank_t)rank);
  Need(PMIx_server_register_client(&proc, getuid(), getgid(), NULL, NULL, NULL), "registering a rank");
  char** env = NULL;
  pmix_status_t status;
  for (char** line = environ; *line != NULL; ++line) PMIX_ARGV_APPEND(status, env, *line);
  Need(PMIx_server_setup_fork(&proc, &env), "a rank's environment");
  (void)status;
  pid_t pid = fork();
  if (pid == 0) {
    execvpe(argv[0], argv, env);
    _exit(127);
  }
  PMIX_ARGV_FREE(env);
  return pid;
}

int main(int argc, char** argv) {
  if (argc > 5 && strcmp(argv[1], "--node") == 0) {
    node_number = atoi(argv[2]), node_count = atoi(argv[3]), fence_file = argv[4];
    argc -= 4, argv += 4;
  }
  ranks_here = argc > 2 ? atoi(argv[1]) : 0;
  if (ranks_here < 1 || ranks_here > kRanksMax || node_count < 1 || node_count > kNodesMax) {
    fprintf(stderr, "usage: forking_host [--node NUMBER COUNT FILE] RANKS PROGRAM [ARG…]\n");
    return 2;
  }
  char folder[] = "/tmp/forking-host-XXXXXX";
  if (mkdtemp(folder) == NULL) return 2;
  pmix_server_module_t module = {.client_finalized = OnFinalized, .fence_nb = OnFence, .client_connected2 = OnConnected};
  pmix_info_t info[2];
  PMIX_INFO_LOAD(&info[0], PMIX_SERVER_TMPDIR, folder, PMIX_STRING);
  PMIX_INFO_LOAD(&info[1], PMIX_SYSTEM_TMPDIR, folder, PMIX_STRING);
  Need(PMIx_server_init(&module, info, 2), "PMIx_server_init");
  pmix_nspace_t nspace = "forked.1";
  RegisterJob(nspace);
  int bad = 0;
  for (int rank = 0; rank < ranks_here; ++rank) children[rank] = StartRank(nspace, node_number * ranks_here + rank, argv + 2);
  for (int rank = 0; rank < ranks_here; ++rank) {
    int status = 1;
    if (waitpid(children[rank], &status, 0) != children[rank] || status != 0) bad = 1;
  }
  PMIx_server_finalize();
  rmdir(folder);
  return fence_file != NULL ? !fence_written : bad;
}
