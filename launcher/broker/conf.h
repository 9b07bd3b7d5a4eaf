// SPDX-License-Identifier: Apache-2.0
// A privileged program believes one file only: root's. It is opened once and judged on the open descriptor,
// so it cannot be exchanged between the check and the reading.
#pragma once

#include <string>

#include "base/os/trusted.h"
#include "launcher/spec/starter_conf.h"

namespace slipway {

// For anybody; a file that is not there has every key at its default.
Result<BrokerConf> LoadConf(const std::string& path);
// For broker and holder, which also need node, cluster and agent_uid.
Result<BrokerConf> LoadNodeConf(const std::string& path);

}  // namespace slipway
