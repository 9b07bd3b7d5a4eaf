// SPDX-License-Identifier: Apache-2.0
// The image of a job or step as people name it: a file, a directory, a name of the catalogue, or an address
// of a registry, from which it is brought here by the caller's own account, with his own passwords, and
// handed to the cluster under a name that only he sees. What the registry, the cache and the cluster have the
// same of is not brought again.
#pragma once

#include <string>

#include "cli/remote/cluster.h"

namespace slipway::cli {

// --image, or --container-image in our words; empty: neither. kInvalidArgument.
Result<std::string> ImageWordOf(const Parsed& options);

struct WantedImage {
  std::string text;  // as written; empty: none
  std::string
      file;  // of an address: the SIF in the caller's cache; empty where none can be brought (in a job)
};
// May take minutes, with progress on stderr. Without a cluster and before any thread, so that Ctrl-C ends it.
Result<WantedImage> Bring(const std::string& text);
// What the controller understands.
Result<std::string> ReferenceOf(Cluster& cluster, const WantedImage& wanted);

// "docker://nvcr.io/nvidia/pytorch:24.01-py3" of user alice → "alice/nvcr.io-nvidia-pytorch:24.01-py3"; a
// digest is its tag. Pure.
std::string OwnImageName(const std::string& user, const std::string& address);

}  // namespace slipway::cli
