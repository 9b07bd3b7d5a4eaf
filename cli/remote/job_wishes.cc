// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/job_wishes.h"

#include <chrono>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/job_options.h"
#include "cli/remote/signal_name.h"
#include "cli/remote/subcommand.h"
#include "cli/show/table.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr std::uint32_t kNiceMax = 1'000'000;

Result<std::int32_t> NiceOf(const std::string& text) {
  constexpr std::int32_t kDefaultNice = 100;
  if (text.empty()) return kDefaultNice;
  bool negative = text.starts_with("-");
  auto value = static_cast<std::int32_t>(
      TRY_CONTEXT(ParseNumber(std::string_view(text).substr(negative ? 1 : 0), 0, kNiceMax), "--nice"));
  return negative ? -value : value;
}

}  // namespace

std::vector<Option> JobWishOptions() {
  auto text = [](std::string name, char letter, std::string value, std::string help) {
    return Option{.name = std::move(name),
                  .letter = letter,
                  .type = Option::kString,
                  .value_name = std::move(value),
                  .help = std::move(help)};
  };
  return {text("signal", 0, "[B:]SIGNAL[@SECONDS]",
               "tell the steps so long before the time limit (default 60), B: the batch script alone"),
          Option{.name = "nice",
                 .type = Option::kMaybe,
                 .value_name = "N",
                 .help = "lower the priority by N (100 without a number)"},
          text("priority", 0, "N", "higher ones first; for administrators"),
          text("dependency", 'd', "LIST",
               "wait for others: afterok:12:13,afterany:14 (all), or with '?' (any); also after, afternotok, "
               "aftercorr, singleton"),
          Option{.name = "hold", .letter = 'H', .help = "wait until slipway release"},
          text("begin", 'b', "TIME", "not before: now+2hours, 16:30, 2026-11-23T16:30"),
          text("deadline", 0, "TIME",
               "give up when it cannot end by then any more: now+2hours, 16:30, 2026-11-23T16:30"),
          text("comment", 0, "TEXT", "kept with the job"),
          Option{.name = "test-only", .help = "submit nothing: say when and where it would start"},
          Option{.name = "quiet", .letter = 'Q', .help = "print no more than is asked for"},
          text("mail-type", 0, "LIST", "no mail is sent: a warning says so"),
          text("mail-user", 0, "ADDRESS", "as --mail-type")};
}

Result<> ReadJobWishes(const Parsed& options, v1::JobSpec& spec) {
  if (options.Has("signal")) *spec.mutable_signal() = TRY(LimitSignalOf(options.Value("signal")));
  if (options.Has("nice")) spec.set_nice(TRY(NiceOf(options.Value("nice"))));
  if (options.Has("priority"))
    spec.set_priority(static_cast<std::uint32_t>(
        TRY_CONTEXT(ParseNumber(options.Value("priority"), 1, kNiceMax), "--priority")));
  auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                 std::chrono::system_clock::now().time_since_epoch())
                 .count();
  if (options.Has("begin")) spec.set_begin_ms(TRY(ParseMoment(options.Value("begin"), now, "--begin")));
  if (options.Has("deadline"))
    spec.set_deadline_ms(TRY(ParseMoment(options.Value("deadline"), now, "--deadline")));
  spec.set_dependency(options.Value("dependency"));
  spec.set_hold(options.Has("hold"));
  spec.set_comment(options.Value("comment"));
  return {};
}

std::vector<std::string> WarningsOf(const Parsed& options) {
  std::string type = options.Value("mail-type", options.Has("mail-user") ? "ALL" : "NONE");
  if (type == "NONE" || options.Has("quiet")) return {};
  return {Cat("--mail-type=", type, ": no mail is sent here; `slipway jobs` and --wait say how it went")};
}

Result<int> PrintWhenWould(Cluster& cluster, v1::SubmitRequest request) {
  request.set_test_only(true);
  auto reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Submit, request));
  std::vector<std::string> nodes(reply.planned_nodes().begin(), reply.planned_nodes().end());
  if (reply.planned_start_ms() == 0)
    PrintError(
        Error{Code::kOk, 0, "slipway: the job would be accepted; nodes that it needs are away at present"});
  else
    PrintError(Error{Code::kOk, 0,
                     Cat("slipway: were it the first in the queue, the job would start at ",
                         FormatMoment(reply.planned_start_ms()), " on ", CompressHostlist(nodes))});
  return 0;
}

}  // namespace slipway::cli
