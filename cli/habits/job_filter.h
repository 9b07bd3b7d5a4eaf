// SPDX-License-Identifier: Apache-2.0
// Which jobs squeue, sacct and sprio are about: the options that they share, and what they choose.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cli/remote/cluster.h"
#include "slipway/v1/job.pb.h"

namespace slipway::cli {

Option TextOption(std::string name, char letter, std::string value, std::string help);
// -j -u --me -n -p -w -A -q
std::vector<Option> JobFilterOptions();

struct JobFilter {
  std::set<std::string> ids, users, names, partitions, nodes, accounts, qos;  // each empty: any
  std::set<v1::JobState> states;                                              // empty: any
  bool Takes(const v1::Job& job) const;                                       // pure
};
Result<JobFilter> JobFilterOf(const Parsed& options);

// The cluster's jobs that it takes, by number. `ended`: those that are over, too.
Result<std::vector<v1::Job>> JobsThat(Cluster& cluster, const JobFilter& filter, bool ended);
// The words of a list that may be given more than once.
std::set<std::string> WordsOf(const Parsed& options, const char* name);

}  // namespace slipway::cli
