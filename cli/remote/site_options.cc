// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/site_options.h"

#include <chrono>

#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/job_options.h"

namespace slipway::cli {
namespace {

constexpr std::uint32_t kCountMax = 1'000'000;

// "NAME:COUNT", or NAME alone for one.
Result<v1::Amount> AmountOf(const std::string& text, const char* option) {
  std::size_t colon = text.rfind(':');
  v1::Amount amount;
  amount.set_name(text.substr(0, colon));
  amount.set_count(1);
  if (colon != std::string::npos)
    amount.set_count(static_cast<std::uint32_t>(
        TRY_CONTEXT(ParseNumber(std::string_view(text).substr(colon + 1), 1, kCountMax), option)));
  if (amount.name().empty())
    return Fail(Code::kInvalidArgument, option, " ", text, ": NAME:NUMBER is wanted");
  return amount;
}

// "4" or "a100:4". The type may be said once.
Result<std::uint32_t> GpusOf(const std::string& text, const char* option, v1::Resources& resources) {
  std::size_t colon = text.rfind(':');
  std::string type = colon == std::string::npos ? "" : text.substr(0, colon);
  if (!type.empty() && !resources.gpu_type().empty() && resources.gpu_type() != type)
    return Fail(Code::kInvalidArgument, option, " ", text, ": a job gets GPUs of one type, not also ",
                resources.gpu_type());
  if (!type.empty()) resources.set_gpu_type(type);
  std::string_view number = std::string_view(text).substr(colon == std::string::npos ? 0 : colon + 1);
  return static_cast<std::uint32_t>(TRY_CONTEXT(ParseNumber(number, 1, kCountMax), option));
}

// gpu:2 and gpu:a100:2 are GPUs of each node; what else there is is the site's to know.
Result<> ReadGres(const Parsed& options, v1::Resources& resources) {
  if (!options.Has("gres")) return {};
  for (const std::string& part : Split(options.Value("gres"), ',')) {
    bool gpu = part == "gpu" || part.starts_with("gpu:");
    if (!gpu) {
      *resources.add_gres() = TRY(AmountOf(part, "--gres"));
    } else if (resources.gpus_per_node() > 0) {
      return Fail(Code::kInvalidArgument, "--gres ", part, ": the GPUs of a node are given twice");
    } else {
      resources.set_gpus_per_node(part == "gpu" ? 1 : TRY(GpusOf(part.substr(4), "--gres", resources)));
    }
  }
  return {};
}

// --gpus is the sum: over the nodes where their number is known, else over the tasks, else on one node.
Result<> DealGpus(const std::string& text, v1::Resources& resources) {
  std::uint32_t sum = TRY(GpusOf(text, "--gpus", resources));
  bool nodes_known = resources.nodes_min() > 0 && resources.nodes_max() <= resources.nodes_min();
  std::uint32_t parts = resources.nodes_min() > 0 ? (nodes_known ? resources.nodes_min() : 0)
                        : resources.tasks() > 1   ? resources.tasks()
                                                  : 1;
  if (parts == 0 || sum % parts != 0)
    return Fail(Code::kInvalidArgument, "--gpus ", text,
                ": cannot be dealt out evenly; use --gpus-per-node or --gpus-per-task");
  bool per_task = resources.nodes_min() == 0 && resources.tasks() > 1;
  per_task ? resources.set_gpus_per_task(sum / parts) : resources.set_gpus_per_node(sum / parts);
  return {};
}

Result<> ReadGpus(const Parsed& options, v1::Resources& resources) {
  int ways = (options.Has("gpus") ? 1 : 0) + (options.Has("gpus-per-node") ? 1 : 0) +
             (options.Has("gpus-per-task") ? 1 : 0) + (resources.gpus_per_node() > 0 ? 1 : 0);
  if (ways > 1)
    return Fail(Code::kInvalidArgument,
                "--gpus, --gpus-per-node, --gpus-per-task, --gres=gpu: one of them, please");
  if (options.Has("gpus-per-node"))
    resources.set_gpus_per_node(TRY(GpusOf(options.Value("gpus-per-node"), "--gpus-per-node", resources)));
  if (options.Has("gpus-per-task"))
    resources.set_gpus_per_task(TRY(GpusOf(options.Value("gpus-per-task"), "--gpus-per-task", resources)));
  if (options.Has("gpus")) TRY(DealGpus(options.Value("gpus"), resources));
  return {};
}

Result<std::uint32_t> SecondsOf(const std::string& text, const char* option) {
  auto limit = TRY_CONTEXT(ParseTimeLimit(text), option);
  if (limit.count() <= 0 || limit.count() > UINT32_MAX)
    return Fail(Code::kInvalidArgument, option, " ", text, ": must be longer than nothing");
  return static_cast<std::uint32_t>(limit.count());
}

Result<> ReadLayout(const Parsed& options, v1::Resources& resources) {
  if (options.Has("switches")) {
    std::string text = options.Value("switches");
    std::size_t at = text.find('@');
    resources.set_switches(static_cast<std::uint32_t>(
        TRY_CONTEXT(ParseNumber(std::string_view(text).substr(0, at), 1, kCountMax), "--switches")));
    if (at != std::string::npos)
      resources.set_switch_wait_s(TRY(SecondsOf(text.substr(at + 1), "--switches")));
  }
  resources.set_contiguous(options.Has("contiguous"));
  resources.set_fewest_nodes(options.Has("use-min-nodes"));
  if (options.Has("spread-job")) resources.set_layout(v1::LAYOUT_SPREAD);
  if (DistributionOf(options).of_nodes != "pack") return {};
  if (options.Has("spread-job"))
    return Fail(Code::kInvalidArgument, "--spread-job and --distribution pack contradict each other");
  resources.set_layout(v1::LAYOUT_PACK);
  return {};
}

}  // namespace

Distributed DistributionOf(const Parsed& options) {
  std::string text = options.Has("distribution") ? options.Value("distribution") : "";
  std::string last = text.substr(text.rfind(',') + 1);
  if (last != "pack" && last != "nopack") return {text, ""};
  return {text.substr(0, text.size() - std::min(text.size(), last.size() + 1)), last};
}

std::vector<Option> SiteOptions() {
  auto text = [](std::string name, char letter, std::string value, std::string help) {
    return Option{.name = std::move(name),
                  .letter = letter,
                  .type = Option::kString,
                  .value_name = std::move(value),
                  .help = std::move(help)};
  };
  return {
      text("partition", 'p', "NAME[,NAME…]",
           "which part of the cluster (of several: which starts it first); default: the site's"),
      text("time-min", 0, "LIMIT", "may be started with as little time, where that starts it now"),
      text("switches", 0, "N[@LIMIT]", "nodes of at most so many leaf switches, for so long as it waits"),
      Option{.name = "contiguous", .help = "nodes that follow one another in the network's order"},
      Option{.name = "spread-job", .help = "ranks on as many nodes as there are, evenly"},
      Option{.name = "use-min-nodes", .help = "of a range of nodes (-N 2-8) the least"},
      Option{.name = "distribution",
             .letter = 'm',
             .type = Option::kString,
             .value_name = "NODES[:SOCKETS[:CORES]][,pack]",
             .help =
                 "how ranks are dealt out: block, cyclic or plane=N to nodes, then block, cyclic or fcyclic "
                 "to sockets; pack: they fill node after node, nopack: evenly over the nodes",
             .complete = "block|cyclic|block:cyclic|plane=|pack|nopack"},
      text("constraint", 'C', "LIST", "features of the nodes: a&b, a|b, !a, (a|b)&c, [rack1|rack2], a*2&b*1"),
      text("gpus", 'G', "[TYPE:]N", "GPUs of the whole job"),
      text("gpus-per-node", 0, "[TYPE:]N", "GPUs of each node"),
      text("gpus-per-task", 0, "[TYPE:]N", "GPUs of each rank"),
      text("gres", 0, "NAME[:TYPE]:N,…", "generic resources of each node, such as gpu:2,nic:1"),
      text("licenses", 'L', "NAME[:N],…", "licences of the cluster, while the job runs"),
      text("account", 'A', "NAME", "whom the use is charged to; default: your default account"),
      text("qos", 'q', "NAME", "quality of service; default: the site's"),
      text("reservation", 0, "NAME", "run in this reservation"),
      text("lease", 0, "LIMIT",
           "end it on a node that hears no controller for so long; then it may be started again elsewhere")};
}

Result<> ReadSiteResources(const Parsed& options, v1::Resources& resources) {
  resources.set_partition(options.Value("partition"));
  resources.set_constraint(options.Value("constraint"));
  resources.set_reservation(options.Value("reservation"));
  TRY(ReadLayout(options, resources));
  if (options.Has("time-min"))
    resources.set_time_min_s(TRY(SecondsOf(options.Value("time-min"), "--time-min")));
  TRY(ReadGres(options, resources));
  TRY(ReadGpus(options, resources));
  if (!options.Has("licenses")) return {};
  for (const std::string& part : Split(options.Value("licenses"), ','))
    *resources.add_licences() = TRY(AmountOf(part, "--licenses"));
  return {};
}

Result<> ReadSiteJob(const Parsed& options, v1::JobSpec& spec) {
  spec.set_account(options.Value("account"));
  spec.set_qos(options.Value("qos"));
  if (options.Has("lease")) spec.set_lease_s(TRY(SecondsOf(options.Value("lease"), "--lease")));
  return {};
}

}  // namespace slipway::cli
