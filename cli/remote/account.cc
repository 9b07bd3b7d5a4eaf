// SPDX-License-Identifier: Apache-2.0
// slipway account …: the tree of accounts and who is in it. Changes are for administrators.
#include "api/tres.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/subcommand.h"
#include "cli/show/table.h"
#include "slipway/v1/account.grpc.pb.h"

namespace slipway::cli {
namespace {

std::vector<Option> LimitOptions() {
  auto text = [](std::string name, std::string value, std::string help) {
    return Option{.name = std::move(name),
                  .type = Option::kString,
                  .value_name = std::move(value),
                  .help = std::move(help)};
  };
  return {text("shares", "N", "beside those of its siblings; of a new one: 1"),
          text("grp-tres", "TRES", "of all running jobs together: cpu=64,mem=1T,node=4,gpu=8"),
          text("grp-jobs", "N", "running jobs"),
          text("grp-submit-jobs", "N", "running and pending jobs"),
          text("grp-billing-minutes", "N", "nothing new starts once so much was used"),
          text("max-tres-per-user", "TRES", "of each user's running jobs together"),
          text("max-jobs-per-user", "N", "running jobs of each user"),
          text("max-submit-jobs-per-user", "N", "running and pending jobs of each user"),
          text("max-tres-per-job", "TRES", "of each job"),
          text("min-tres-per-job", "TRES", "of each job, at least"),
          text("max-wall", "LIMIT", "the longest time limit")};
}

// N, or "none" to take a limit away.
Result<std::int64_t> NumberOrNone(const Parsed& options, const char* name) {
  if (options.Value(name) == "none") return -1;
  return static_cast<std::int64_t>(
      TRY_CONTEXT(ParseNumber(options.Value(name), 0, INT64_MAX), Cat("--", name)));
}

Result<v1::Tres> TresOrNone(const Parsed& options, const char* name) {
  v1::Tres tres;
  if (options.Value(name) != "none") return TRY_CONTEXT(ParseTres(options.Value(name)), Cat("--", name));
  tres.set_cpu(-1);
  tres.set_memory_bytes(-1);
  tres.set_node(-1);
  tres.set_gpu(-1);
  return tres;
}

Result<v1::Limits> LimitsOf(const Parsed& options) {
  v1::Limits limits;
  if (options.Has("grp-tres")) *limits.mutable_grp_tres() = TRY(TresOrNone(options, "grp-tres"));
  if (options.Has("max-tres-per-user"))
    *limits.mutable_max_tres_per_user() = TRY(TresOrNone(options, "max-tres-per-user"));
  if (options.Has("max-tres-per-job"))
    *limits.mutable_max_tres_per_job() = TRY(TresOrNone(options, "max-tres-per-job"));
  if (options.Has("min-tres-per-job"))
    *limits.mutable_min_tres_per_job() = TRY(TresOrNone(options, "min-tres-per-job"));
  if (options.Has("grp-jobs")) limits.set_grp_jobs(TRY(NumberOrNone(options, "grp-jobs")));
  if (options.Has("grp-submit-jobs"))
    limits.set_grp_submit_jobs(TRY(NumberOrNone(options, "grp-submit-jobs")));
  if (options.Has("grp-billing-minutes"))
    limits.set_grp_billing_minutes(TRY(NumberOrNone(options, "grp-billing-minutes")));
  if (options.Has("max-jobs-per-user"))
    limits.set_max_jobs_per_user(TRY(NumberOrNone(options, "max-jobs-per-user")));
  if (options.Has("max-submit-jobs-per-user"))
    limits.set_max_submit_jobs_per_user(TRY(NumberOrNone(options, "max-submit-jobs-per-user")));
  if (options.Has("max-wall")) {
    bool none = options.Value("max-wall") == "none";
    limits.set_max_wall_s(
        none ? -1 : TRY_CONTEXT(ParseTimeLimit(options.Value("max-wall")), "--max-wall").count());
  }
  return limits;
}

Result<std::uint32_t> SharesOf(const Parsed& options) {
  return static_cast<std::uint32_t>(
      TRY_CONTEXT(ParseNumber(options.Value("shares"), 0, 1'000'000), "--shares"));
}

std::vector<Option> With(std::vector<Option> options, std::vector<Option> more) {
  options.insert(options.end(), more.begin(), more.end());
  options.push_back(ContextOption());
  return options;
}

Command DeclareSet() {
  return {
      .name = "slipway account set",
      .summary = "make or change an account: its place in the tree, shares and limits",
      .examples = {{"slipway account set physics --shares 10", "below root"},
                   {"slipway account set atlas --parent physics --grp-tres cpu=512,gpu=8", "a part of it"},
                   {"slipway account set atlas --grp-tres none", "takes the limit away"}},
      .options =
          With({{.name = "parent",
                 .type = Option::kString,
                 .value_name = "NAME",
                 .help = "another account; of a new one: root"},
                {.name = "description", .type = Option::kString, .value_name = "TEXT", .help = "one line"}},
               LimitOptions()),
      .positionals = {{.name = "ACCOUNT", .arity = Positional::kOne}}};
}

Result<int> Set(const Parsed& options) {
  v1::SetAccountRequest request;
  request.set_name(options.positionals()[0]);
  if (options.Has("parent")) request.set_parent(options.Value("parent"));
  if (options.Has("description")) request.set_description(options.Value("description"));
  if (options.Has("shares")) request.set_shares(TRY(SharesOf(options)));
  *request.mutable_limits() = TRY(LimitsOf(options));
  Cluster cluster = TRY(Cluster::Of(options));
  TRY(cluster.Call<v1::Accounts>(&v1::Accounts::Stub::SetAccount, request));
  return 0;
}

Command DeclareRm() {
  return {.name = "slipway account rm",
          .summary = "remove an account that has neither users nor accounts below it",
          .examples = {{"slipway account rm atlas", ""}},
          .options = {ContextOption()},
          .positionals = {{.name = "ACCOUNT", .arity = Positional::kOne}}};
}

Result<int> Rm(const Parsed& options) {
  v1::RemoveAccountRequest request;
  request.set_name(options.positionals()[0]);
  Cluster cluster = TRY(Cluster::Of(options));
  TRY(cluster.Call<v1::Accounts>(&v1::Accounts::Stub::RemoveAccount, request));
  return 0;
}

std::vector<Positional> AccountAndUser() {
  return {{.name = "ACCOUNT", .arity = Positional::kOne}, {.name = "USER", .arity = Positional::kOne}};
}

Command DeclareAddUser() {
  return {.name = "slipway account add-user",
          .summary = "put a user into an account, or change his shares and limits there",
          .examples = {{"slipway account add-user physics ann --default", "her jobs count here"},
                       {"slipway account add-user physics bob --max-jobs-per-user 10", "a limit of his own"}},
          .options = With({{.name = "default", .help = "for his jobs that name no account"}}, LimitOptions()),
          .positionals = AccountAndUser()};
}

Result<int> AddUser(const Parsed& options) {
  v1::SetUserRequest request;
  request.set_account(options.positionals()[0]);
  request.set_user(options.positionals()[1]);
  if (options.Has("default")) request.set_is_default(true);
  if (options.Has("shares")) request.set_shares(TRY(SharesOf(options)));
  *request.mutable_limits() = TRY(LimitsOf(options));
  Cluster cluster = TRY(Cluster::Of(options));
  TRY(cluster.Call<v1::Accounts>(&v1::Accounts::Stub::SetUser, request));
  return 0;
}

Command DeclareRmUser() {
  return {.name = "slipway account rm-user",
          .summary = "take a user out of an account, with what he used there",
          .examples = {{"slipway account rm-user physics ann", ""}},
          .options = {ContextOption()},
          .positionals = AccountAndUser()};
}

Result<int> RmUser(const Parsed& options) {
  v1::RemoveUserRequest request;
  request.set_account(options.positionals()[0]);
  request.set_user(options.positionals()[1]);
  Cluster cluster = TRY(Cluster::Of(options));
  TRY(cluster.Call<v1::Accounts>(&v1::Accounts::Stub::RemoveUser, request));
  return 0;
}

}  // namespace

const Subcommand kAccountSet{{"account", "set"}, DeclareSet, Set};
const Subcommand kAccountRm{{"account", "rm"}, DeclareRm, Rm};
const Subcommand kAccountAddUser{{"account", "add-user"}, DeclareAddUser, AddUser};
const Subcommand kAccountRmUser{{"account", "rm-user"}, DeclareRmUser, RmUser};

}  // namespace slipway::cli
