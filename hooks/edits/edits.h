// SPDX-License-Identifier: Apache-2.0
// GPUs, fabrics and MPI libraries each need something of the container: a device, a library bound in, a
// variable. All of them say it in one data type, so that one place decides what happens when two want the
// same name.
//
// Pure values; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "launcher/spec/step_spec.h"

namespace slipway {

struct ContainerEdits {
  std::vector<Mount> mounts;
  std::vector<std::string> env;  // NAME=value
};

// Adds `more` to `edits`. The same mount or variable twice is one; two different ones for the same target or
// name are kFailedPrecondition, which names it: hooks that disagree must not be settled by their order.
Result<> MergeEdits(ContainerEdits& edits, const ContainerEdits& more);

// The user's word wins: a variable that the spec sets already keeps its value, and the user's mounts come
// after ours, over them where they share a target.
void ApplyEdits(const ContainerEdits& edits, StepSpec& spec);

// "src[:dst[:ro|rw]]", both absolute, without "." or ".." components; dst defaults to src. kInvalidArgument
// quotes the text and says what is wrong.
Result<Mount> ParseBind(std::string_view text);
Result<ContainerEdits> EditsOfBinds(const std::vector<std::string>& binds);

}  // namespace slipway
