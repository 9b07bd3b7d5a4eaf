// SPDX-License-Identifier: Apache-2.0
// Between slipway-agent and slipway-stepd: length-prefixed frames (base/wire/stream.h) on the Unix stream
// socket RUN_DIR/steps/<JOB.ATTEMPT.STEP>/sock, which the broker bound before it started stepd. stepd serves
// one agent at a time; a new connection replaces the old one, so an agent that was killed is followed by the
// next. stepd keeps its result (also in the `status` file beside the socket) until kAcknowledge.
//
// The agent treats what comes from here as the user's word: every field is checked against what the step may
// do.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/wire/wire.h"
#include "launcher/spec/init_protocol.h"
#include "launcher/spec/step_id.h"
#include "launcher/spec/step_usage.h"
#include "launcher/spec/terminal.h"

namespace slipway {

enum class StepFrame : std::uint16_t {
  // agent → stepd
  kAttach = 1,         // StepAttach; stepd answers with kState
  kExchangeIn = 2,     // StepExchange (node: from)
  kPeerGone = 3,       // StepPeerGone: open collectives with that node fail at once
  kSignal = 4,         // std::int32_t signal number, to every rank
  kStdin = 5,          // StepStdin
  kCredit = 6,         // std::uint32_t: that many more bytes of kOutput may be sent
  kTerminate = 7,      // StepTerminate
  kAcknowledge = 8,    // no payload: the result is safe; stepd may go
  kSuspend = 9,        // bool: all that runs of the step stands still, or goes on; its time limit with it
  kLimitSignal = 10,   // StepLimitSignal: its time is nearly over; acted upon once
  kRendezvousIn = 11,  // StepRendezvous (step, node: from)
  // stepd → agent
  kState = 32,        // StepState
  kOutput = 33,       // StepOutput
  kExchangeOut = 34,  // StepExchange (node: to)
  kEnded = 35,        // StepResult
  kRendezvousOut =
      36,  // StepRendezvous (step, node: to; of other steps than the batch step they mean nothing)
};

struct StepAttach {
  std::uint32_t version = 1;
};
void Fields(auto& archive, IsA<StepAttach> auto& v) { archive(v.version); }

// Opaque bytes between the stepds of one step (pmix/exchange). `node` is an index into StepSpec::nodes.
struct StepExchange {
  std::uint32_t node = 0;
  std::string bytes;
};
void Fields(auto& archive, IsA<StepExchange> auto& v) { archive(v.node, v.bytes); }

struct StepPeerGone {
  std::uint32_t node = 0;
  std::string reason;
  bool ends_told = false;  // its stepd saw all its ranks end and has told the others of those that failed
};
void Fields(auto& archive, IsA<StepPeerGone> auto& v) { archive(v.node, v.reason, v.ends_told); }

// Between the job's batch step and its other steps (pmix/exchange/rendezvous.h).
struct StepRendezvous {
  std::uint32_t step = 0;  // of the same job and attempt
  std::string node;        // by name: which of the step's stepds
  std::string bytes;
  std::string gone;  // not empty: that stepd, or all that node has (kAnyStep), is no more
};
void Fields(auto& archive, IsA<StepRendezvous> auto& v) { archive(v.step, v.node, v.bytes, v.gone); }
inline constexpr std::uint32_t kAnyStep = 0xffff'ffff;

struct StepStdin {
  std::string bytes;
  bool eof = false;
  bool resized = false;  // the caller's terminal is of this size now
  TerminalSize terminal_size;
};
void Fields(auto& archive, IsA<StepStdin> auto& v) { archive(v.bytes, v.eof, v.resized, v.terminal_size); }

struct StepTerminate {
  std::string reason;         // "CANCELLED", "TIMEOUT", …: becomes StepResult::reason
  std::uint32_t grace_s = 5;  // between SIGTERM and SIGKILL; 0: at once
};
void Fields(auto& archive, IsA<StepTerminate> auto& v) { archive(v.reason, v.grace_s); }

// Said again and again: that it was acted upon is not reported.
struct StepLimitSignal {
  std::int32_t signal_number = 0;
  bool rank_alone = false;  // the ranks' own processes; else all that runs of the step
};
void Fields(auto& archive, IsA<StepLimitSignal> auto& v) { archive(v.signal_number, v.rank_alone); }

enum class StepPhase : std::uint8_t { kStarting = 1, kWiringUp = 2, kRunning = 3, kEnded = 4 };

struct StepState {
  StepId step;
  StepPhase phase = StepPhase::kStarting;
  std::vector<Lap> laps;  // so far
  std::string binding;    // StepSpec::binding
};
void Fields(auto& archive, IsA<StepState> auto& v) { archive(v.step, v.phase, v.laps, v.binding); }

struct StepOutput {
  std::uint32_t rank = 0;
  std::uint8_t stream = 1;  // 1 stdout, 2 stderr
  std::string bytes;        // empty: that stream has ended
};
void Fields(auto& archive, IsA<StepOutput> auto& v) { archive(v.rank, v.stream, v.bytes); }

struct RankResult {
  std::uint32_t rank = 0;
  std::int32_t wait_status = 0;
  bool started = false;
  bool connected = false;  // to PMIx, in a step that asked for it
};
void Fields(auto& archive, IsA<RankResult> auto& v) {
  archive(v.rank, v.wait_status, v.started, v.connected);
}

struct StepResult {
  StepId step;
  std::int32_t exit_code = 0;  // 0-255: the first failing rank's (128 + signal), or 125-127 when nothing ran
  std::string reason;          // empty when every rank exited 0; else one line for the user
  std::vector<RankResult> ranks;
  std::vector<Lap> laps;
  StepUsage usage;      // of the ranks
  std::string binding;  // StepSpec::binding
};
void Fields(auto& archive, IsA<StepResult> auto& v) {
  archive(v.step, v.exit_code, v.reason, v.ranks, v.laps, v.usage, v.binding);
}

}  // namespace slipway
