// SPDX-License-Identifier: Apache-2.0
// Calls that stay open (of those who watch a job or are attached to a step) cost memory as long as they do:
// there is a bound on them, and each holds a slot of it. Any thread.
#pragma once

#include "base/result/result.h"
#include "scheduler/server/services.h"

namespace slipway::scheduler {

class WatcherSlot {
 public:
  explicit WatcherSlot(ServiceContext& context) : context_(context) {
    taken_ = context.watchers.fetch_add(1) < context.watchers_max;
  }
  ~WatcherSlot() { context_.watchers.fetch_sub(1); }
  Result<> Check() const {
    if (taken_) return {};
    return Fail(Code::kResourceExhausted, "too many calls watch jobs at present (controller.watchers_max)");
  }

 private:
  ServiceContext& context_;
  bool taken_;
};

}  // namespace slipway::scheduler
