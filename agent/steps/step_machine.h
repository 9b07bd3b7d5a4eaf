// SPDX-License-Identifier: Apache-2.0
// Between "launch" and "forgotten" a step passes through the hands of the image fetcher, the broker, stepd
// and the controller, any of which may vanish and come back at any moment. What the agent does next is
// decided here, as pure code: something happened in, effects out. step_table.h performs them.
//
//   staging → starting → attaching ⇄ detached → …          (stepd's socket lost: connect again, or wait for
//   the broker)
//                        attaching → running → ended → farewell → forgetting → done
//   any of the first five → ended, by a refusal, a kill, or the broker's word that nothing of the step is
//   left
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/steps/metered_use.h"
#include "launcher/spec/step_protocol.h"

namespace slipway {

// A step's present state for the controller. Sequence numbers follow from the kind, so that an agent that has
// been restarted counts on where the last one stood.
struct StepNews {
  enum Kind : std::uint8_t { kStaging = 1, kStarted = 2, kEnded = 3, kRefused = 4 };
  StepId step;
  Kind kind = kStaging;
  enum End : std::uint8_t {
    kNotEnded = 0,
    kExited = 1,
    kKilled = 2,
    kTimeLimit = 3,
    kOutOfMemory = 4,
    kLaunchFailed = 5,
    kNodeUnfit = 20,
    kLeaseOver = 61
  };
  End end = kNotEnded;
  std::int32_t exit_code = 0;
  std::string reason;
  bool by_stepd = false;  // it is stepd's own account of its ranks, not a guess at what became of it
  std::vector<Lap> laps;
  std::int64_t time_ms = 0, first_failure_ms = 0;  // since 1970 UTC; 0: none
  StepUsage usage;
  std::string binding;  // in words
  MeteredUse metered;
  std::vector<std::string> libraries;  // KnownStep's
  std::uint64_t sequence() const { return kind == kRefused ? 3 : kind; }
  bool last() const { return kind == kEnded || kind == kRefused; }
};

struct StepEffect {
  enum Kind : std::uint8_t {
    kFetchImage,  // answer: OnImage
    kAskBroker,   // StartStep; answer: OnStarted
    kConnect,     // to stepd, after delay_s; answer: OnState or OnStepdLost
    kCloseLink,
    kReadStatus,  // stepd's status file; answer: OnStatus
    kTerminate,   // tell stepd: reason, grace_s
    kArm,         // one timer, replaces the last; delay_s; then OnTimer
    kDisarm,
    kKillByBroker,  // answer: OnGone once nothing is left
    kReport,        // news() has changed
    kAcknowledge,   // tell stepd that its result is safe
    kForget,        // ask the broker; answer: OnForgotten
    kDone,          // drop the step
  };
  Kind kind;
  std::uint32_t delay_s = 0, grace_s = 0;
  std::string reason;
};

class StepMachine {
 public:
  enum class State : std::uint8_t {
    kStaging,
    kStarting,
    kAttaching,
    kRunning,
    kDetached,
    kReading,
    kEnded,
    kFarewell,
    kForgetting,
    kDone
  };
  // What the broker says about the step when the agent (or the connection to the broker) is new.
  enum class Found : std::uint8_t { kAbsent, kRunning, kEnded };
  using Effects = std::vector<StepEffect>;

  explicit StepMachine(StepId step) { news_.step = step; }

  State state() const { return state_; }
  const StepNews& news() const { return news_; }

  Effects Launch(bool image_held);
  Effects Refuse(StepNews::End end, std::string reason);  // before anything of it was asked for
  Effects OnImage(const Result<>& held);
  Effects OnLeaseOver(std::string reason);     // instead of asking the broker
  Effects OnStarted(const Result<>& started);  // kUnavailable: not known; Reconcile says
  Effects OnState(const StepState& state);     // stepd answered our attach
  Effects OnResult(const StepResult& result);  // checked already (user_word.h)
  Effects OnStepdLost(std::string why);
  Effects OnGone(std::string reason);  // the broker: no process is left
  // Without a result: `cause` is what ended it, where something is known that the broker could not say.
  Effects OnStatus(const std::optional<StepResult>& result, std::string cause = {});
  Effects OnKill(std::string reason, std::uint32_t grace_s);
  Effects OnEndJob();  // what is left of it must go at once
  Effects OnTimer();
  Effects OnAck(std::uint64_t sequence);
  Effects OnForgotten(const Result<>& forgotten);  // kUnavailable: not known; Reconcile says
  Effects Reconcile(Found found);
  bool kill_wanted() const { return !kill_reason_.empty(); }
  // Processes or a run folder of it may be left: the job's namespaces are still needed.
  bool holds_node() const {
    return asked_broker_ && !gone_ && news_.kind != StepNews::kRefused && state_ != State::kDone;
  }

 private:
  bool live() const { return state_ <= State::kReading; }
  Effects End(StepNews::Kind kind, StepNews::End end, std::int32_t exit_code, std::string reason);
  Effects EndWith(const StepResult& result);
  Effects Gone();

  State state_ = State::kStaging;
  StepNews news_;
  bool asked_broker_ = false;   // it may know the step
  bool gone_ = false;           // it has said that nothing is left
  bool fetched_again_ = false;  // the image, which the broker turned out not to have
  bool job_ended_ = false;
  std::uint32_t connects_left_ = 10;
  std::string kill_reason_;  // not empty: to be ended
  std::uint32_t grace_s_ = 0;
  std::string lost_reason_;  // how stepd was lost, or why the broker ended it
};

}  // namespace slipway
