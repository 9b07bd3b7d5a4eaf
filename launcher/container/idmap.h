// SPDX-License-Identifier: Apache-2.0
// Who the user is in a namespace of his own: himself, or (--fakeroot) its root, with the further ids that
// /etc/subuid and /etc/subgid lend him where they do.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/os/process.h"
#include "base/result/result.h"

namespace slipway {

struct IdRange {
  std::uint64_t first = 0, count = 0;
};
// The first range of subuid(5) or subgid(5) for the user, who is named there by name or by number; ranges
// that are malformed, empty or beyond 2^32 are passed over.
std::optional<IdRange> SubordinateRange(std::string_view file, std::string_view name, uid_t uid);

// newuidmap(1) and newgidmap(1) may write maps of more than one line, from outside of the namespace: a helper
// is forked before it is made and runs them once it is.
class RangeMapper {
 public:
  // `name`: of the calling user, who is looked up by his uid too; newuidmap judges by that alone. Nothing to
  // be had (no ranges): empty; `why` says so in words.
  static Result<std::optional<RangeMapper>> Start(const std::string& name, std::string& why);
  // This process is in its new namespace. Waits until the maps are written.
  Result<> MapNow();

 private:
  RangeMapper(Process helper, UniqueFd go) : helper_(std::move(helper)), go_(std::move(go)) {}
  Process helper_;
  UniqueFd go_;
};

// One line for this process's own uid and gid, as `inside_uid` and `inside_gid`; setgroups is denied first.
Result<> MapOnlyOneself(uid_t uid, gid_t gid, uid_t inside_uid, gid_t inside_gid);

// This process's maps in words, a line each, for --explain.
std::vector<std::string> DescribeMaps();

}  // namespace slipway
