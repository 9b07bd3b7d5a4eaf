// SPDX-License-Identifier: Apache-2.0
// An ordinary user builds as root of his own user namespace: root there is himself, the other ids are his
// subordinate ones (/etc/subuid), so that packages can own files and drop to other accounts.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "base/result/result.h"
#include "imagestore/build/build.h"
#include "imagestore/squashfs/pack.h"

namespace slipway::build {

struct FrameHandlers {  // called here
  std::function<void(const BuildProgress&)> progress;
  std::function<void(std::string_view)> log;
};
// How the work in there speaks to us, and what tells it to end; called in the child.
struct FrameSink : FrameHandlers {
  const std::atomic<bool>* cancelled = nullptr;
};

// Runs `work` in a forked child in a new user and mount namespace, as its root, and returns what it returned.
// Cancelled, `work` is told so and waited for, so that what it started is gone, too, when this returns; only
// work that does not heed it for ten seconds is killed. Call from a program with one thread. kNotFound when
// the user has no subordinate ids or newuidmap is not installed.
Result<std::string> InUserNamespace(const std::function<Result<std::string>(const FrameSink&)>& work,
                                    const FrameHandlers& handlers, const std::atomic<bool>* cancelled);

std::string EncodeSummary(const squashfs::PackSummary& summary);
Result<squashfs::PackSummary> DecodeSummary(std::string_view bytes);

}  // namespace slipway::build
