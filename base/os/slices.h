// SPDX-License-Identifier: Apache-2.0
// On a node whose processors are full of ranks that poll, whoever carries their messages waits a whole slice
// of each of them before he runs (3 ms a hop, several hops a fence). A process may ask the scheduler for
// short slices: it is then woken sooner, runs shorter, and gets not a bit more of the processor. No privilege
// needed.
#pragma once

namespace slipway {

// For this thread and all threads and processes that it starts: not for programs that start others. Where the
// kernel does not know it (before 6.12) nothing changes.
void AskForShortSlices();

}  // namespace slipway
