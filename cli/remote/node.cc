// SPDX-License-Identifier: Apache-2.0
// slipway node drain | resume | fenced | show: what an administrator says of nodes, and what is known of one.
#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/show/grouped.h"
#include "cli/show/json.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway::cli {
namespace {

const Positional kNodeList{
    .name = "NODES", .arity = Positional::kOne, .help = "names or a list: n[1-4],n7", .complete = "node"};

Option ReasonOption() {
  return {.name = "reason",
          .letter = 'r',
          .type = Option::kString,
          .value_name = "TEXT",
          .help = "why; everybody sees it"};
}

Command DeclareDrain() {
  return {
      .name = "slipway node drain",
      .summary = "let nothing new start on nodes; what runs there goes on",
      .examples = {{"slipway node drain n[1-4] --reason 'new memory'", "then wait until they are DRAINED"}},
      .options = {ReasonOption(), ContextOption()},
      .positionals = {kNodeList}};
}
Command DeclareResume() {
  return {.name = "slipway node resume",
          .summary = "use drained nodes, or nodes that were down, again",
          .examples = {{"slipway node resume n[1-4]", ""}},
          .options = {ContextOption()},
          .positionals = {kNodeList}};
}
Command DeclareFenced() {
  return {
      .name = "slipway node fenced",
      .summary = "say that silent nodes are dead for sure: their jobs end, and may start elsewhere",
      .examples = {{"slipway node fenced n3 --reason 'power is off'", "never for a node that may still run"}},
      .options = {ReasonOption(), ContextOption()},
      .positionals = {kNodeList}};
}
Command DeclareShow() {
  return {.name = "slipway node show",
          .summary = "show all that is known of nodes",
          .examples = {{"slipway node show n1", ""}, {"slipway node show n[1-4] --json", "for programs"}},
          .options = {JsonOption(), ContextOption()},
          .positionals = {kNodeList}};
}

Result<int> Change(const Parsed& options, v1::ChangeNodesRequest::What what) {
  v1::ChangeNodesRequest request;
  request.set_what(what);
  auto names = ExpandHostlist(options.positionals()[0]);
  if (!names) return UsageExit(names.error());
  for (std::string& name : *names) request.add_names(std::move(name));
  request.set_reason(options.Value("reason"));
  if (what == v1::ChangeNodesRequest::DRAIN && request.reason().empty())
    return UsageExit(
        Error{Code::kInvalidArgument, 0, "--reason is wanted: others will ask why the node is drained"});
  Cluster cluster = TRY(Cluster::Of(options));
  auto reply = TRY(cluster.Call<v1::Nodes>(&v1::Nodes::Stub::Change, request));
  for (const v1::Node& node : reply.nodes())
    Print(Cat(node.name(), ": ", node.state(),
              node.jobs_size() == 0 ? std::string() : Cat(", ", node.jobs_size(), " jobs on it"), "\n"));
  return 0;
}

template <class Names>
std::string Joined(const Names& names, const char* separator) {
  return Join(std::vector<std::string>(names.begin(), names.end()), separator);
}

std::string Details(const v1::Node& node) {
  std::string text = Cat(node.name(), "\n");
  auto add = [&](const char* what, const std::string& value) {
    if (!value.empty()) text += Cat("  ", what, ": ", value, "\n");
  };
  add("state",
      Cat(node.state(), node.reason().empty() ? "" : " (", node.reason(), node.reason().empty() ? "" : ")"));
  add("cores", Cat(node.cores(), ", ", node.cores_free(), " free; ", node.sockets(), " sockets, ",
                   node.numa_nodes(), " NUMA domains, ", node.arch()));
  add("memory", Cat(FormatBytes(node.memory_bytes()), ", ", FormatBytes(node.memory_bytes_free()), " free"));
  for (const v1::Amount& gpu : node.gpus())
    add("GPUs", Cat(gpu.count(), " ", gpu.name(), gpu.name().empty() ? "" : ", ", node.gpus_free(), " free"));
  for (const v1::Amount& gres : node.gres()) add("resource", Cat(gres.count(), " ", gres.name()));
  add("partitions", Joined(node.partitions(), ", "));
  add("reservations", Joined(node.reservations(), ", "));
  add("features", Joined(node.features(), ", "));
  std::vector<std::string> jobs;
  for (std::uint64_t job : node.jobs()) jobs.push_back(std::to_string(job));
  add("jobs", Join(jobs, ", "));
  add("agent", Cat(node.address(), ", version ", node.version(), ", boot ", node.boot_id()));
  for (const std::string& limits : GroupedByReason({node.cannot().begin(), node.cannot().end()}))
    add("cannot", limits);
  for (const std::string& image : node.images()) add("image", image);
  return text;
}

Result<int> Show(const Parsed& options) {
  auto names = ExpandHostlist(options.positionals()[0]);
  if (!names) return UsageExit(names.error());
  Cluster cluster = TRY(Cluster::Of(options));
  auto all = TRY(cluster.Call<v1::Nodes>(&v1::Nodes::Stub::List, v1::ListNodesRequest()));
  v1::ListNodesReply wanted;
  for (const std::string& name : *names) {
    auto at = std::ranges::find_if(all.nodes(), [&](const v1::Node& node) { return node.name() == name; });
    if (at == all.nodes().end()) return Fail(Code::kNotFound, "there is no node ", name);
    *wanted.add_nodes() = *at;
  }
  if (options.Has("json")) {
    Print(NodesJson(wanted));
    return 0;
  }
  for (const v1::Node& node : wanted.nodes()) Print(Details(node));
  return 0;
}

}  // namespace

const Subcommand kNodeDrain{{"node", "drain"}, DeclareDrain, [](const Parsed& options) {
                              return Change(options, v1::ChangeNodesRequest::DRAIN);
                            }};
const Subcommand kNodeResume{{"node", "resume"}, DeclareResume, [](const Parsed& options) {
                               return Change(options, v1::ChangeNodesRequest::RESUME);
                             }};
const Subcommand kNodeFenced{{"node", "fenced"}, DeclareFenced, [](const Parsed& options) {
                               return Change(options, v1::ChangeNodesRequest::FENCED);
                             }};
const Subcommand kNodeShow{{"node", "show"}, DeclareShow, Show};

}  // namespace slipway::cli
