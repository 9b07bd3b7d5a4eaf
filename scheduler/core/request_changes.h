// SPDX-License-Identifier: Apache-2.0
// What could somebody ask for instead, who would rather start earlier? Changes of a request, each by itself:
// less of something, or without a wish. Which of them help is not known here. Private to the core; pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/core/job_spec.h"
#include "scheduler/core/site.h"

namespace slipway::scheduler {

std::string Plural(std::uint64_t n, std::string_view what);  // "1 node", "2 nodes"

struct RequestChange {
  std::string what;  // "with 1 node instead of 2", "without --exclusive"
  Resources resources;
  std::uint32_t time_limit_s = 0;  // 0: none
};

// Of one amount every smaller one, in steps: at(least) … at(asked - 1).
struct LesserAmounts {
  std::uint64_t least = 1, asked = 1;
  std::function<RequestChange(std::uint64_t)> at;
};

// `asked` as the job is planned now, its `what` unused; `spec`: what else belongs to the request (the least
// time, the signal before the end). The answer refers to both. Those of which less is easiest to live with
// come first.
std::vector<LesserAmounts> LesserAmountsOf(const RequestChange& asked, const JobSpec& spec);

// Wishes left out or exchanged (features, partitions, types of GPU, …): at most so many of each kind.
inline constexpr std::size_t kChangesOfAKindMax = 8;
std::vector<RequestChange> OtherWishesOf(const Site& site, const RequestChange& asked);

}  // namespace slipway::scheduler
