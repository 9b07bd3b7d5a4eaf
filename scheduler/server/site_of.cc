// SPDX-License-Identifier: Apache-2.0
// Every mistake is told with file, line and column: an administrator edits this with jobs running.
#include "scheduler/server/site_of.h"

#include <grp.h>

#include <cmath>
#include <cstdlib>

#include "api/tres.h"
#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "scheduler/server/limits_of.h"

namespace slipway::scheduler {
namespace {

using Row = Config::Row;

constexpr std::size_t kNameBytesMax = 64;

template <class... Why>
Failure Wrong(const Row& row, std::string_view column, const Why&... why) {
  return Fail(Code::kInvalidArgument, row.Origin(column), ": ", why...);
}

std::uint32_t Number(const Row& row, std::string_view column) {
  return static_cast<std::uint32_t>(row.Integer(column));
}
std::uint32_t SecondsOf(const Row& row, std::string_view column) {
  return static_cast<std::uint32_t>(row.Seconds(column).count());
}

Result<std::string> NameOf(const Row& row) {
  const std::string& name = row.String("name");
  bool good = !name.empty() && name.size() <= kNameBytesMax;
  for (char c : name) good = good && c > ' ' && c != ',' && c != ':' && c < 0x7f;
  if (!good)
    return Wrong(row, "name", "a name of 1 to ", kNameBytesMax,
                 " bytes without blanks, ',' and ':' is wanted");
  return name;
}

// "a100:4", "nic:2", or "4".
Result<Amount> AmountOf(const Row& row, std::string_view column, const std::string& text, bool name_wanted) {
  std::size_t colon = text.rfind(':');
  std::string name = colon == std::string::npos ? "" : text.substr(0, colon);
  auto count = ParseNumber(text.substr(colon == std::string::npos ? 0 : colon + 1), 1, 1'000'000);
  if (!count || (name_wanted && name.empty()))
    return Wrong(row, column, "\"", text, "\": ", name_wanted ? "NAME:NUMBER" : "TYPE:NUMBER or NUMBER",
                 " is wanted");
  return Amount{name, static_cast<std::uint32_t>(*count)};
}

Result<std::vector<std::string>> NodesOf(const Row& row, std::string_view column = "nodes") {
  std::vector<std::string> names;
  for (const std::string& text : row.List(column)) {
    auto some = ExpandHostlist(text);
    if (!some) return Wrong(row, column, some.error().message);
    names.insert(names.end(), some->begin(), some->end());
  }
  return names;
}

Result<std::uint32_t> GidOf(const Row& row, const std::string& group) {
  std::vector<char> buffer(64 << 10);
  struct group entry {};
  struct group* found = nullptr;
  while (::getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found) == ERANGE &&
         buffer.size() < (4 << 20))
    buffer.resize(buffer.size() * 2);
  if (found == nullptr) return Wrong(row, "allow_groups", "there is no group ", group, " on this host");
  return static_cast<std::uint32_t>(found->gr_gid);
}

Result<PartitionState> StateOf(const Row& row) {
  const std::string& text = row.String("state");
  if (text == "up") return PartitionState::kUp;
  if (text == "drain") return PartitionState::kDrain;
  if (text == "down") return PartitionState::kDown;
  if (text == "inactive") return PartitionState::kInactive;
  return Wrong(row, "state", "\"", text, "\" is none of up, drain, down, inactive");
}

std::set<std::string> SetOf(const std::vector<std::string>& list) { return {list.begin(), list.end()}; }

Result<PreemptMode> PreemptModeOf(const Row& row) {
  const std::string& text = row.String("preempt_mode");
  if (text == "off") return PreemptMode::kOff;
  if (text == "cancel") return PreemptMode::kCancel;
  if (text == "requeue") return PreemptMode::kRequeue;
  if (text == "suspend") return PreemptMode::kSuspend;
  return Wrong(row, "preempt_mode", "\"", text, "\" is none of off, cancel, requeue, suspend");
}

Result<Partition> PartitionOf(const Row& row) {
  Partition out;
  out.name = TRY(NameOf(row));
  out.all_nodes = !row.Has("nodes");
  for (std::string& node : TRY(NodesOf(row))) out.nodes.insert(std::move(node));
  out.is_default = row.Bool("default");
  out.state = TRY(StateOf(row));
  out.max_time_s = SecondsOf(row, "max_time");
  out.default_time_s = SecondsOf(row, "default_time");
  out.min_nodes = Number(row, "min_nodes");
  out.max_nodes = Number(row, "max_nodes");
  out.max_cores_per_node = Number(row, "max_cores_per_node");
  out.tier = Number(row, "tier");
  out.priority = Number(row, "priority");
  out.exclusive = row.Bool("exclusive");
  out.preempt = TRY(PreemptModeOf(row));
  out.qos = row.String("qos");
  out.preempt_grace_s = SecondsOf(row, "preempt_grace");
  out.allow_accounts = SetOf(row.List("allow_accounts"));
  out.allow_qos = SetOf(row.List("allow_qos"));
  for (const std::string& group : row.List("allow_groups")) out.allow_groups.insert(TRY(GidOf(row, group)));
  return out;
}

Result<> AddNodes(const Row& row, Site& site) {
  if (!row.Has("nodes")) return Wrong(row, "nodes", "[[node]] has to say which: nodes = [...]");
  std::vector<Amount> gpus, gres;
  for (const std::string& text : row.List("gpus")) gpus.push_back(TRY(AmountOf(row, "gpus", text, false)));
  for (const std::string& text : row.List("gres")) {
    gres.push_back(TRY(AmountOf(row, "gres", text, true)));
    if (gres.back().name.starts_with("gpu")) return Wrong(row, "gres", "GPUs are given with gpus = [...]");
  }
  for (const std::string& name : TRY(NodesOf(row))) {
    NodeTraits& traits = site.nodes[name];
    for (const std::string& feature : row.List("features")) traits.features.insert(feature);
    if (row.Has("weight")) traits.weight = Number(row, "weight");
    if (row.Has("gpus")) traits.gpus = gpus;
    if (row.Has("gres")) traits.gres = gres;
    if (row.Has("gpu_devices")) traits.gpu_devices = row.String("gpu_devices");
  }
  return {};
}

// "0.25" in thousandths.
Result<std::uint64_t> ThousandthsOf(const std::string& text) {
  char* end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || *end != '\0' || !(value >= 0) || value > 1e6)
    return Fail(Code::kInvalidArgument, "\"", text, "\": a number of 0 to 1000000 is wanted");
  return static_cast<std::uint64_t>(std::llround(value * 1000));
}

Result<Tres> TresOf(const Row& row, std::string_view column) {
  auto parsed = ParseTres(Join(row.List(column), ","));
  if (!parsed) return Wrong(row, column, parsed.error().message);
  Tres out;
  MergeTres(*parsed, out);
  return out;
}

Result<Qos> QosOf(const Row& row) {
  Qos out;
  out.name = TRY(NameOf(row));
  out.priority = Number(row, "priority");
  auto factor = ThousandthsOf(row.String("usage_factor"));
  if (!factor) return Wrong(row, "usage_factor", factor.error().message);
  out.usage_milli = static_cast<std::uint32_t>(*factor);
  out.preempts = SetOf(row.List("preempts"));
  out.preempt = TRY(PreemptModeOf(row));
  out.preempt_grace_s = SecondsOf(row, "preempt_grace");
  out.limits.grp = TRY(TresOf(row, "grp_tres"));
  out.limits.max_per_user = TRY(TresOf(row, "max_tres_per_user"));
  out.limits.max_per_job = TRY(TresOf(row, "max_tres_per_job"));
  out.limits.min_per_job = TRY(TresOf(row, "min_tres_per_job"));
  auto number = [&](std::string_view column, std::int64_t& to) {
    if (row.Has(column)) to = row.Integer(column);
  };
  number("grp_jobs", out.limits.grp_jobs);
  number("grp_submit_jobs", out.limits.grp_submit);
  number("max_jobs_per_user", out.limits.max_jobs_per_user);
  number("max_submit_jobs_per_user", out.limits.max_submit_per_user);
  if (row.Seconds("max_wall").count() > 0) out.limits.max_wall_s = row.Seconds("max_wall").count();
  return out;
}

// "NAME=NUMBER" of a setting that is a list, one after the other.
Result<> EachWeight(const Config& config, std::string_view key, const auto& take) {
  for (const std::string& text : config.List(key)) {
    std::size_t equals = text.find('=');
    std::string name = text.substr(0, equals),
                value = equals == std::string::npos ? "" : text.substr(equals + 1);
    bool known = name == "cpu" || name == "mem" || name == "gpu" || name == "node";
    Result<> taken = known ? take(name, value)
                           : Fail(Code::kInvalidArgument, "\"", name, "\" is none of cpu, mem, gpu, node");
    if (!taken)
      return Fail(Code::kInvalidArgument, config.Origin(key), ": ", key, ": ", taken.error().message);
  }
  return {};
}

Result<> ReadPriority(const Config& config, PriorityWeights& out) {
  auto weight = [&](std::string_view key) { return static_cast<std::uint32_t>(config.Integer(key)); };
  out.age = weight("priority.age");
  out.fair_share = weight("priority.fair_share");
  out.size = weight("priority.size");
  out.partition = weight("priority.partition");
  out.qos = weight("priority.qos");
  out.age_max_s = static_cast<std::uint32_t>(config.Seconds("priority.age_max").count());
  out.favour_small = config.Bool("priority.favour_small");
  return EachWeight(config, "priority.tres",
                    [&](const std::string& name, const std::string& value) -> Result<> {
                      out.tres[name] = static_cast<std::uint32_t>(TRY(ParseNumber(value, 0, UINT32_MAX)));
                      return {};
                    });
}

Result<> ReadUsage(const Config& config, UsageRules& out) {
  out.enforce = config.Bool("accounting.enforce");
  out.half_life_s = static_cast<std::uint32_t>(
      std::min<std::int64_t>(config.Seconds("accounting.half_life").count(), UINT32_MAX));
  out.recalculate_s = static_cast<std::uint32_t>(config.Seconds("accounting.recalculate").count());
  out.cpu_milli = out.mem_milli = out.gpu_milli = out.node_milli = 0;
  return EachWeight(config, "accounting.billing",
                    [&](const std::string& name, const std::string& value) -> Result<> {
                      std::uint64_t& to = name == "cpu"   ? out.cpu_milli
                                          : name == "mem" ? out.mem_milli
                                          : name == "gpu" ? out.gpu_milli
                                                          : out.node_milli;
                      to = TRY(ThousandthsOf(value));
                      return {};
                    });
}

Result<NetworkKind> NetworkKindOf(const Config& config) {
  constexpr std::pair<std::string_view, NetworkKind> kKinds[] = {{"flat", NetworkKind::kFlat},
                                                                 {"tree", NetworkKind::kTree},
                                                                 {"dragonfly", NetworkKind::kDragonfly},
                                                                 {"block", NetworkKind::kBlock},
                                                                 {"torus", NetworkKind::kTorus}};
  for (const auto& [name, kind] : kKinds) {
    if (config.String("topology.kind") == name) return kind;
  }
  return Fail(Code::kInvalidArgument, config.Origin("topology.kind"), ": topology.kind: \"",
              config.String("topology.kind"), "\" is none of flat, tree, dragonfly, block, torus");
}

Result<NetworkRules> NetworkOf(const Config& config) {
  NetworkRules out;
  out.kind = TRY(NetworkKindOf(config));
  for (const Row& row : config.Rows("switch"))
    out.switches.push_back({TRY(NameOf(row)), TRY(NodesOf(row)), TRY(NodesOf(row, "switches"))});
  for (const std::string& text : config.List("topology.torus_nodes")) {
    auto some = ExpandHostlist(text);
    if (!some)
      return Fail(Code::kInvalidArgument, config.Origin("topology.torus_nodes"), ": ", some.error().message);
    out.torus_nodes.insert(out.torus_nodes.end(), some->begin(), some->end());
  }
  if (out.kind != NetworkKind::kTorus) return out;
  std::vector<std::string> sides = config.List("topology.torus");
  if (sides.size() != out.torus.size())
    return Fail(Code::kInvalidArgument, config.Origin("topology.torus"), ": a torus has three sides");
  for (std::size_t i = 0; i < sides.size(); ++i)
    out.torus[i] = static_cast<std::uint32_t>(
        TRY_CONTEXT(ParseNumber(sides[i], 1, 1'000'000), Cat(config.Origin("topology.torus"), ": a side")));
  return out;
}

}  // namespace

Result<Site> SiteOf(const Config& config) {
  Site site;
  site.plan.policy = config.String("scheduler.policy");
  site.plan.reservations = static_cast<std::uint32_t>(config.Integer("scheduler.reservations"));
  site.plan.reservations_per_user =
      static_cast<std::uint32_t>(config.Integer("scheduler.reservations_per_user"));
  site.plan.reservations_per_partition =
      static_cast<std::uint32_t>(config.Integer("scheduler.reservations_per_partition"));
  site.plan.grace_s = static_cast<std::uint32_t>(config.Seconds("scheduler.grace").count());
  site.plan.horizon_s = static_cast<std::uint32_t>(config.Seconds("scheduler.horizon").count());
  site.plan.whole_queue_jobs = static_cast<std::uint32_t>(config.Integer("scheduler.whole_queue_jobs"));
  site.plan.whole_queue_every_s =
      static_cast<std::uint32_t>(config.Seconds("scheduler.whole_queue_every").count());
  site.default_time_limit_s =
      static_cast<std::uint32_t>(config.Seconds("controller.default_time_limit").count());
  site.plan.switch_wait_s = static_cast<std::uint32_t>(config.Seconds("scheduler.switch_wait").count());
  site.network = TRY(NetworkOf(config));
  TRY(ReadPriority(config, site.weights));
  TRY(ReadUsage(config, site.usage));
  for (const Row& row : config.Rows("node")) TRY(AddNodes(row, site));
  for (const Row& row : config.Rows("qos")) site.qos.push_back(TRY(QosOf(row)));
  for (const Row& row : config.Rows("licence"))
    site.licences.push_back({TRY(NameOf(row)), Number(row, "count")});
  // What is wrong between the parts is told with the row that brought it.
  for (const Row& row : config.Rows("partition")) {
    site.partitions.push_back(TRY(PartitionOf(row)));
    TRY_CONTEXT(CheckSite(site), row.Origin());
  }
  if (site.partitions.empty())
    site.partitions.push_back({.name = "main", .all_nodes = true, .is_default = true});
  TRY_CONTEXT(CheckSite(site), "settings");
  return site;
}

}  // namespace slipway::scheduler
