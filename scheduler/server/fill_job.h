// SPDX-License-Identifier: Apache-2.0
// A job, a task or an array as the API shows it to `by`. Loop's thread, after a commit (Head::AfterCommit).
#pragma once

#include "scheduler/server/auth.h"
#include "scheduler/server/head.h"
#include "slipway/v1/job.pb.h"

namespace slipway::scheduler {

// kNotFound: there is none of that number. Of an array this walks over all of its tasks that are jobs.
Result<> FillJob(const Head& head, JobId id, const Requester& by, v1::Job* out);

}  // namespace slipway::scheduler
