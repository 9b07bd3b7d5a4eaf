// SPDX-License-Identifier: Apache-2.0
// sshare: shares and use of accounts and users.
#include <unistd.h>

#include <cstdio>

#include "base/text/text.h"
#include "cli/habits/field.h"
#include "cli/habits/habits.h"
#include "cli/habits/job_filter.h"
#include "cli/remote/subcommand.h"
#include "launcher/client/user.h"
#include "slipway/v1/account.grpc.pb.h"

namespace slipway::cli {
namespace {

struct Share {  // borrowed
  const v1::Account* account = nullptr;
  const v1::AccountUser* user = nullptr;  // none: the account's own line
  const v1::FairShare& of() const { return user != nullptr ? user->fair_share() : account->fair_share(); }
};

std::string Fraction(std::uint64_t ppm) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f", static_cast<double>(ppm) / 1e6);
  return text;
}

constexpr Field<Share> kFields[] = {
    {"Account", 0, "Account", 20, [](const Share& s) { return s.account->name(); }},
    {"User", 0, "User", 10, [](const Share& s) { return s.user == nullptr ? "" : s.user->user(); }},
    {"RawShares", 0, "RawShares", 10,
     [](const Share& s) { return Cat(s.user != nullptr ? s.user->shares() : s.account->shares()); }},
    {"NormShares", 0, "NormShares", 11, [](const Share& s) { return Fraction(s.of().share_ppm()); }},
    {"RawUsage", 0, "RawUsage", 11, [](const Share& s) { return Cat(s.of().usage()); }},
    {"EffectvUsage", 0, "EffectvUsage", 13, [](const Share& s) { return Fraction(s.of().usage_ppm()); }},
    {"NormUsage", 0, "NormUsage", 11, [](const Share& s) { return Fraction(s.of().usage_ppm()); }},
    {"FairShare", 0, "FairShare", 10,
     [](const Share& s) {
       return s.of().of() == 0 ? "" : Fraction(std::uint64_t{s.of().rank()} * 1'000'000 / s.of().of());
     }},
    {"LevelFS", 0, "LevelFS", 10,
     [](const Share& s) { return s.of().usage_ppm() == 0 ? "inf" : Fraction(s.of().level_ppm()); }},
};
constexpr std::span<const Field<Share>> kTable = kFields;

Command Declare() {
  return {.name = "sshare",
          .summary = "shares and use, as Slurm's sshare (`slipway share` is ours)",
          .examples = {{"sshare -a", "everybody"}, {"sshare -n -P -u ann -o fairshare", "for a script"}},
          .options = {TextOption("users", 'u', "LIST", "only these users"),
                      TextOption("accounts", 'A', "LIST", "only these accounts"),
                      TextOption("format", 'o', "LIST", "columns: account,user,fairshare%12"),
                      {.name = "all", .letter = 'a', .help = "everybody, not only the caller"},
                      {.name = "Users", .letter = 'U', .help = "users only, no lines of accounts"},
                      {.name = "long", .letter = 'l', .help = "with LevelFS"},
                      {.name = "noheader", .letter = 'n', .help = "no headings"},
                      {.name = "parsable", .letter = 'p', .help = "columns end with |"},
                      {.name = "parsable2", .letter = 'P', .help = "columns have | between them"},
                      ContextOption()}};
}

Result<int> Run(const Parsed& options) {
  std::string usual = "account,user,rawshares,normshares,rawusage,effectvusage,fairshare";
  if (options.Has("long")) usual += ",levelfs";
  auto format = ParseTable(options.Value("format", usual), NameIn(kTable), WidthsOf(kTable));
  if (!format) return UsageExit(format.error());
  TableStyle style{.header = !options.Has("noheader"),
                   .delimiter = options.Has("parsable") || options.Has("parsable2") ? '|' : '\0',
                   .trailing = options.Has("parsable") && !options.Has("parsable2")};
  std::set<std::string> users = WordsOf(options, "users"), accounts = WordsOf(options, "accounts");
  if (users.empty() && !options.Has("all") && ::geteuid() != 0) users.insert(CallingUser().name);
  Cluster cluster = TRY(Cluster::Of(options));
  auto reply = TRY(cluster.Call<v1::Accounts>(&v1::Accounts::Stub::List, v1::ListAccountsRequest()));
  std::string text = TableHead(*format, style, HeadingsOf(kTable));
  for (const v1::Account& account : reply.accounts()) {
    if (!accounts.empty() && !accounts.contains(account.name())) continue;
    Share own{.account = &account};
    if (!options.Has("Users")) text += TableLine(*format, style, TextsOf(kTable, own));
    for (const v1::AccountUser& user : account.users()) {
      Share share{.account = &account, .user = &user};
      if (users.empty() || users.contains(user.user()))
        text += TableLine(*format, style, TextsOf(kTable, share));
    }
  }
  Print(text);
  return 0;
}

}  // namespace

const Subcommand kSshare{{"sshare"}, Declare, Run, kRefused, true};

}  // namespace slipway::cli
