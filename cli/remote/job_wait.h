// SPDX-License-Identifier: Apache-2.0
// Waiting for a job without asking again and again: the controller's Watch says when something has changed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "cli/remote/cluster.h"
#include "slipway/v1/job.pb.h"

namespace slipway::cli {

// Until the job (of an array: every task) has ended. `changed`, when given, is called with each state.
Result<v1::Job> WaitForEnd(Cluster& cluster, std::uint64_t job_id,
                           const std::function<void(const v1::Job&)>& changed);
// Whether it has left the queue within that time.
Result<bool> WaitForStart(Cluster& cluster, std::uint64_t job_id, std::chrono::seconds patience);
// Of a job that has ended, as a shell would count it: never 0 unless it is COMPLETED.
int ExitCodeOf(const v1::Job& job);
// "12" or "12_3" to the job it names.
Result<v1::Job> FindJob(Cluster& cluster, const std::string& text);

}  // namespace slipway::cli
