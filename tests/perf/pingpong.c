// SPDX-License-Identifier: Apache-2.0
// Latency and bandwidth between two ranks, as MPI programs feel them. Prints one line, from rank 0:
// "latency US bandwidth MB/S": half a round trip of 8 bytes and the rate of 1 MiB messages there
// and back, medians of many.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kSmall = 8, kSmallRounds = 20000, kLarge = 1 << 20, kLargeRounds = 300, kWarm = 200 };

static int ByValue(const void* a, const void* b) {
  double left = *(const double*)a, right = *(const double*)b;
  return (left > right) - (left < right);
}

// Seconds of one way, median.
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
  double median = took[rounds / 2];
  free(took);
  return median;
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
