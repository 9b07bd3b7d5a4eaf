// SPDX-License-Identifier: Apache-2.0
// The part of Apply that is about what jobs wait for. Private to the core.
#pragma once

#include "scheduler/core/state.h"

namespace slipway::scheduler {

// Singletons and tasks of an array are turned into the jobs that they mean. `at`: the event's time.
void AddDependency(const State& state, Time at, Job& job, const Dependency& what);
// Something of this job has changed that others may wait for.
void Resolve(State& state, Time at, const Job& job);
void ResolveOn(State& state, Time at, JobId on);

}  // namespace slipway::scheduler
