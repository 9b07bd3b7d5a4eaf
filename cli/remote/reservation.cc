// SPDX-License-Identifier: Apache-2.0
// slipway reservation create | update | delete | show: nodes that are set aside for a time. The options are
// named as scontrol's.
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/cluster.h"
#include "cli/remote/job_options.h"
#include "cli/remote/subcommand.h"
#include "cli/show/table.h"
#include "slipway/v1/reservation.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr std::uint32_t kDayS = 86400, kWeekS = 7 * kDayS;

std::vector<Option> SpecOptions() {
  auto text = [](std::string name, std::string value, std::string help) {
    return Option{.name = std::move(name),
                  .type = Option::kString,
                  .value_name = std::move(value),
                  .help = std::move(help)};
  };
  return {text("nodes", "LIST", "which nodes: n[1-4], or ALL"),
          text("nodecnt", "N", "instead: so many, chosen where nothing is expected to run then"),
          text("partition", "NAME", "they are chosen of this one"),
          text("features", "LIST", "they have to have these, as in --constraint"),
          text("starttime", "TIME", "now+2hours, 16:30, 2026-11-23T16:30; default: now"),
          text("endtime", "TIME", "instead of a duration"),
          text("duration", "LIMIT", "minutes, H:MM:SS, D-HH, 90s, 2h"),
          text("users", "LIST", "whose jobs may name it"),
          text("accounts", "LIST", "or the accounts whose jobs may"),
          text("flags", "LIST",
               "maint: for maintenance, may lie over others; flex: its jobs may begin before and end after; "
               "daily, weekly; ignore_jobs: although jobs will run there still; no_maint, no_flex, once"),
          text("comment", "TEXT", "one line"),
          ContextOption()};
}

Command DeclareCreate() {
  return {
      .name = "slipway reservation create",
      .summary = "set nodes aside for a time",
      .examples = {{"slipway reservation create repair --nodes n[1-4] --starttime 2026-12-01T08:00 "
                    "--duration 4h --flags maint",
                    "no job will run there then"},
                   {"slipway reservation create course --nodecnt 2 --starttime 09:00 --duration 2h --users "
                    "ann,bob --flags weekly",
                    "for jobs with --reservation=course"}},
      .options = SpecOptions(),
      .positionals = {{.name = "NAME", .arity = Positional::kOne}}};
}
Command DeclareUpdate() {
  return {.name = "slipway reservation update",
          .summary = "change a reservation",
          .examples = {{"slipway reservation update course --duration 3h", "the rest stays"}},
          .options = SpecOptions(),
          .positionals = {{.name = "NAME", .arity = Positional::kOne}}};
}
Command DeclareDelete() {
  return {.name = "slipway reservation delete",
          .summary = "remove a reservation in which no job runs",
          .examples = {{"slipway reservation delete course", ""}},
          .options = {ContextOption()},
          .positionals = {{.name = "NAME", .arity = Positional::kOne}}};
}
Command DeclareShow() {
  return {
      .name = "slipway reservation show",
      .summary = "list reservations: their nodes and times, and whose they are",
      .examples = {{"slipway reservation show", "all"}, {"slipway reservation show --json", "for programs"}},
      .options = {JsonOption(), ContextOption()}};
}

Result<> ReadFlags(const std::string& text, v1::ReservationSpec& spec) {
  for (const std::string& flag : Split(text, ',')) {
    std::string low = flag;
    for (char& c : low) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (low == "maint" || low == "no_maint") {
      spec.set_maintenance(low == "maint");
    } else if (low == "flex" || low == "no_flex") {
      spec.set_flex(low == "flex");
    } else if (low == "daily" || low == "weekly" || low == "once") {
      spec.set_period_s(low == "daily" ? kDayS : low == "weekly" ? kWeekS : 0);
    } else if (low == "ignore_jobs") {
      spec.set_ignore_jobs(true);
    } else {
      return Fail(Code::kInvalidArgument, "--flags ", flag,
                  ": there are maint, flex, daily, weekly, ignore_jobs, no_maint, no_flex and once");
    }
  }
  return {};
}

Result<> ReadTimes(const Parsed& options, bool create, v1::ReservationSpec& spec) {
  std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
  if (options.Has("starttime"))
    spec.set_start_ms(TRY(ParseMoment(options.Value("starttime"), now_ms, "--starttime")));
  bool end = options.Has("endtime"), duration = options.Has("duration");
  if (end && duration) return Fail(Code::kInvalidArgument, "--endtime and --duration: one of them, please");
  if (create && !end && !duration) return Fail(Code::kInvalidArgument, "--duration or --endtime is wanted");
  if (duration) {
    auto length = TRY_CONTEXT(ParseTimeLimit(options.Value("duration")), "--duration").count();
    spec.set_duration_s(static_cast<std::uint32_t>(std::min<long long>(length, UINT32_MAX)));
  }
  if (!end) return {};
  if (!create && !options.Has("starttime"))
    return Fail(Code::kInvalidArgument, "--endtime: give --starttime as well, or a --duration");
  std::int64_t start_ms = options.Has("starttime") ? spec.start_ms() : now_ms;
  // A time of day is the first one after the start.
  std::string end_text = options.Value("endtime");
  std::int64_t from_ms = end_text.starts_with("now") ? now_ms : start_ms;
  std::int64_t length_s = (TRY(ParseMoment(end_text, from_ms, "--endtime")) - start_ms) / 1000;
  if (length_s <= 0) return Fail(Code::kInvalidArgument, "--endtime ", end_text, " is before the start");
  spec.set_duration_s(static_cast<std::uint32_t>(std::min<std::int64_t>(length_s, UINT32_MAX)));
  return {};
}

Result<v1::ReservationSpec> SpecOf(const Parsed& options, bool create) {
  v1::ReservationSpec spec;
  spec.set_name(options.positionals()[0]);
  if (options.Has("nodes") && options.Has("nodecnt"))
    return Fail(Code::kInvalidArgument, "--nodes and --nodecnt: one of them, please");
  if (options.Has("nodes")) {
    if (options.Value("nodes") == "ALL") {
      spec.mutable_nodes()->add_names("ALL");
    } else {
      for (std::string& node : TRY_CONTEXT(ExpandHostlist(options.Value("nodes")), "--nodes"))
        spec.mutable_nodes()->add_names(std::move(node));
    }
  }
  if (options.Has("nodecnt"))
    spec.set_node_count(static_cast<std::uint32_t>(
        TRY_CONTEXT(ParseNumber(options.Value("nodecnt"), 1, 1'000'000), "--nodecnt")));
  spec.set_partition(options.Value("partition"));
  spec.set_features(options.Value("features"));
  TRY(ReadTimes(options, create, spec));
  auto names = [&](const char* option, v1::ReservationNames* to) {
    for (const std::string& name : Split(options.Value(option), ',')) {
      if (!name.empty()) to->add_names(name);
    }
  };
  if (options.Has("users")) names("users", spec.mutable_users());
  if (options.Has("accounts")) names("accounts", spec.mutable_accounts());
  if (options.Has("flags")) TRY(ReadFlags(options.Value("flags"), spec));
  if (options.Has("comment")) spec.set_comment(options.Value("comment"));
  return spec;
}

template <class Names>
std::vector<std::string> Words(const Names& names) {
  return {names.begin(), names.end()};
}

std::string NodesText(const v1::Reservation& reservation) {
  return CompressHostlist(Words(reservation.nodes()));
}

void PrintMade(const v1::Reservation& made) {
  Print(Cat("reservation ", made.name(), ": ", NodesText(made), ", ", FormatMoment(made.start_ms()), " to ",
            FormatMoment(made.end_ms()), "\n"));
}

Result<int> Create(const Parsed& options) {
  auto spec = SpecOf(options, true);
  if (!spec) return UsageExit(spec.error());
  Cluster cluster = TRY(Cluster::Of(options));
  PrintMade(TRY(cluster.Call<v1::Reservations>(&v1::Reservations::Stub::Create, *spec)));
  return 0;
}

Result<int> Update(const Parsed& options) {
  auto spec = SpecOf(options, false);
  if (!spec) return UsageExit(spec.error());
  Cluster cluster = TRY(Cluster::Of(options));
  PrintMade(TRY(cluster.Call<v1::Reservations>(&v1::Reservations::Stub::Update, *spec)));
  return 0;
}

Result<int> Delete(const Parsed& options) {
  v1::RemoveReservationRequest request;
  request.set_name(options.positionals()[0]);
  Cluster cluster = TRY(Cluster::Of(options));
  TRY(cluster.Call<v1::Reservations>(&v1::Reservations::Stub::Remove, request));
  return 0;
}

std::vector<std::string> FlagsOf(const v1::Reservation& r) {
  std::vector<std::string> flags;
  if (r.maintenance()) flags.emplace_back("MAINT");
  if (r.flex()) flags.emplace_back("FLEX");
  if (r.period_s() > 0) flags.emplace_back(r.period_s() == kDayS ? "DAILY" : "WEEKLY");
  return flags;
}

std::string Json(const v1::ListReservationsReply& reply) {
  using nlohmann::ordered_json;
  ordered_json list = ordered_json::array();
  for (const v1::Reservation& r : reply.reservations())
    list.push_back({{"name", r.name()},
                    {"state", r.state()},
                    {"nodes", r.nodes()},
                    {"start_ms", r.start_ms()},
                    {"end_ms", r.end_ms()},
                    {"flags", FlagsOf(r)},
                    {"users", r.users()},
                    {"accounts", r.accounts()},
                    {"jobs", r.jobs()},
                    {"comment", r.comment()}});
  ordered_json all = {{"reservations", list}};
  return all.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<int> Show(const Parsed& options) {
  Cluster cluster = TRY(Cluster::Of(options));
  auto reply =
      TRY(cluster.Call<v1::Reservations>(&v1::Reservations::Stub::List, v1::ListReservationsRequest()));
  if (options.Has("json")) {
    Print(Json(reply));
    return 0;
  }
  Table table({{"RESERVATION"},
               {"STATE"},
               {"START"},
               {"END"},
               {"NODES", true},
               {"JOBS", true},
               {"FLAGS"},
               {"USERS"},
               {"ACCOUNTS"},
               {"NODELIST"},
               {"COMMENT"}});
  for (const v1::Reservation& r : reply.reservations())
    table.Add({r.name(), r.state(), FormatMoment(r.start_ms()), FormatMoment(r.end_ms()), Cat(r.nodes_size()),
               Cat(r.jobs()), Join(FlagsOf(r), ","), Join(Words(r.users()), ","),
               Join(Words(r.accounts()), ","), NodesText(r), r.comment()});
  Print(table.Text(WantsColour(1)));
  return 0;
}

}  // namespace

const Subcommand kReservationCreate{{"reservation", "create"}, DeclareCreate, Create};
const Subcommand kReservationUpdate{{"reservation", "update"}, DeclareUpdate, Update};
const Subcommand kReservationDelete{{"reservation", "delete"}, DeclareDelete, Delete};
const Subcommand kReservationShow{{"reservation", "show"}, DeclareShow, Show};

}  // namespace slipway::cli
