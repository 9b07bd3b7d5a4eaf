// SPDX-License-Identifier: Apache-2.0
// A job's image may be a file or a directory of the user's: the controller gets it once, and the job is
// pinned to the digest of what will be mounted.
#pragma once

#include <string>

#include "cli/remote/cluster.h"
#include "slipway/v1/image.pb.h"

namespace slipway::cli {

// A catalogue name or digest is returned as it is; a path is uploaded (a directory is packed first; what the
// cluster has already is not sent again) and its digest returned. Progress goes to stderr when that is a
// terminal.
Result<std::string> ImageReference(Cluster& cluster, const std::string& image);
enum class ImportHow {
  kOnce,   // what the cluster has already is not imported again
  kAgain,  // although the cluster has it, so that signatures and content are looked at anew
  kAsIs,   // not packed anew: a SIF that a key of the site signed
};
Result<v1::UploadReply> UploadImage(Cluster& cluster, const std::string& path,
                                    ImportHow how = ImportHow::kOnce);

}  // namespace slipway::cli
