// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/words.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/habits/field.h"
#include "cli/remote/job_options.h"
#include "cli/show/json.h"

namespace slipway::cli {
namespace {

struct StateRow {
  v1::JobState state;
  const char *full, *brief;
  bool ended;
};
constexpr StateRow kStates[] = {
    {v1::JOB_STATE_PENDING, "PENDING", "PD", false},
    {v1::JOB_STATE_STARTING, "CONFIGURING", "CF", false},
    {v1::JOB_STATE_RUNNING, "RUNNING", "R", false},
    {v1::JOB_STATE_SUSPENDED, "SUSPENDED", "S", false},
    {v1::JOB_STATE_COMPLETING, "COMPLETING", "CG", false},
    {v1::JOB_STATE_COMPLETED, "COMPLETED", "CD", true},
    {v1::JOB_STATE_FAILED, "FAILED", "F", true},
    {v1::JOB_STATE_CANCELLED, "CANCELLED", "CA", true},
    {v1::JOB_STATE_TIMEOUT, "TIMEOUT", "TO", true},
    {v1::JOB_STATE_NODE_FAIL, "NODE_FAIL", "NF", true},
    {v1::JOB_STATE_OUT_OF_MEMORY, "OUT_OF_MEMORY", "OOM", true},
    {v1::JOB_STATE_DEADLINE, "DEADLINE", "DL", true},
    {v1::JOB_STATE_PREEMPTED, "PREEMPTED", "PR", true},
};

// Slurm's other states, of squeue(1) and sacct(1): of nodes that it boots, of federations, burst buffers and
// resizing, or of a moment that has no name here. Scripts list them; no job is ever in one.
constexpr const char* kStrangeStates[] = {
    "BOOT_FAIL",     "BF", "REQUEUED",  "RQ", "REQUEUE_FED", "RF", "REQUEUE_HOLD", "RH",
    "RESIZING",      "RS", "REVOKED",   "RV", "SIGNALING",   "SI", "SPECIAL_EXIT", "SE",
    "RESV_DEL_HOLD", "RD", "STAGE_OUT", "SO", "STOPPED",     "ST",
};

const StateRow* RowOf(v1::JobState state) {
  auto at = std::ranges::find(kStates, state, &StateRow::state);
  return at == std::end(kStates) ? nullptr : at;
}

// How our sentence begins, and their word.
constexpr std::pair<const char*, const char*> kReasons[] = {
    {"it is being considered", "None"},
    {"next in line", "Resources"},
    {"waits for resources; other jobs", "Priority"},
    {"its begin time", "BeginTime"},
    {"a limit of", "AssocGrpJobsLimit"},
    {"nodes that it needs", "ReqNodeNotAvail"},
    {"waits for another job that has ended otherwise", "DependencyNeverSatisfied"},
    {"waits for another job", "Dependency"},
    {"is held by an administrator", "JobHeldAdmin"},
    {"is held", "JobHeldUser"},
    {"its partition starts no jobs", "PartitionDown"},
    {"its partition does not allow", "PartitionTimeLimit"},
    {"its partition does not exist", "PartitionConfig"},
    {"waits for its reservation", "Reservation"},
};

}  // namespace

std::string LongState(v1::JobState state) {
  const StateRow* row = RowOf(state);
  return row == nullptr ? StateName(state) : row->full;
}
std::string ShortState(v1::JobState state) {
  const StateRow* row = RowOf(state);
  return row == nullptr ? StateName(state) : row->brief;
}
bool Ended(v1::JobState state) {
  const StateRow* row = RowOf(state);
  return row != nullptr && row->ended;
}

Result<std::set<v1::JobState>> StatesOf(const std::string& list) {
  std::set<v1::JobState> states;
  for (const std::string& word : Split(list, ',')) {
    if (list.empty() || SameWord(word, "all")) {
      for (const StateRow& row : kStates) states.insert(row.state);
      continue;
    }
    auto at = std::ranges::find_if(
        kStates, [&](const StateRow& row) { return SameWord(word, row.full) || SameWord(word, row.brief); });
    if (at == std::end(kStates) &&
        std::ranges::any_of(kStrangeStates, [&](const char* name) { return SameWord(word, name); })) {
      states.insert(v1::JOB_STATE_UNSPECIFIED);
      continue;
    }
    if (at == std::end(kStates))
      return Fail(Code::kInvalidArgument, "'", word,
                  "' is no state of a job; PENDING, RUNNING, COMPLETED, … are");
    states.insert(at->state);
  }
  return states;
}

std::string ReasonWord(const v1::Job& job) {
  if (job.reason().empty()) return "None";
  for (const auto& [sentence, word] : kReasons) {
    if (job.reason().starts_with(sentence)) return word;
  }
  return job.reason();
}

NodeStateWords StateOf(const v1::Node& node) {
  const std::string& state = node.state();
  if (state == "DRAINING") return {"draining", "drng"};
  if (state == "DRAINED") return {"drained", "drain"};
  if (state == "DOWN") return {"down", "down"};
  if (state != "UP") return {"unknown", "unk"};
  if (node.cores_free() == 0 && node.jobs_size() > 0) return {"allocated", "alloc"};
  return node.jobs_size() > 0 ? NodeStateWords{"mixed", "mix"} : NodeStateWords{"idle", "idle"};
}

std::string MomentOr(std::int64_t ms, const char* none) {
  if (ms == 0) return none;
  std::time_t seconds = ms / 1000;
  std::tm local{};
  char text[32];
  ::localtime_r(&seconds, &local);
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &local));
}
std::string Moment(std::int64_t ms) { return MomentOr(ms, "Unknown"); }

std::string Span(std::int64_t seconds) {
  char text[40];
  std::snprintf(text, sizeof text, "%02d:%02d:%02d", static_cast<int>(seconds / 3600 % 24),
                static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60));
  return seconds >= 86400 ? Cat(seconds / 86400, "-", text) : text;
}

std::string ShortSpan(std::int64_t seconds) {
  if (seconds >= 86400) return Span(seconds);
  char text[24];
  int minutes = static_cast<int>(seconds / 60 % 60), rest = static_cast<int>(seconds % 60);
  if (seconds >= 3600) {
    std::snprintf(text, sizeof text, "%d:%02d:%02d", static_cast<int>(seconds / 3600), minutes, rest);
  } else {
    std::snprintf(text, sizeof text, "%d:%02d", minutes, rest);
  }
  return text;
}

std::string Limit(std::uint32_t seconds, const char* none) {
  return seconds == 0 ? none : ShortSpan(seconds);
}

std::string Megabytes(std::uint64_t bytes) {
  if (bytes == 0) return "0";
  constexpr std::uint64_t kMiB = 1 << 20, kGiB = 1 << 30;
  return bytes % kGiB == 0 ? Cat(bytes / kGiB, "G") : Cat((bytes + kMiB - 1) / kMiB, "M");
}

std::int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Result<std::int64_t> PastMoment(const std::string& text, std::int64_t now_ms, const char* option) {
  std::time_t now = now_ms / 1000;
  std::tm local{};
  ::localtime_r(&now, &local);
  local.tm_hour = local.tm_min = local.tm_sec = 0;
  local.tm_isdst = -1;
  if (text == "today" || text == "midnight" || text.empty()) return std::int64_t{::mktime(&local)} * 1000;
  if (text.starts_with("now-")) {
    auto later = TRY(ParseMoment(Cat("now+", text.substr(4)), now_ms, option));
    return now_ms - (later - now_ms);
  }
  std::tm day{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%d", &day);
  if (end != nullptr && *end == 0) {
    day.tm_isdst = -1;
    return std::int64_t{::mktime(&day)} * 1000;
  }
  auto moment = TRY(ParseMoment(text, now_ms, option));
  // A time of day means the last one.
  bool time_of_day = text.find('-') == std::string::npos && text.find(':') != std::string::npos;
  return time_of_day && moment > now_ms ? moment - 86'400'000 : moment;
}

}  // namespace slipway::cli
