// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/job_filter.h"

#include <unistd.h>

#include <algorithm>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "cli/habits/words.h"
#include "cli/remote/subcommand.h"
#include "cli/show/json.h"
#include "launcher/client/user.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

bool Allows(const std::set<std::string>& wanted, const std::string& value) {
  return wanted.empty() || wanted.contains(value);
}

}  // namespace

Option TextOption(std::string name, char letter, std::string value, std::string help) {
  return {.name = std::move(name),
          .letter = letter,
          .type = Option::kString,
          .value_name = std::move(value),
          .help = std::move(help)};
}

std::vector<Option> JobFilterOptions() {
  // Last: there is one cluster.
  return {TextOption("jobs", 'j', "LIST", "only these jobs: 12,13_4"),
          TextOption("user", 'u', "LIST", "only these users' jobs"),
          {.name = "me", .help = "only the caller's jobs"},
          TextOption("name", 'n', "LIST", "only jobs of these names"),
          TextOption("partition", 'p', "LIST", "only jobs of these partitions"),
          TextOption("nodelist", 'w', "NODES", "only jobs on these nodes"),
          TextOption("account", 'A', "LIST", "only jobs of these accounts"),
          TextOption("qos", 'q', "LIST", "only jobs of these QOS"),
          ContextOption(),
          {.name = "clusters", .letter = 'M', .type = Option::kString, .value_name = "NAME", .hidden = true}};
}

std::set<std::string> WordsOf(const Parsed& options, const char* name) {
  std::set<std::string> words;
  for (const std::string& value : options.List(name)) {
    for (const std::string& word : Split(value, ',')) {
      if (!Trim(word).empty()) words.emplace(Trim(word));
    }
  }
  return words;
}

Result<JobFilter> JobFilterOf(const Parsed& options) {
  JobFilter filter{.ids = WordsOf(options, "jobs"),
                   .users = WordsOf(options, "user"),
                   .names = WordsOf(options, "name"),
                   .partitions = WordsOf(options, "partition"),
                   .accounts = WordsOf(options, "account"),
                   .qos = WordsOf(options, "qos")};
  if (options.Has("me")) filter.users.insert(CallingUser().name);
  for (const std::string& list : options.List("nodelist")) {
    for (std::string& node : TRY_CONTEXT(ExpandHostlist(list), "--nodelist"))
      filter.nodes.insert(std::move(node));
  }
  return filter;
}

bool JobFilter::Takes(const v1::Job& job) const {
  bool id = ids.empty() || ids.contains(JobIdText(job)) || ids.contains(Cat(job.job_id())) ||
            (job.array_job_id() != 0 && ids.contains(Cat(job.array_job_id()))) ||
            (job.array_job_id() != 0 && ids.contains(Cat(job.array_job_id(), "_", job.array_task_id())));
  bool user = users.empty() || users.contains(job.user()) || users.contains(Cat(job.uid()));
  bool node = nodes.empty() ||
              std::ranges::any_of(job.nodes(), [&](const std::string& name) { return nodes.contains(name); });
  return id && user && node && Allows(names, job.name()) && Allows(partitions, job.resources().partition()) &&
         Allows(accounts, job.account()) && Allows(qos, job.qos()) &&
         (states.empty() || states.contains(job.state()));
}

Result<std::vector<v1::Job>> JobsThat(Cluster& cluster, const JobFilter& filter, bool ended) {
  v1::ListJobsRequest request;
  request.set_all(ended);
  auto reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::List, request));
  std::vector<v1::Job> jobs;
  for (v1::Job& job : *reply.mutable_jobs()) {
    if (filter.Takes(job)) jobs.push_back(std::move(job));
  }
  std::ranges::sort(jobs, {}, &v1::Job::job_id);
  return jobs;
}

}  // namespace slipway::cli
