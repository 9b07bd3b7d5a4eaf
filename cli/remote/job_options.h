// SPDX-License-Identifier: Apache-2.0
// `submit` and `launch` ask for resources and describe a program in the same words; here are the words, and
// what they mean in the protocol.
#pragma once

#include <string>
#include <vector>

#include "base/result/result.h"
#include "cli/options/options.h"
#include "slipway/v1/job.pb.h"

namespace slipway::cli {

std::vector<Option> ResourceOptions();
// `step`: of a step in an allocation. kInvalidArgument names the option.
Result<v1::Resources> ResourcesOf(const Parsed& options, bool step = false);
// MPI, binds, working directory, umask, output patterns: all but command, script and environment.
Result<void> DescribeProgram(const Parsed& options, v1::Program& program);

// What of `environment` travels with a job. Outside an allocation the host's own ways (PATH, loader
// variables) stay behind: they would not fit into the image. `exports` is --export: "ALL", "NONE" or
// "ALL,NAME,NAME=value".
Result<std::vector<std::string>> ExportedEnvironment(const std::vector<std::string>& environment,
                                                     const std::string& exports, bool in_allocation);
std::vector<std::string> OwnEnvironment();

// "now+2hours", "now+90", "16:30", "2026-11-23T16:30[:00]" in local time; milliseconds since 1970. `option`
// is named in the error.
Result<std::int64_t> ParseMoment(const std::string& text, std::int64_t now_ms, const char* option);

}  // namespace slipway::cli
