// SPDX-License-Identifier: Apache-2.0
// slipway image allow | deny: who may run which images.
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/show/image_json.h"
#include "cli/show/table.h"
#include "slipway/v1/catalogue.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr char kNotes[] =
    "PATTERN is project/name:tag, project/name (every tag), project/* or *. Without PATTERN the rules are "
    "listed.\n"
    "Whoever is denied by name stays denied. A pattern that is denied to all is closed, but for what a "
    "narrower\n"
    "pattern allows. Of the allowing rules the narrowest pattern counts: one of its rules must fit the user, "
    "and one\n"
    "of that rule's keys must have signed the image. What no rule fits, everybody may run.\n";

std::vector<Option> Options(bool allow) {
  std::vector<Option> options = {{.name = "user",
                                  .letter = 'u',
                                  .type = Option::kList,
                                  .value_name = "NAME",
                                  .help = "for this account"},
                                 {.name = "group",
                                  .letter = 'g',
                                  .type = Option::kList,
                                  .value_name = "NAME",
                                  .help = "for this group"}};
  if (allow)
    options.push_back({.name = "signed-by",
                       .type = Option::kList,
                       .value_name = "KEY",
                       .help = "only when this key signed it; one of several"});
  options.push_back(
      {.name = "remove", .type = Option::kString, .value_name = "ID", .help = "take a rule back"});
  options.push_back(JsonOption());
  options.push_back(ContextOption());
  return options;
}

Command DeclareAllow() {
  return {.name = "slipway image allow",
          .summary = "say who may run which images, and by whom they must be signed",
          .examples = {{"slipway image allow 'physics/*' --group phys", "only they may run these"},
                       {"slipway image allow '*' --signed-by 12045C8C0B1004D058DE4BEDA20C27EE7FF7BA84",
                        "nothing unsigned"},
                       {"slipway image allow", "the rules there are"},
                       {"slipway image allow --remove 3", "take rule 3 back"}},
          .options = Options(true),
          .positionals = {{.name = "PATTERN", .arity = Positional::kOptional}},
          .notes = kNotes};
}

Command DeclareDeny() {
  return {.name = "slipway image deny",
          .summary = "say who may not run which images",
          .examples = {{"slipway image deny '*' --user mallory", "nothing, whatever is allowed elsewhere"},
                       {"slipway image deny '*'", "all but what a narrower pattern allows"},
                       {"slipway image deny base/old:1", "nobody"}},
          .options = Options(false),
          .positionals = {{.name = "PATTERN", .arity = Positional::kOptional}},
          .notes = kNotes};
}

std::string Who(const v1::PolicyRule& rule) {
  std::vector<std::string> words;
  for (const std::string& name : rule.users()) words.push_back("user " + name);
  for (const std::string& name : rule.groups()) words.push_back("group " + name);
  return words.empty() ? "all" : Join(words, ", ");
}

std::string Keys(const v1::PolicyRule& rule) {
  return Join(std::vector<std::string>(rule.keys().begin(), rule.keys().end()), ", ");
}

// What was understood, in the words of the options.
std::string Said(const v1::PolicyRule& rule) {
  std::string signed_by = Keys(rule);
  return Cat("rule ", rule.id(), "  ", rule.allow() ? "allow" : "deny", " ", rule.pattern(), " ", Who(rule),
             signed_by.empty() ? "" : ", signed by ", signed_by, "\n");
}

Result<int> List(Cluster& cluster, const Parsed& options) {
  auto reply = TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::ListRules, v1::ListRulesRequest()));
  if (options.Has("json")) {
    Print(RulesJson(reply));
    return 0;
  }
  Table table({{"RULE", true}, {"WHAT"}, {"PATTERN"}, {"WHO"}, {"SIGNED BY"}, {"BY"}, {"SINCE"}});
  for (const v1::PolicyRule& rule : reply.rules())
    table.Add({Cat(rule.id()), rule.allow() ? "allow" : "deny", rule.pattern(), Who(rule), Keys(rule),
               rule.by(), FormatMoment(rule.created_ms())});
  Print(table.Text(WantsColour(1)));
  return 0;
}

Result<int> Change(const Parsed& options, bool allow) {
  Cluster cluster = TRY(Cluster::Of(options));
  if (options.Has("remove")) {
    v1::RemoveRuleRequest request;
    auto id = ParseNumber(options.Value("remove"), 1, INT64_MAX);
    if (!id || !options.positionals().empty())
      return UsageExit(
          Error{Code::kInvalidArgument, 0, "--remove takes the number of a rule and nothing else"});
    request.set_id(static_cast<std::int64_t>(*id));
    TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::RemoveRule, request));
    if (options.Has("json")) Print(NamesJson("removed", {options.Value("remove")}));
    return 0;
  }
  if (options.positionals().empty()) return List(cluster, options);
  v1::AddRuleRequest request;
  v1::PolicyRule& rule = *request.mutable_rule();
  rule.set_allow(allow);
  rule.set_pattern(options.positionals()[0]);
  for (const std::string& name : options.List("user")) rule.add_users(name);
  for (const std::string& name : options.List("group")) rule.add_groups(name);
  for (const std::string& key : options.List("signed-by")) rule.add_keys(key);
  auto made = TRY(cluster.Call<v1::Catalogue>(&v1::Catalogue::Stub::AddRule, request));
  Print(options.Has("json") ? RuleJson(made) : Said(made));
  return 0;
}

Result<int> Allow(const Parsed& options) { return Change(options, true); }
Result<int> Deny(const Parsed& options) { return Change(options, false); }

}  // namespace

const Subcommand kImageAllow{{"image", "allow"}, DeclareAllow, Allow},
    kImageDeny{{"image", "deny"}, DeclareDeny, Deny};

}  // namespace slipway::cli
