// SPDX-License-Identifier: Apache-2.0
// How Slurm spells states, reasons and times. Pure.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/result/result.h"
#include "slipway/v1/job.pb.h"
#include "slipway/v1/node.pb.h"

namespace slipway::cli {

std::string LongState(v1::JobState state);   // "CONFIGURING", "COMPLETED"
std::string ShortState(v1::JobState state);  // "CF", "CD"
bool Ended(v1::JobState state);
// "RUNNING,pd,all"; empty: all. A state of Slurm's in which no job is here is JOB_STATE_UNSPECIFIED.
// kInvalidArgument names what is no state.
Result<std::set<v1::JobState>> StatesOf(const std::string& list);

// Why a job waits, in one word: "Resources", "Dependency"; "None" of one that does not. Ours where there is
// none.
std::string ReasonWord(const v1::Job& job);

struct NodeStateWords {
  std::string full, brief;  // "mixed", "mix"
};
NodeStateWords StateOf(const v1::Node& node);

std::string Moment(std::int64_t ms);  // "2026-11-23T03:36:30" in local time; "Unknown" for 0
std::string MomentOr(std::int64_t ms, const char* none);
// Seconds as [D-]HH:MM:SS; squeue's has no leading zeros: "1:02", "2-03:04:05".
std::string Span(std::int64_t seconds);
std::string ShortSpan(std::int64_t seconds);
std::string Limit(std::uint32_t seconds, const char* none = "UNLIMITED");
// Bytes as a number with its unit: "1500M", "4G"; "0" for none.
std::string Megabytes(std::uint64_t bytes);

std::int64_t NowMs();
// What sacct's -S and -E take, beside what ParseMoment does: "today", "midnight", dates without a time of
// day, "now-1hour".
Result<std::int64_t> PastMoment(const std::string& text, std::int64_t now_ms, const char* option);

}  // namespace slipway::cli
