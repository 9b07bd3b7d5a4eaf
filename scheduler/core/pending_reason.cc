// SPDX-License-Identifier: Apache-2.0
#include "scheduler/core/policy.h"

namespace slipway::scheduler {

std::string_view PendingReasonName(PendingReason reason) {
  switch (reason) {
    case PendingReason::kNone:
      return "";
    case PendingReason::kResources:
      return "resources";
    case PendingReason::kPriority:
      return "priority";
    case PendingReason::kBeginTime:
      return "begin-time";
    case PendingReason::kLimit:
      return "limit";
    case PendingReason::kNodesUnavailable:
      return "nodes-unavailable";
    case PendingReason::kDependency:
      return "dependency";
    case PendingReason::kDependencyNever:
      return "dependency-never-satisfied";
    case PendingReason::kHeldByUser:
      return "held";
    case PendingReason::kHeldByAdmin:
      return "held-by-admin";
    case PendingReason::kPartitionDown:
      return "PartitionDown";
    case PendingReason::kPartitionLimit:
      return "PartitionLimit";
    case PendingReason::kPartitionConfig:
      return "PartitionConfig";
    case PendingReason::kReservation:
      return "Reservation";
  }
  return "?";
}

std::string_view PendingReasonText(PendingReason reason) {
  switch (reason) {
    case PendingReason::kNone:
      return "";
    case PendingReason::kResources:
      return "next in line; waits until enough nodes, cores or memory are free";
    case PendingReason::kPriority:
      return "waits for resources; other jobs are ahead of it";
    case PendingReason::kBeginTime:
      return "its begin time has not come";
    case PendingReason::kLimit:
      return "a limit of its array, QOS or account is reached";
    case PendingReason::kNodesUnavailable:
      return "nodes that it needs are drained, down or silent";
    case PendingReason::kDependency:
      return "waits for another job";
    case PendingReason::kDependencyNever:
      return "waits for another job that has ended otherwise than it asks for; cancel it";
    case PendingReason::kHeldByUser:
      return "is held; slipway release lets it go on";
    case PendingReason::kHeldByAdmin:
      return "is held by an administrator";
    case PendingReason::kPartitionDown:
      return "its partition starts no jobs at present";
    case PendingReason::kPartitionLimit:
      return "its partition does not allow such jobs any more";
    case PendingReason::kPartitionConfig:
      return "its partition does not exist any more";
    case PendingReason::kReservation:
      return "waits for its reservation to begin";
  }
  return "?";
}

}  // namespace slipway::scheduler
