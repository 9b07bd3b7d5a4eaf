// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/measure.h"

#include <malloc.h>

#include <algorithm>
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

double Quantile(std::vector<double> values, double at) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1,
                         static_cast<std::size_t>(at * static_cast<double>(values.size())))];
}

}  // namespace slipway::scheduler
