// SPDX-License-Identifier: Apache-2.0
// A daemon that dies is started again at once, as systemd's Restart=always would; one that keeps dying must
// not eat the machine, so after a few fast deaths each wait doubles.
#pragma once

#include "base/loop/loop.h"

namespace slipway::dev {

class RestartPolicy {
 public:
  // How long to wait before the next start of a daemon that ran for `lived`.
  Duration AfterDeath(Duration lived);
  unsigned fast_deaths() const { return fast_deaths_; }

 private:
  unsigned fast_deaths_ = 0;  // in a row
};

}  // namespace slipway::dev
