// SPDX-License-Identifier: Apache-2.0
// The admin's hooks for every container that fits: folders of JSON files, as Podman and CRI-O read them.
//
// Source: containers/common, oci-hooks(5), version 1.0.0.
#pragma once

#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result/result.h"
#include "hooks/edits/folders.h"
#include "launcher/spec/hook.h"

namespace slipway {

// A file of a later folder masks its namesake of an earlier one.
inline const std::vector<std::string> kHookFolders(std::begin(kHookFolderNames), std::end(kHookFolderNames));

// What hooks are chosen by.
struct HookOccasion {
  std::string command;  // argv[0] of the container
  std::vector<std::pair<std::string, std::string>> annotations;
  bool has_bind_mounts = false;  // of the user's own
};

inline constexpr std::size_t kHookFileBytesMax = 256 << 10;

// One file; the hook once for each of its stages when its conditions hold, none when not. All the conditions
// that are given must hold; patterns are regular expressions, found anywhere.
Result<std::vector<Hook>> ParseHookFile(std::string_view text, const HookOccasion& occasion);

// Of all files, in the order of their lower-cased names. A file that cannot be read is an error that names
// it: a hook may be what makes a container safe.
Result<std::vector<Hook>> HooksFor(const HookOccasion& occasion,
                                   const std::vector<std::string>& folders = kHookFolders);

}  // namespace slipway
