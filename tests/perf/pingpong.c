// SPDX-License-Identifier: Apache-2.0
// Latency and bandwidth between two ranks, as MPI programs feel them. Prints one line, from rank 0:
// "latency US bandwidth MB/S": half a round trip of 8 bytes and the rate of 1 MiB messages there and back, the fastest
// tenth of many. Not the median: two ranks that share processors with other work wait for one another's turn of it most of
// the time, and it would be the scheduler's figure.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kSmall = 8, kSmallRounds = 5000, kLarge = 1 << 20, kLargeRounds = 200, kWarm = 20, kTenth = 10 };

static int ByValue(const void* a, const void* b) {
  double left = *(const double*)a, right = *(const double*)b;
  return (left > right) - (left < right);
}

// Seconds of one way, which a tenth of the rounds do not exceed.
static double OneWay(int rank, char* data, int size, int rounds) {
  double* took = malloc(sizeof *took * (size_t)rounds);
  for (int round = -kWarm; round < rounds; ++round) {
    double began = MPI_Wtime();
    if (rank == 0) MPI_Send(data, size, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
    MPI_Recv(data, size, MPI_BYTE, 1 - rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (rank == 1) MPI_Send(data, size, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
    if (round >= 0) took[round] = (MPI_Wtime() - began) / 2;
  }
  qsort(took, (size_t)rounds, sizeof *took, ByValue);
  double fast = took[rounds / kTenth];
  free(took);
  return fast;
}

int main(int argc, char** argv) {
  int rank, size;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size != 2) MPI_Abort(MPI_COMM_WORLD, 2);
  char* data = malloc(kLarge);
  memset(data, 1, kLarge);
  double small = OneWay(rank, data, kSmall, kSmallRounds), large = OneWay(rank, data, kLarge, kLargeRounds);
  if (rank == 0) printf("latency %.3f bandwidth %.1f\n", small * 1e6, kLarge / large / 1e6);
  free(data);
  return MPI_Finalize();
}
