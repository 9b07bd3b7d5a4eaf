// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/sinfo_fields.h"

#include <algorithm>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "cli/habits/words.h"

namespace slipway::cli {
namespace {

using Group = NodeGroup;

std::string OfFirst(const Group& group, std::string (*text)(const v1::Node&)) {
  return group.nodes.empty() ? "n/a" : text(*group.nodes.front());
}
std::string Names(const Group& group) {
  std::vector<std::string> names;
  for (const v1::Node* node : group.nodes) names.push_back(node->name());
  return CompressHostlist(names);
}
bool Usable(const v1::Node& node) { return node.state() == "UP"; }

// "allocated/idle/other/total" of what `count` says of a node.
std::string Shares(const Group& group, std::uint32_t (*all)(const v1::Node&),
                   std::uint32_t (*used)(const v1::Node&), bool with_others) {
  std::uint32_t allocated = 0, idle = 0, other = 0;
  for (const v1::Node* node : group.nodes) {
    allocated += used(*node);
    (Usable(*node) ? idle : other) += all(*node) - used(*node);
  }
  return with_others ? Cat(allocated, "/", idle, "/", other, "/", allocated + idle + other)
                     : Cat(allocated, "/", idle);
}
std::uint32_t One(const v1::Node&) { return 1; }
std::uint32_t Busy(const v1::Node& node) { return node.jobs_size() > 0 ? 1 : 0; }
std::uint32_t Cores(const v1::Node& node) { return node.cores(); }
std::uint32_t CoresUsed(const v1::Node& node) {
  return node.cores() - std::min(node.cores(), node.cores_free());
}

std::string Features(const v1::Node& node) {
  std::string text = Join(std::vector<std::string>(node.features().begin(), node.features().end()), ",");
  return text.empty() ? "(null)" : text;
}
std::string Gres(const v1::Node& node) {
  std::vector<std::string> all;
  for (const v1::Amount& gpu : node.gpus())
    all.push_back(Cat("gpu:", gpu.name(), gpu.name().empty() ? "" : ":", gpu.count()));
  for (const v1::Amount& gres : node.gres()) all.push_back(Cat(gres.name(), ":", gres.count()));
  return all.empty() ? "(null)" : Join(all, ",");
}
std::string Mib(std::uint64_t bytes) { return Cat(bytes >> 20); }
std::string Reason(const v1::Node& node) { return node.reason().empty() ? "none" : node.reason(); }
std::string Available(const Group& group) { return group.partition->state() == "UP" ? "up" : "inact"; }
std::string Sizes(const Group& group) {
  return Cat(std::max(1U, group.partition->min_nodes()), "-",
             group.partition->max_nodes() == 0 ? "infinite" : Cat(group.partition->max_nodes()));
}
std::uint32_t PerSocket(const v1::Node& node) { return node.cores() / std::max(1U, node.sockets()); }

constexpr Field<Group> kFields[] = {
    {"Partition", 'P', "PARTITION", 9,
     [](const Group& g) { return g.partition->name() + (g.partition->is_default() ? "*" : ""); }},
    {"PartitionName", 'R', "PARTITION", 9, [](const Group& g) { return g.partition->name(); }},
    {"Available", 'a', "AVAIL", 5, Available},
    {"Time", 'l', "TIMELIMIT", 10,
     [](const Group& g) { return Limit(g.partition->max_time_s(), "infinite"); }},
    {"DefaultTime", 'L', "DEFAULTTIME", 11,
     [](const Group& g) { return Limit(g.partition->default_time_s(), "n/a"); }},
    {"Size", 's', "JOB_SIZE", 10, Sizes},
    {"Nodes", 'D', "NODES", 6, [](const Group& g) { return Cat(g.nodes.size()); }},
    {"NodeAI", 'A', "NODES(A/I)", 11, [](const Group& g) { return Shares(g, One, Busy, false); }},
    {"NodeAIOT", 'F', "NODES(A/I/O/T)", 15, [](const Group& g) { return Shares(g, One, Busy, true); }},
    {"StateCompact", 't', "STATE", 6,
     [](const Group& g) { return OfFirst(g, [](const v1::Node& n) { return StateOf(n).brief; }); }},
    {"StateLong", 'T', "STATE", 11,
     [](const Group& g) { return OfFirst(g, [](const v1::Node& n) { return StateOf(n).full; }); }},
    {"NodeList", 'N', "NODELIST", 20, Names},
    {"NodeHost", 'n', "HOSTNAMES", 20,
     [](const Group& g) { return OfFirst(g, [](const v1::Node& n) { return n.name(); }); }},
    {"NodeAddr", 'o', "NODE_ADDR", 20,
     [](const Group& g) {
       return OfFirst(g, [](const v1::Node& n) { return n.address().substr(0, n.address().rfind(':')); });
     }},
    {"CPUs", 'c', "CPUS", 5,
     [](const Group& g) { return OfFirst(g, [](const v1::Node& n) { return Cat(n.cores()); }); }},
    {"CPUsState", 'C', "CPUS(A/I/O/T)", 15, [](const Group& g) { return Shares(g, Cores, CoresUsed, true); }},
    {"Sockets", 'X', "SOCKETS", 7,
     [](const Group& g) {
       return OfFirst(g, [](const v1::Node& n) { return Cat(std::max(1U, n.sockets())); });
     }},
    {"Cores", 'Y', "CORES", 5,
     [](const Group& g) { return OfFirst(g, [](const v1::Node& n) { return Cat(PerSocket(n)); }); }},
    {"Threads", 'Z', "THREADS", 7, [](const Group&) { return std::string("1"); }},
    {"SocketCoreThread", 'z', "S:C:T", 8,
     [](const Group& g) {
       return OfFirst(
           g, [](const v1::Node& n) { return Cat(std::max(1U, n.sockets()), ":", PerSocket(n), ":1"); });
     }},
    {"Memory", 'm', "MEMORY", 8,
     [](const Group& g) { return OfFirst(g, [](const v1::Node& n) { return Mib(n.memory_bytes()); }); }},
    {"FreeMem", 'e', "FREE_MEM", 8,
     [](const Group& g) { return OfFirst(g, [](const v1::Node& n) { return Mib(n.memory_bytes_free()); }); }},
    {"Disk", 'd', "TMP_DISK", 8, [](const Group&) { return std::string("0"); }},
    {"Weight", 'w', "WEIGHT", 6,
     [](const Group& g) { return OfFirst(g, [](const v1::Node& n) { return Cat(n.weight()); }); }},
    {"Features", 'f', "AVAIL_FEATURES", 15, [](const Group& g) { return OfFirst(g, Features); }},
    {"FeaturesAct", 'b', "ACTIVE_FEATURES", 15, [](const Group& g) { return OfFirst(g, Features); }},
    {"Gres", 'G', "GRES", 15, [](const Group& g) { return OfFirst(g, Gres); }},
    {"Reason", 'E', "REASON", 20, [](const Group& g) { return OfFirst(g, Reason); }},
    {"CPUsLoad", 'O', "CPU_LOAD", 8, [](const Group&) { return std::string("N/A"); }},
    {"User", 'u', "USER", 9, [](const Group&) { return std::string("Unknown"); }},
    {"Timestamp", 'H', "TIMESTAMP", 19, [](const Group&) { return std::string("Unknown"); }},
    {"PriorityTier", 'p', "PRIO_TIER", 9, [](const Group& g) { return Cat(g.partition->tier()); }},
    {"Groups", 'g', "GROUPS", 10,
     [](const Group& g) { return std::string(g.partition->allow_groups().empty() ? "all" : "some"); }},
    {"OverSubscribe", 'h', "OVERSUBSCRIBE", 13,
     [](const Group& g) { return std::string(g.partition->exclusive() ? "EXCLUSIVE" : "NO"); }},
    {"Root", 'r', "ROOT", 4, [](const Group&) { return std::string("no"); }},
    {"Version", 'v', "VERSION", 8,
     [](const Group& g) { return OfFirst(g, [](const v1::Node& n) { return n.version(); }); }},
};

}  // namespace

std::span<const Field<Group>> NodeGroupFields() { return kFields; }

bool TellsApart(const Field<Group>& field) {
  return std::string_view("DAFNC").find(field.letter) == std::string_view::npos;
}

}  // namespace slipway::cli
