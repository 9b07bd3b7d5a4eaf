// SPDX-License-Identifier: Apache-2.0
// What programs read: one JSON object, its keys those of the protocol, states without their prefix, times in
// ms since 1970 UTC, sizes in bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "slipway/v1/job.pb.h"
#include "slipway/v1/node.pb.h"

namespace slipway::cli {

std::string StateName(v1::JobState state);  // "RUNNING"
std::string JobIdText(const v1::Job& job);  // "12", "12_3", "12_[4-100]"
// Of the tasks of an array that are no jobs yet, shown as one: their indices, ascending.
std::vector<std::uint32_t> TasksOf(const v1::Job& job);
std::string StepIdText(std::uint32_t step_id);  // "0", "batch"

std::string JobJson(const v1::Job& job);
std::string JobsJson(const v1::ListJobsReply& reply);    // {"jobs": […]}
std::string NodesJson(const v1::ListNodesReply& reply);  // {"nodes": […]}

}  // namespace slipway::cli
