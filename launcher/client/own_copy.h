// SPDX-License-Identifier: Apache-2.0
// The program that makes a container is reachable from inside it (a script of the image with
// "#!/proc/self/exe" runs it there). If the container's user may write that file, a hostile image replaces it
// on the host and is out at the next start: runc's CVE-2019-5736. So for whoever could write it, a sealed
// copy is run.
#pragma once

#include <string>

#include "base/os/fd.h"

namespace slipway {

// A copy of `program` that nobody can change, executable through /proc/self/fd; no descriptor when the
// calling user cannot write the file and does not own it. Costs about a third of a millisecond for
// slipway-starter.
Result<UniqueFd> SealedCopyIfWritable(const std::string& program);

}  // namespace slipway
