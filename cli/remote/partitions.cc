// SPDX-License-Identifier: Apache-2.0
// slipway partitions: the parts of the cluster, who may use them, and the licences.
#include <nlohmann/json.hpp>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/show/table.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway::cli {
namespace {

Command Declare() {
  return {.name = "slipway partitions",
          .summary = "list the partitions and licences: limits, who may use them, what is free",
          .examples = {{"slipway partitions", "the table"}, {"slipway partitions --json", "for programs"}},
          .options = {JsonOption(), ContextOption()}};
}

std::string TimeText(std::uint32_t seconds, const char* none) {
  return seconds == 0 ? none : FormatTimeLimit(std::chrono::seconds(seconds));
}

std::string OpenTo(const v1::Partition& partition) {
  std::vector<std::string> parts;
  auto add = [&](const char* what, const auto& names) {
    std::string text;
    for (const auto& name : names) text += Cat(text.empty() ? "" : ",", name);
    if (!text.empty()) parts.push_back(Cat(what, " ", text));
  };
  add("accounts", partition.allow_accounts());
  add("QOS", partition.allow_qos());
  add("gids", partition.allow_groups());
  return parts.empty() ? "all" : Join(parts, "; ");
}

std::string Json(const v1::ListPartitionsReply& reply) {
  using nlohmann::ordered_json;
  ordered_json partitions = ordered_json::array(), licences = ordered_json::array();
  for (const v1::Partition& p : reply.partitions()) {
    partitions.push_back({{"name", p.name()},
                          {"is_default", p.is_default()},
                          {"state", p.state()},
                          {"nodes", p.nodes()},
                          {"nodes_free", p.nodes_free()},
                          {"cores", p.cores()},
                          {"cores_free", p.cores_free()},
                          {"max_time_s", p.max_time_s()},
                          {"default_time_s", p.default_time_s()},
                          {"min_nodes", p.min_nodes()},
                          {"max_nodes", p.max_nodes()},
                          {"tier", p.tier()},
                          {"exclusive", p.exclusive()},
                          {"allow_accounts", p.allow_accounts()},
                          {"allow_qos", p.allow_qos()},
                          {"allow_groups", p.allow_groups()}});
  }
  for (const v1::LicencePool& licence : reply.licences())
    licences.push_back({{"name", licence.name()}, {"total", licence.total()}, {"free", licence.free()}});
  ordered_json all = {{"partitions", partitions}, {"licences", licences}};
  return all.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<int> Run(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  auto reply = TRY(cluster.Call<v1::Nodes>(&v1::Nodes::Stub::ListPartitions, v1::ListPartitionsRequest()));
  if (options.Has("json")) {
    Print(Json(reply));
    return 0;
  }
  Table table({{"PARTITION"},
               {"STATE"},
               {"MAX TIME"},
               {"NODES", true},
               {"FREE", true},
               {"CORES", true},
               {"FREE", true},
               {"JOB NODES"},
               {"TIER", true},
               {"OPEN TO"},
               {"NODELIST"}});
  for (const v1::Partition& p : reply.partitions()) {
    std::vector<std::string> nodes(p.nodes().begin(), p.nodes().end());
    std::string sizes = Cat(std::max(1U, p.min_nodes()), "-", p.max_nodes() == 0 ? "" : Cat(p.max_nodes()),
                            p.exclusive() ? " whole" : "");
    table.Add({p.name() + (p.is_default() ? "*" : ""), p.state(), TimeText(p.max_time_s(), "unlimited"),
               Cat(p.nodes_size()), Cat(p.nodes_free()), Cat(p.cores()), Cat(p.cores_free()), sizes,
               Cat(p.tier()), OpenTo(p), CompressHostlist(nodes)});
  }
  std::string text = table.Text(WantsColour(1));
  if (reply.licences_size() > 0) {
    Table licences({{"LICENCE"}, {"TOTAL", true}, {"FREE", true}});
    for (const v1::LicencePool& licence : reply.licences())
      licences.Add({licence.name(), Cat(licence.total()), Cat(licence.free())});
    text += "\n" + licences.Text(WantsColour(1));
  }
  Print(text);
  return 0;
}

}  // namespace

const Subcommand kPartitions{{"partitions"}, Declare, Run};

}  // namespace slipway::cli
