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

// How the work in there speaks to us; called in the child.
struct FrameSink {
  std::function<void(const BuildProgress&)> progress;
  std::function<void(std::string_view)> log;
};
using FrameHandlers = FrameSink;  // called here

// Runs `work` in a forked child in a new user and mount namespace, as its root, and returns what it returned.
// Call from a program with one thread. kNotFound when the user has no subordinate ids or newuidmap is not
// installed.
Result<std::string> InUserNamespace(const std::function<Result<std::string>(const FrameSink&)>& work,
                                    const FrameHandlers& handlers, const std::atomic<bool>* cancelled);

std::string EncodeSummary(const squashfs::PackSummary& summary);
Result<squashfs::PackSummary> DecodeSummary(std::string_view bytes);

}  // namespace slipway::build
