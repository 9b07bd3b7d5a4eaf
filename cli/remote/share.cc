// SPDX-License-Identifier: Apache-2.0
// slipway share, slipway account ls: the tree with shares, usage and who is next, or with limits.
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "api/tres.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/show/table.h"
#include "slipway/v1/account.grpc.pb.h"

namespace slipway::cli {
namespace {

Command DeclareShare() {
  return {.name = "slipway share",
          .summary = "fair shares: what accounts and users should have, what they used, who is next",
          .examples = {{"slipway share", "the tree; the greatest factor comes first"},
                       {"slipway share --json", "for programs"}},
          .options = {JsonOption(), ContextOption()}};
}
Command DeclareLs() {
  return {.name = "slipway account ls",
          .summary = "list accounts, the users in them, and their limits",
          .examples = {{"slipway account ls", "the tree"}},
          .options = {JsonOption(), ContextOption()}};
}

// Calls see(account, depth) from the root down, children by name.
void WalkTree(const v1::ListAccountsReply& reply,
              const std::function<void(const v1::Account&, std::size_t)>& see) {
  std::multimap<std::string, const v1::Account*> children;
  for (const v1::Account& account : reply.accounts()) children.emplace(account.parent(), &account);
  std::function<void(const std::string&, std::size_t)> walk = [&](const std::string& parent,
                                                                  std::size_t depth) {
    if (depth > static_cast<std::size_t>(reply.accounts_size())) return;
    auto [first, last] = children.equal_range(parent);
    for (auto at = first; at != last; ++at) {
      see(*at->second, depth);
      walk(at->second->name(), depth + 1);
    }
  };
  walk("", 0);
}

// Millionths as "0.123456".
std::string Fraction(std::uint64_t ppm) {
  std::string digits = Cat(ppm % 1'000'000);
  return Cat(ppm / 1'000'000, ".", std::string(6 - digits.size(), '0'), digits);
}

std::string LimitsText(const v1::Limits& limits) {
  std::vector<std::string> parts;
  auto tres = [&](const char* name, const v1::Tres& value) {
    if (std::string text = FormatTres(value); !text.empty()) parts.push_back(Cat(name, "(", text, ")"));
  };
  auto number = [&](const char* name, bool there, std::int64_t value) {
    if (there) parts.push_back(Cat(name, "=", value));
  };
  tres("GrpTRES", limits.grp_tres());
  number("GrpJobs", limits.has_grp_jobs(), limits.grp_jobs());
  number("GrpSubmitJobs", limits.has_grp_submit_jobs(), limits.grp_submit_jobs());
  number("GrpBillingMins", limits.has_grp_billing_minutes(), limits.grp_billing_minutes());
  tres("MaxTRESPerUser", limits.max_tres_per_user());
  number("MaxJobsPerUser", limits.has_max_jobs_per_user(), limits.max_jobs_per_user());
  number("MaxSubmitJobsPerUser", limits.has_max_submit_jobs_per_user(), limits.max_submit_jobs_per_user());
  tres("MaxTRESPerJob", limits.max_tres_per_job());
  if (limits.has_max_wall_s())
    parts.push_back(Cat("MaxWall=", FormatTimeLimit(std::chrono::seconds(limits.max_wall_s()))));
  return Join(parts, " ");
}

nlohmann::ordered_json ShareJson(const v1::FairShare& share) {
  return {{"share_ppm", share.share_ppm()}, {"usage_ppm", share.usage_ppm()},
          {"level_ppm", share.level_ppm()}, {"usage", share.usage()},
          {"rank", share.rank()},           {"of", share.of()}};
}

std::string Json(const v1::ListAccountsReply& reply) {
  using nlohmann::ordered_json;
  ordered_json accounts = ordered_json::array();
  for (const v1::Account& account : reply.accounts()) {
    ordered_json users = ordered_json::array();
    for (const v1::AccountUser& user : account.users()) {
      users.push_back({{"user", user.user()},
                       {"uid", user.uid()},
                       {"shares", user.shares()},
                       {"is_default", user.is_default()},
                       {"implied", user.implied()},
                       {"limits", LimitsText(user.limits())},
                       {"fair_share", ShareJson(user.fair_share())}});
    }
    accounts.push_back({{"name", account.name()},
                        {"parent", account.parent()},
                        {"shares", account.shares()},
                        {"description", account.description()},
                        {"limits", LimitsText(account.limits())},
                        {"fair_share", ShareJson(account.fair_share())},
                        {"users", users}});
  }
  return ordered_json{{"accounts", accounts}}.dump(2, ' ', false, ordered_json::error_handler_t::replace) +
         "\n";
}

void AddShare(Table& table, std::vector<std::string> names, std::uint32_t shares,
              const v1::FairShare& share) {
  std::string level = share.usage_ppm() == 0 ? "inf" : Fraction(share.level_ppm());
  std::string factor = share.of() == 0 ? "" : Fraction(std::uint64_t{share.rank()} * 1'000'000 / share.of());
  names.insert(names.end(), {Cat(shares), Fraction(share.share_ppm()), Cat(share.usage()),
                             Fraction(share.usage_ppm()), level, factor});
  table.Add(std::move(names));
}

Result<v1::ListAccountsReply> Fetch(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  return cluster.Call<v1::Accounts>(&v1::Accounts::Stub::List, v1::ListAccountsRequest());
}

Result<int> Share(const Parsed& options) {
  v1::ListAccountsReply reply = TRY(Fetch(options));
  if (options.Has("json")) {
    Print(Json(reply));
    return 0;
  }
  Table table({{"ACCOUNT"},
               {"USER"},
               {"SHARES", true},
               {"NORM SHARES", true},
               {"USAGE", true},
               {"NORM USAGE", true},
               {"LEVEL FS", true},
               {"FAIRSHARE", true}});
  WalkTree(reply, [&](const v1::Account& account, std::size_t depth) {
    std::string name = std::string(2 * depth, ' ') + account.name();
    AddShare(table, {name, ""}, account.shares(), account.fair_share());
    for (const v1::AccountUser& user : account.users())
      AddShare(table, {std::string(2 * depth + 2, ' ') + account.name(), user.user()}, user.shares(),
               user.fair_share());
  });
  Print(table.Text(WantsColour(1)));
  return 0;
}

Result<int> Ls(const Parsed& options) {
  v1::ListAccountsReply reply = TRY(Fetch(options));
  if (options.Has("json")) {
    Print(Json(reply));
    return 0;
  }
  Table table({{"ACCOUNT"}, {"USER"}, {"SHARES", true}, {"LIMITS"}, {"NOTE"}});
  WalkTree(reply, [&](const v1::Account& account, std::size_t depth) {
    table.Add({std::string(2 * depth, ' ') + account.name(), "", Cat(account.shares()),
               LimitsText(account.limits()), account.description()});
    for (const v1::AccountUser& user : account.users()) {
      std::string note = user.is_default() ? "default" : user.implied() ? "made by a submission" : "";
      table.Add({std::string(2 * depth + 2, ' ') + account.name(), user.user(), Cat(user.shares()),
                 LimitsText(user.limits()), note});
    }
  });
  Print(table.Text(WantsColour(1)));
  return 0;
}

}  // namespace

const Subcommand kShare{{"share"}, DeclareShare, Share};
const Subcommand kAccountLs{{"account", "ls"}, DeclareLs, Ls};

}  // namespace slipway::cli
