// SPDX-License-Identifier: Apache-2.0
// Who waits for a job is told of its changes. A slow reader gets the newest state, not every one in between,
// and of an array or a job of many steps, where something changes all the time and each telling walks over
// all of them, nobody gets more than one in kBusyToldEvery; its end is told at once.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_callback.h>

#include "scheduler/core/ids.h"
#include "scheduler/server/auth.h"
#include "scheduler/server/services.h"
#include "slipway/v1/job.pb.h"

namespace slipway::scheduler {

inline constexpr std::chrono::milliseconds kBusyToldEvery{200};
inline constexpr std::size_t kStepsToldEach = 16;  // of a job

// Owned by gRPC. Any thread.
grpc::ServerWriteReactor<v1::Job>* WatchJob(ServiceContext& context, Result<Requester> by, JobId job);

}  // namespace slipway::scheduler
