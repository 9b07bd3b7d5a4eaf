// SPDX-License-Identifier: Apache-2.0
// GPUs, fabrics and MPI libraries each need something of the container: a device, a library bound in, a
// variable, a program run. All of them say it in one data type, the one of the Container Device Interface, so
// that one place decides what happens when two want the same name.
//
// Pure values; any thread. Source: CDI 1.1.0, SPEC.md, containerEdits.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "launcher/spec/step_spec.h"

namespace slipway {

// A device node of the host, bound into the container's /dev: nobody without privilege can make one. The node
// keeps its owner and mode, so the host's rules decide who may open it.
struct DeviceNode {
  std::string path, host_path;  // inside and outside, absolute
};
void Fields(auto& archive, IsA<DeviceNode> auto& v) { archive(v.path, v.host_path); }

struct ContainerEdits {
  std::vector<Mount> mounts;
  std::vector<std::string> env;  // NAME=value
  std::vector<DeviceNode> devices;
  std::vector<Hook> hooks;
  std::vector<std::uint32_t> additional_gids;
  // Folders inside that the loader searches behind everything that the image names itself: the image's own
  // library wins over the host's.
  std::vector<std::string> library_folders;
};
void Fields(auto& archive, IsA<ContainerEdits> auto& v) {
  archive(v.mounts, v.env, v.devices, v.hooks, v.additional_gids, v.library_folders);
}

// Adds `more` to `edits`. The same mount, device, variable, hook or group twice is one; two different ones
// for the same target or name are kFailedPrecondition, which names it: hooks that disagree must not be
// settled by their order. On an error nothing has changed.
Result<> MergeEdits(ContainerEdits& edits, const ContainerEdits& more);

// Groups cannot be added to a user who is not root; who is in them already has them inside too.
// kPermissionDenied names the first that is missing from `groups`.
Result<> CheckGroups(const ContainerEdits& edits, const std::vector<std::uint32_t>& groups);

// The user's word wins: a variable that the spec sets already keeps its value, and the user's mounts come
// after ours, over them where they share a target.
void ApplyEdits(const ContainerEdits& edits, StepSpec& spec);
// Of a container without a job. Its environment is mostly the caller's surroundings, which are not his word:
// there ours wins, and --env over ours. A mount that the spec has already at the same place stays; ours come
// behind the others, so that none of them hides them.
void ApplyEdits(const ContainerEdits& edits, LaunchSpec& spec);

// "src[:dst[:ro|rw]]", both absolute, without "." or ".." components; dst defaults to src. kInvalidArgument
// quotes the text and says what is wrong.
Result<Mount> ParseBind(std::string_view text);
Result<ContainerEdits> EditsOfBinds(const std::vector<std::string>& binds);

}  // namespace slipway
