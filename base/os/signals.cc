// SPDX-License-Identifier: Apache-2.0
#include "base/os/signals.h"

#include <csignal>

namespace slipway {

void UnblockSignals() {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace slipway
