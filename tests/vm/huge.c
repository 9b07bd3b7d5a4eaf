// SPDX-License-Identifier: Apache-2.0
// Takes huge pages one by one and says how many it got: huge N. Exit code 7 when the kernel refuses the next.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kPage = 2 << 20 };
static volatile int had;

static void refused(int number) {
  char line[] = "refused after 0\n";
  line[sizeof line - 3] = (char)('0' + had);
  if (write(1, line, sizeof line - 1) < 0) _exit(8);
  _exit(number == SIGBUS ? 7 : 8);
}

int main(int argc, char** argv) {
  int wanted = argc > 1 ? atoi(argv[1]) : 1;
  signal(SIGBUS, refused);
  char* pages = mmap(0, (size_t)wanted * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  if (pages == MAP_FAILED) {
    perror("mmap");
    return 9;
  }
  for (; had < wanted; ++had) pages[(size_t)had * kPage] = 1;
  printf("had %d\n", had);
  return 0;
}
