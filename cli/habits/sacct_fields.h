// SPDX-License-Identifier: Apache-2.0
// What sacct shows: a line of a job, and one of each of its steps.
#pragma once

#include "cli/habits/field.h"
#include "slipway/v1/job.pb.h"

namespace slipway::cli {

struct JobLine {  // borrowed
  const v1::Job* job = nullptr;
  const v1::Step* step = nullptr;  // none: the job's own line
};
std::span<const Field<JobLine>> JobLineFields();

}  // namespace slipway::cli
