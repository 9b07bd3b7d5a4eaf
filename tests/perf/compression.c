// SPDX-License-Identifier: Apache-2.0
// Would an allgather be faster if its data were compressed? Each FILE is what one node brings to it; the nodes pass them on
// as pmix/exchange does, in rounds of doubled size. A node's time is that of its messages on the wire; compressed either
//
//   blocks     each node its own before the first round, and all of the others' after the last, or
//   messages   everything anew in each round,
//
// with the time of that added. A sum, not a run over a network: who does both at once on one processor gains nothing, and
// the fastest of ROUNDS is taken, so what is said against compression is the least that can be said.
//
//   compression ROUNDS FILE…     a line for each library and way: ratio, µs, µs less than plain at 0.125, 1 and 10 GB/s
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>
#include <zstd.h>

enum { kNodesMax = 4096, kTextMax = 64 << 20 };

typedef size_t Coder(const char* from, size_t size, char* to, size_t room);

static ZSTD_CCtx* zstd_out;
static ZSTD_DCtx* zstd_in;

static size_t ZstdPack(const char* from, size_t size, char* to, size_t room) {
  return ZSTD_compressCCtx(zstd_out, to, room, from, size, 1);
}
static size_t ZstdUnpack(const char* from, size_t size, char* to, size_t room) {
  return ZSTD_decompressDCtx(zstd_in, to, room, from, size);
}
static size_t ZlibPack(const char* from, size_t size, char* to, size_t room) {
  uLongf packed = room;
  return compress2((Bytef*)to, &packed, (const Bytef*)from, size, 1) == Z_OK ? packed : 0;
}
static size_t ZlibUnpack(const char* from, size_t size, char* to, size_t room) {
  uLongf unpacked = room;
  return uncompress((Bytef*)to, &unpacked, (const Bytef*)from, size) == Z_OK ? unpacked : 0;
}
static size_t Lz4Pack(const char* from, size_t size, char* to, size_t room) {
  return (size_t)LZ4_compress_default(from, to, (int)size, (int)room);
}
static size_t Lz4Unpack(const char* from, size_t size, char* to, size_t room) {
  return (size_t)LZ4_decompress_safe(from, to, (int)size, (int)room);
}

static double NowUs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static char *all, *packed, *unpacked;
static size_t starts[kNodesMax + 1];  // of the nodes' data in `all`
static int nodes, rounds;

// What a message of `size` bytes costs to pack and to unpack, at best; its packed size comes back, never more than it was.
static size_t Cost(Coder* pack, Coder* unpack, const char* from, size_t size, double* pack_us, double* unpack_us) {
  size_t small = 0;
  *pack_us = *unpack_us = 1e12;
  for (int i = 0; i < rounds; ++i) {
    double began = NowUs();
    small = pack(from, size, packed, kTextMax);
    double between = NowUs();
    size_t large = unpack(packed, small, unpacked, kTextMax);
    double ended = NowUs();
    if (large != size || memcmp(unpacked, from, size) != 0) {
      fprintf(stderr, "compression: %zu bytes came back as others\n", size);
      exit(1);
    }
    if (between - began < *pack_us) *pack_us = between - began;
    if (ended - between < *unpack_us) *unpack_us = ended - between;
  }
  if (small < size) return small;
  *unpack_us = 0;  // sent as it is
  return size;
}

static void Show(const char* library, const char* way, size_t plain, size_t sent, double us) {
  printf("%-5s %-9s %8zu bytes  ratio %5.2f  %9.1f us;  gain", library, way, plain, (double)plain / (double)sent, us);
  for (int i = 0; i < 3; ++i) {
    double bytes_per_us = (double[]){125, 1000, 10000}[i], wire = (double)plain / bytes_per_us;
    printf("  %+9.1f of %8.1f", wire - (double)sent / bytes_per_us - us, wire);
  }
  printf("\n");
}

static void Try(const char* library, Coder* pack, Coder* unpack) {
  double pack_us, unpack_us, us = 0;
  size_t plain = 0, sent = 0;
  for (int node = 0; node < nodes; ++node) {
    size_t size = starts[node + 1] - starts[node], small = Cost(pack, unpack, all + starts[node], size, &pack_us, &unpack_us);
    if (node == 0) {
      us += pack_us;  // ours
      continue;
    }
    us += unpack_us;
    plain += size;
    sent += small;
  }
  Show(library, "blocks", plain, sent, us);
  us = 0, plain = 0, sent = 0;
  for (int step = 1; step < nodes; step *= 2) {
    int count = step < nodes - step ? step : nodes - step;
    size_t size = starts[count] - starts[0], small = Cost(pack, unpack, all, size, &pack_us, &unpack_us);
    us += pack_us + unpack_us;
    plain += size;
    sent += small;
  }
  Show(library, "messages", plain, sent, us);
}

int main(int argc, char** argv) {
  rounds = argc > 2 ? atoi(argv[1]) : 0;
  if (rounds < 1 || argc - 2 > kNodesMax) {
    fprintf(stderr, "usage: compression ROUNDS FILE…\n");
    return 2;
  }
  all = malloc(kTextMax), packed = malloc(kTextMax), unpacked = malloc(kTextMax);
  zstd_out = ZSTD_createCCtx(), zstd_in = ZSTD_createDCtx();
  for (nodes = 0; nodes < argc - 2; ++nodes) {
    FILE* file = fopen(argv[nodes + 2], "r");
    if (file == NULL) return perror(argv[nodes + 2]), 1;
    starts[nodes + 1] = starts[nodes] + fread(all + starts[nodes], 1, kTextMax / 2 - starts[nodes], file);
    fclose(file);
  }
  Try("zstd", ZstdPack, ZstdUnpack);
  Try("zlib", ZlibPack, ZlibUnpack);
  Try("lz4", Lz4Pack, Lz4Unpack);
  return 0;
}
