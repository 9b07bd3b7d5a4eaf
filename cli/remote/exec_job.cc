// SPDX-License-Identifier: Apache-2.0
// slipway exec --job and shell --job: a debugger, a look around, beside the ranks of a running job. The
// controller says which container is meant and on which node; the way in is that node's own socket.
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "base/text/text.h"
#include "cli/front/enter.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/subcommand.h"
#include "cli/show/json.h"
#include "launcher/spec/step_id.h"

namespace slipway::cli {
namespace {

constexpr const char* kRunDir = "/run/slipway";  // where a node's broker has it unless it was told otherwise

struct Place {
  std::string node;
  StepId step;
};

bool Runs(const v1::Step& step) { return step.state() == "RUNNING" || step.state() == "COMPLETING"; }

// "42.1" names the step; else it is the youngest that runs, which in a batch job is what its script started.
Result<v1::Step> FindStep(const v1::Job& job, const std::string& wanted, const std::string& node) {
  const v1::Step* found = nullptr;
  for (const v1::Step& step : job.steps()) {
    bool there =
        node.empty() || std::find(step.nodes().begin(), step.nodes().end(), node) != step.nodes().end();
    if (!there || !Runs(step) || (!wanted.empty() && StepIdText(step.step_id()) != wanted)) continue;
    if (found == nullptr || found->step_id() == kBatchStep || step.step_id() != kBatchStep) found = &step;
  }
  if (found != nullptr) return *found;
  return Fail(Code::kFailedPrecondition, "job ", JobIdText(job),
              wanted.empty() ? " has no step" : " has no step " + wanted, " that runs",
              node.empty() ? "" : " on " + node, "; `slipway job ", JobIdText(job), "` shows what it does");
}

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

// Nodes are named by the first label of their host name or by all of it.
bool IsHere(const std::string& node) {
  std::string here = HostName();
  return here == node || here.substr(0, here.find('.')) == node;
}

// The nodes of a dev cluster are namespaces of this machine: their run folders are beside the controller's
// socket, by which the context names it. Empty when it is no such cluster.
std::string DevNodeRunDir(const Context& context, const std::string& node) {
  constexpr std::string_view kScheme = "unix:", kSocket = "/controller/run/slipwayd.sock";
  std::string_view address = context.controller;
  if (!address.starts_with(kScheme) || !address.ends_with(kSocket)) return {};
  address.remove_prefix(kScheme.size());
  address.remove_suffix(kSocket.size());
  std::string folder = Cat(address, "/nodes/", node);
  return ::access(folder.c_str(), F_OK) == 0 ? folder + "/run" : std::string();
}

std::string SocketBelow(const std::string& run_dir, const StepId& step) {
  return Cat(run_dir, "/steps/", ToString(step), "/sock");
}

Result<std::string> FindSocket(const Context& context, const Place& place, const std::string& job) {
  std::string dev = DevNodeRunDir(context, place.node);
  std::string socket = SocketBelow(dev.empty() ? kRunDir : dev, place.step);
  if (::access(socket.c_str(), F_OK) == 0) return socket;
  if (dev.empty() && !IsHere(place.node)) {
    return Fail(Code::kFailedPrecondition, job, " runs on ", place.node, " and this is ", HostName(),
                ": a container is entered on its own node; run the same command there");
  }
  return Fail(Code::kUnavailable, job, " on ", place.node, ": its container cannot be reached from here (",
              socket, " is not there)");
}

Result<int> Enter(const std::string& command, const Parsed& options) {
  std::string text = options.Value("job"), wanted_step, node = options.Value("node");
  if (auto dot = text.find('.'); dot != std::string::npos) {
    wanted_step = text.substr(dot + 1);
    text.resize(dot);
  }
  Cluster cluster = TRY(Cluster::Of(options));
  v1::Job job = TRY(FindJob(cluster, text));
  if (job.uid() != ::geteuid())
    return Fail(Code::kPermissionDenied, "job ", text, " is ", job.user(),
                "'s: only its own user can enter it");
  v1::Step step = TRY(FindStep(job, wanted_step, node));
  for (const std::string& candidate : step.nodes()) {
    if (node.empty() && IsHere(candidate)) node = candidate;
  }
  if (node.empty() && !step.nodes().empty()) node = step.nodes(0);
  Place place{node, {job.job_id(), job.attempt(), step.step_id()}};
  std::string socket = TRY(FindSocket(cluster.context(), place, Cat("job ", text)));
  return EnterJob(command, socket, Cat("job ", text, " on ", node), options);
}

}  // namespace

const Subcommand kExecJob{{"exec"},
                          [] { return DeclareJobTask("exec"); },
                          [](const Parsed&options) { return Enter("exec", options); },
                          kOwnFailure,
                          true},
    kShellJob{{"shell"},
              [] { return DeclareJobTask("shell"); },
              [](const Parsed&options) { return Enter("shell", options); },
              kOwnFailure,
              true};

}  // namespace slipway::cli
