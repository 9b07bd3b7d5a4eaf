// SPDX-License-Identifier: Apache-2.0
// A program with privilege believes only files that nobody without it could have written. They are opened
// once and judged on the open descriptor, so that they cannot be exchanged between the check and the reading.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result/result.h"

namespace slipway {

// The bytes of a regular file that `owner` or root owns and nobody else can write; kPermissionDenied
// otherwise.
Result<std::string> ReadTrustedFile(const std::string& path, uid_t owner);
// Made with `mode` where missing; kPermissionDenied when somebody other than `owner` could write in it.
Result<> MakeTrustedDirectory(const std::string& path, uid_t owner, unsigned mode);

}  // namespace slipway
