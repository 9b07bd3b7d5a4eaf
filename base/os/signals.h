// SPDX-License-Identifier: Apache-2.0
// A mask of blocked signals goes through fork and exec: who blocks for a loop of his own says so to no child.
#pragma once

namespace slipway {

void UnblockSignals();  // all of them, for the calling thread; async-signal-safe

}  // namespace slipway
