// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/measure.h"

#include <malloc.h>

#include <ctime>

namespace slipway::scheduler {

double CpuMs() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

std::size_t HeapBytes() {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace slipway::scheduler
