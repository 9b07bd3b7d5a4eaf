// SPDX-License-Identifier: Apache-2.0
// What this process has used so far: for benchmarks.
#pragma once

#include <cstddef>
#include <vector>

namespace slipway::scheduler {

double CpuMs();  // of all threads

// Of the heap in use; large vectors are mapped, which the C library counts by themselves.
std::size_t HeapBytes();

// at: 0.5 the median, 1 the largest. 0 of nothing.
double Quantile(std::vector<double> values, double at);

}  // namespace slipway::scheduler
