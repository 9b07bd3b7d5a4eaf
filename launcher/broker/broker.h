// SPDX-License-Identifier: Apache-2.0
// The broker: answers one small set of frames for the one uid that its configuration names.
#pragma once

#include "launcher/broker/conf.h"
#include "launcher/broker/container_birth.h"

namespace slipway {

// Serves until SIGTERM or SIGINT; steps go on without it. The error is why it could not begin.
Result<> RunBroker(const BrokerConf& conf, const ContainerEntry& entry);
// For the setuid starter: one image into the store, without a broker's running; the digest of what will be
// mounted.
Result<std::string> ImportOnce(const BrokerConf& conf, UniqueFd source, bool as_is);

}  // namespace slipway
