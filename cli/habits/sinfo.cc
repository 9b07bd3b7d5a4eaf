// SPDX-License-Identifier: Apache-2.0
// sinfo: partitions and the states of their nodes.
#include <algorithm>
#include <map>
#include <set>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "cli/habits/habits.h"
#include "cli/habits/job_filter.h"
#include "cli/habits/sinfo_fields.h"
#include "cli/habits/sort.h"
#include "cli/habits/words.h"
#include "cli/remote/slurm_words.h"
#include "cli/remote/subcommand.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr const char* kUsual = "%9P %.5a %.10l %.6D %.6t %N";
constexpr const char* kLong = "%9P %.5a %.10l %.10s %.4r %.13h %.10g %.6D %.11T %N";
constexpr const char* kNode = "%20N %.6D %.9P %6t";
constexpr const char* kNodeLong = "%20N %.6D %.9P %.11T %.4c %.8z %.8m %.8d %.6w %.15f %20E";
constexpr const char* kSummary = "%9P %.5a %.10l %.16F %N";
constexpr const char* kReasons = "%20E %9u %19H %N";

Command Declare() {
  Command command{
      .name = "sinfo",
      .summary = "partitions and nodes, as Slurm's sinfo shows them (`slipway nodes` is ours)",
      .examples = {{"sinfo -N -l", "each node"}, {"sinfo -h -o '%n %t'", "for a script"}},
      .options = {TextOption("partition", 'p', "LIST", "only these partitions"),
                  TextOption("nodes", 'n', "NODES", "only these nodes"),
                  TextOption("states", 't', "LIST", "only nodes in these states: idle,mix,alloc,drain,down"),
                  TextOption("format", 'o', "FORMAT", "columns by letters: \"%n %t\""),
                  TextOption("Format", 'O', "LIST", "columns by names: NodeHost:12,StateLong"),
                  TextOption("sort", 'S', "LETTERS",
                             "in the order of these columns: P,-t; without it by partition and node"),
                  {.name = "Node", .letter = 'N', .help = "a line of each node"},
                  {.name = "long", .letter = 'l', .help = "more columns"},
                  {.name = "summarize", .letter = 's', .help = "a line of each partition"},
                  {.name = "list-reasons", .letter = 'R', .help = "why nodes are drained or down"},
                  {.name = "responding", .letter = 'r', .help = "no nodes that are down or silent"},
                  {.name = "dead", .letter = 'd', .help = "only nodes that are down or silent"},
                  {.name = "noheader", .letter = 'h', .help = "no headings"},
                  {.name = "exact", .letter = 'e', .hidden = true},
                  {.name = "all", .letter = 'a', .hidden = true},
                  TextOption("clusters", 'M', "NAME", "there is one"),
                  ContextOption()}};
  const std::vector<Option> foreign = SlurmWords(SlurmCommand::kSinfo);
  command.options.insert(command.options.end(), foreign.begin(), foreign.end());
  return command;
}

Result<Format> FormatOf(const Parsed& options) {
  auto fields = NodeGroupFields();
  if (options.Has("Format")) return ParseNames(options.Value("Format"), NameIn(fields));
  const char* usual = options.Has("list-reasons") ? kReasons
                      : options.Has("summarize")  ? kSummary
                      : options.Has("Node")       ? (options.Has("long") ? kNodeLong : kNode)
                      : options.Has("long")       ? kLong
                                                  : kUsual;
  return ParseLetters(options.Value("format", usual), LetterIn(fields));
}

struct Choice {
  std::set<std::string> partitions, nodes, states;  // each empty: any
  bool responding = false, dead = false, troubled = false;
  bool Takes(const v1::Node& node) const {
    NodeStateWords state = StateOf(node);
    bool silent = state.full == "down" || state.full == "unknown";
    if ((responding && silent) || (dead && !silent)) return false;
    if (troubled && node.reason().empty()) return false;
    bool drain = states.contains("drain") && state.full.starts_with("drain");
    return (nodes.empty() || nodes.contains(node.name())) &&
           (states.empty() || drain || states.contains("all") || states.contains(state.full) ||
            states.contains(state.brief));
  }
};

Result<Choice> ChoiceOf(const Parsed& options) {
  static const std::set<std::string> kStates = {"all",   "idle",     "mixed", "mix",     "allocated",
                                                "alloc", "draining", "drng",  "drained", "drain",
                                                "down",  "unknown",  "unk"};
  Choice choice{.partitions = WordsOf(options, "partition"),
                .responding = options.Has("responding"),
                .dead = options.Has("dead"),
                .troubled = options.Has("list-reasons")};
  for (const std::string& list : options.List("nodes")) {
    for (std::string& node : TRY_CONTEXT(ExpandHostlist(list), "--nodes"))
      choice.nodes.insert(std::move(node));
  }
  for (std::string word : WordsOf(options, "states")) {
    std::ranges::transform(word, word.begin(), ::tolower);
    if (!kStates.contains(word))
      return Fail(Code::kInvalidArgument, "--states: '", word,
                  "' is no state of a node; idle, mix, alloc, drain, down are");
    choice.states.insert(word);
  }
  return choice;
}

// What of a node's line tells it from another's; with `each` its name does, too.
std::vector<std::string> KeyOf(const Format& format, const NodeGroup& one, bool each) {
  std::vector<std::string> key;
  for (const Piece& piece : format) {
    if (piece.field < 0) continue;
    const auto& field = NodeGroupFields()[static_cast<std::size_t>(piece.field)];
    if (TellsApart(field)) key.push_back(field.text(one));
  }
  if (each) key.push_back(one.nodes.front()->name());
  return key;
}

std::vector<NodeGroup> GroupsOf(const v1::Partition& partition, const std::vector<const v1::Node*>& nodes,
                                const Format& format, bool each) {
  std::vector<NodeGroup> groups;
  std::map<std::vector<std::string>, std::size_t> places;
  for (const v1::Node* node : nodes) {
    NodeGroup one{.partition = &partition, .nodes = {node}};
    auto [at, fresh] = places.try_emplace(KeyOf(format, one, each), groups.size());
    if (fresh) {
      groups.push_back(std::move(one));
    } else {
      groups[at->second].nodes.push_back(node);
    }
  }
  return groups;
}

Result<int> Run(const Parsed& options) {
  auto format = FormatOf(options);
  if (!format) return UsageExit(format.error());
  auto choice = ChoiceOf(options);
  if (!choice) return UsageExit(choice.error());
  auto order = options.Has("sort") ? ParseSort(options.Value("sort"), LetterIn(NodeGroupFields()))
                                   : Result<std::vector<SortKey>>(std::vector<SortKey>());
  if (!order) return UsageExit(order.error());
  Cluster cluster = TRY(Cluster::Of(options));
  auto nodes = TRY(cluster.Call<v1::Nodes>(&v1::Nodes::Stub::List, v1::ListNodesRequest()));
  auto partitions =
      TRY(cluster.Call<v1::Nodes>(&v1::Nodes::Stub::ListPartitions, v1::ListPartitionsRequest()));
  std::string text = options.Has("noheader") ? "" : Line(*format, HeadingsOf(NodeGroupFields()));
  std::vector<NodeGroup> lines;
  for (const v1::Partition& partition : partitions.partitions()) {
    if (!choice->partitions.empty() && !choice->partitions.contains(partition.name())) continue;
    std::vector<const v1::Node*> here;
    for (const v1::Node& node : nodes.nodes()) {
      bool member = std::ranges::find(partition.nodes(), node.name()) != partition.nodes().end();
      if (member && choice->Takes(node)) here.push_back(&node);
    }
    std::vector<NodeGroup> groups = GroupsOf(partition, here, *format, options.Has("Node"));
    bool all = choice->nodes.empty() && choice->states.empty() && !choice->responding && !choice->dead &&
               !choice->troubled;
    if (groups.empty() && all) groups.push_back({.partition = &partition, .nodes = {}});
    std::ranges::move(groups, std::back_inserter(lines));
  }
  SortBy<NodeGroup>(*order, lines, [](const NodeGroup& group, int field) {
    return TextsOf(NodeGroupFields(), group)(field);
  });
  for (const NodeGroup& group : lines) text += Line(*format, TextsOf(NodeGroupFields(), group));
  Print(text);
  return 0;
}

}  // namespace

const Subcommand kSinfo{{"sinfo"}, Declare, Run, kRefused, true};

}  // namespace slipway::cli
