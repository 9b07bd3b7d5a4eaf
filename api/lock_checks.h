// SPDX-License-Identifier: Apache-2.0
// Debian builds Abseil, whose mutexes gRPC takes, as for finding gRPC's own faults: each lock that is taken
// while another is held is looked up in, and added to, one graph of the whole program, behind one lock of its
// own.
#pragma once

namespace slipway {

// Without that from then on. A program that uses gRPC calls it first thing in main.
void SwitchOffLockChecks();

}  // namespace slipway
