// SPDX-License-Identifier: Apache-2.0
// A privileged program believes one file only: root's. It is opened once and judged on the open descriptor,
// so it cannot be exchanged between the check and the reading.
#pragma once

#include <unistd.h>

#include <string>

#include "base/os/trusted.h"
#include "launcher/spec/starter_conf.h"

namespace slipway {

// For anybody; a file that is not there has every key at its default. It must belong to root or `owner`.
Result<BrokerConf> LoadConf(const std::string& path, uid_t owner = ::geteuid());
// For broker and holder, which also need node, cluster and agent_uid.
Result<BrokerConf> LoadNodeConf(const std::string& path);

}  // namespace slipway
