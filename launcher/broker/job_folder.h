// SPDX-License-Identifier: Apache-2.0
// What the steps of a job share on this node and what must go with it, full or not, however deep and whatever
// its links say: file systems in memory of a fixed size, mounted below run_dir/jobs in the holder's mount
// namespace alone. Letting one go is one call that looks at nothing in it.
#pragma once

#include "launcher/broker/conf.h"
#include "launcher/broker/identity.h"
#include "launcher/spec/broker_protocol.h"

namespace slipway {

// As root: what `room` asks for and the job does not have yet.
Result<> MakeJobFolder(const BrokerConf& conf, const StepId& job, const UserIds& owner, const JobRoom& room);
void RemoveJobFolder(const BrokerConf& conf, const StepId& job);

}  // namespace slipway
