// SPDX-License-Identifier: Apache-2.0
// What a fence costs: every rank publishes VALUE bytes (1 KiB) and all of them exchange these, over the PMIx host that
// started them. Beside it the network's round trip, of one byte over TCP between rank 0 and the last rank.
//
//   fence [ROUNDS] [BYTES]      as an MPI step; rank 0 prints "fence US round-trip US" (medians)
//
// No MPI in it, so that it is the host and its exchange that are timed.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <pmix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kRoundsMax = 1000 };

static pmix_proc_t me;

static double NowUs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void Need(int good, const char* what) {
  if (good) return;
  fprintf(stderr, "fence: rank %u: %s failed\n", me.rank, what);
  exit(1);
}

static int ByValue(const void* a, const void* b) {
  double left = *(const double*)a, right = *(const double*)b;
  return (left > right) - (left < right);
}

static double Median(double* values, int count) {
  qsort(values, (size_t)count, sizeof *values, ByValue);
  return values[count / 2];
}

static void Put(const char* key, const char* bytes, size_t size) {
  pmix_value_t value = {.type = PMIX_BYTE_OBJECT};
  value.data.bo.bytes = (char*)bytes;
  value.data.bo.size = size;
  Need(PMIx_Put(PMIX_GLOBAL, key, &value) == PMIX_SUCCESS, "PMIx_Put");
}

static void Fence(int collect) {
  pmix_info_t info;
  bool yes = true;
  PMIX_INFO_LOAD(&info, PMIX_COLLECT_DATA, &yes, PMIX_BOOL);
  Need(PMIx_Fence(NULL, 0, collect ? &info : NULL, collect ? 1 : 0) == PMIX_SUCCESS, "PMIx_Fence");
}

static double FenceUs(int rounds, size_t bytes) {
  char key[32], *data = malloc(bytes);
  double took[kRoundsMax];
  for (int round = 0; round < rounds; ++round) {
    for (size_t at = 0; at < bytes; ++at) data[at] = (char)rand();  // nothing for a compressor
    snprintf(key, sizeof key, "k%d", round);
    Put(key, data, bytes);
    Need(PMIx_Commit() == PMIX_SUCCESS, "PMIx_Commit");
    Fence(0);  // all of them begin together
    double began = NowUs();
    Fence(1);
    took[round] = NowUs() - began;
  }
  free(data);
  return Median(took, rounds);
}

static void Quick(int socket) {
  int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// This node's address on the network that it shares with the others; not by its name, which nobody may know.
static struct in_addr OwnAddress(void) {
  struct ifaddrs* all = NULL;
  Need(getifaddrs(&all) == 0, "getifaddrs");
  struct in_addr address = {.s_addr = htonl(INADDR_LOOPBACK)};
  for (struct ifaddrs* one = all; one != NULL; one = one->ifa_next) {
    if (one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_INET || (one->ifa_flags & IFF_LOOPBACK)) continue;
    address = ((struct sockaddr_in*)one->ifa_addr)->sin_addr;
    break;
  }
  freeifaddrs(all);
  return address;
}

// The last rank answers, rank 0 asks.
static double RoundTripUs(int rounds, pmix_rank_t last) {
  char byte = 0;
  double took[kRoundsMax];
  if (me.rank == last) {
    int door = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t size = sizeof address;
    Need(bind(door, (struct sockaddr*)&address, sizeof address) == 0 && listen(door, 1) == 0, "listen");
    getsockname(door, (struct sockaddr*)&address, &size);
    address.sin_addr = OwnAddress();
    Put("door", (const char*)&address, sizeof address);
    PMIx_Commit();
    Fence(1);
    int peer = accept(door, NULL, NULL);
    Quick(peer);
    while (read(peer, &byte, 1) == 1 && write(peer, &byte, 1) == 1) continue;
    close(peer);
    return 0;
  }
  Fence(1);
  if (me.rank != 0) return 0;
  pmix_proc_t other = me;
  other.rank = last;
  pmix_value_t* where = NULL;
  Need(PMIx_Get(&other, "door", NULL, 0, &where) == PMIX_SUCCESS, "PMIx_Get");
  struct sockaddr_in address;
  Need(where->data.bo.size == sizeof address, "reading the other node's address");
  memcpy(&address, where->data.bo.bytes, sizeof address);
  int peer = socket(AF_INET, SOCK_STREAM, 0);
  Need(connect(peer, (struct sockaddr*)&address, sizeof address) == 0, "connect");
  Quick(peer);
  for (int round = 0; round < rounds; ++round) {
    double began = NowUs();
    Need(write(peer, &byte, 1) == 1 && read(peer, &byte, 1) == 1, "the round trip");
    took[round] = NowUs() - began;
  }
  close(peer);
  return Median(took, rounds);
}

int main(int argc, char** argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 50;
  size_t bytes = argc > 2 ? (size_t)atol(argv[2]) : 1024;
  Need(rounds > 0 && rounds <= kRoundsMax && bytes > 0, "reading ROUNDS and BYTES");
  Need(PMIx_Init(&me, NULL, 0) == PMIX_SUCCESS, "PMIx_Init");
  pmix_proc_t job = me;
  job.rank = PMIX_RANK_WILDCARD;
  pmix_value_t* size = NULL;
  Need(PMIx_Get(&job, PMIX_JOB_SIZE, NULL, 0, &size) == PMIX_SUCCESS, "PMIx_Get of the job's size");
  double trip = size->data.uint32 > 1 ? RoundTripUs(rounds, size->data.uint32 - 1) : 0;
  Fence(0);
  double fence = FenceUs(rounds, bytes);
  if (me.rank == 0) printf("fence %.1f round-trip %.1f\n", fence, trip);
  return PMIx_Finalize(NULL, 0) == PMIX_SUCCESS ? 0 : 1;
}
