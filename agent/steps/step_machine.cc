// SPDX-License-Identifier: Apache-2.0
#include "agent/steps/step_machine.h"

#include "launcher/spec/broker_protocol.h"

namespace slipway {
namespace {

constexpr std::int32_t kOurFailure = 125;
constexpr std::int32_t kEndedBySigterm = 128 + 15;
constexpr std::int32_t kEndedBySigkill = 128 + 9;
// Beyond its own grace, stepd gets that long to end the step before the broker does it.
constexpr std::uint32_t kKillAfter_s = 10;
constexpr std::uint32_t kFarewell_s = 5;
// The word for an overrun time limit, of stepd and broker alike.
constexpr std::string_view kTimeout = kTimeIsUp, kOutOfMemory = "OUT_OF_MEMORY";

}  // namespace

using Kind = StepEffect::Kind;

StepMachine::Effects StepMachine::Launch(bool image_held) {
  if (!image_held) return {{Kind::kReport}, {Kind::kFetchImage}};
  return OnImage({});
}

StepMachine::Effects StepMachine::Refuse(StepNews::End end, std::string reason) {
  if (state_ != State::kStaging) return {};
  return End(StepNews::kRefused, end, kOurFailure, std::move(reason));
}

StepMachine::Effects StepMachine::OnImage(const Result<>& held) {
  if (state_ != State::kStaging) return {};
  if (!held) return Refuse(StepNews::kLaunchFailed, held.error().message);
  state_ = State::kStarting;
  asked_broker_ = true;
  return {{Kind::kAskBroker}};
}

// The controller may have given its nodes to others by now.
StepMachine::Effects StepMachine::OnLeaseOver(std::string reason) {
  if (state_ != State::kStarting) return {};
  return End(StepNews::kRefused, StepNews::kNodeUnfit, kOurFailure, std::move(reason));
}

StepMachine::Effects StepMachine::OnStarted(const Result<>& started) {
  if (state_ != State::kStarting) return {};
  if (!started) {
    if (started.error().code == Code::kUnavailable) return {};
    if (started.error().code == Code::kNotFound && !fetched_again_ && kill_reason_.empty()) {
      fetched_again_ =
          true;  // the store has lost the image since we looked; that costs the credential nothing
      asked_broker_ = false;
      state_ = State::kStaging;
      return {{Kind::kFetchImage}};
    }
    return End(StepNews::kRefused, StepNews::kLaunchFailed, kOurFailure, started.error().message);
  }
  if (gone_) return Gone();
  state_ = State::kAttaching;
  return {{Kind::kConnect}};
}

StepMachine::Effects StepMachine::OnState(const StepState& state) {
  if (state_ != State::kAttaching) return {};
  state_ = State::kRunning;
  connects_left_ = 10;
  Effects effects;
  if (news_.kind != StepNews::kStarted) {
    news_.kind = StepNews::kStarted;
    effects.push_back({Kind::kReport});
  }
  news_.laps = state.laps;
  news_.binding = state.binding;
  if (!kill_reason_.empty())
    effects.push_back({.kind = Kind::kTerminate, .grace_s = grace_s_, .reason = kill_reason_});
  return effects;
}

StepMachine::Effects StepMachine::OnResult(const StepResult& result) {
  if (state_ != State::kRunning && state_ != State::kAttaching) return {};
  return EndWith(result);
}

StepMachine::Effects StepMachine::OnStepdLost(std::string why) {
  if (state_ != State::kAttaching && state_ != State::kRunning) return {};
  lost_reason_ = std::move(why);
  if (connects_left_ == 0) {
    state_ = State::kDetached;  // the broker will say when it has ended
    return {{Kind::kCloseLink}};
  }
  // It may only have closed the connection; if it is dead the broker says so before the second try.
  --connects_left_;
  state_ = State::kAttaching;
  return {{Kind::kCloseLink}, {.kind = Kind::kConnect, .delay_s = 1}};
}

StepMachine::Effects StepMachine::Gone() {
  state_ = State::kReading;
  return {{Kind::kCloseLink}, {Kind::kReadStatus}};
}

StepMachine::Effects StepMachine::OnGone(std::string reason) {
  gone_ = true;
  if (state_ == State::kFarewell) {
    state_ = State::kForgetting;
    return {{Kind::kDisarm}, {Kind::kCloseLink}, {Kind::kForget}};
  }
  if (!live() || state_ == State::kReading || state_ == State::kStaging) return {};
  if (!reason.empty()) lost_reason_ = std::move(reason);
  // The answer to StartStep is still to come and says more than this does; unless we asked for the kill.
  if (state_ == State::kStarting && kill_reason_.empty()) return {};
  return Gone();
}

StepMachine::Effects StepMachine::OnStatus(const std::optional<StepResult>& result, std::string cause) {
  if (state_ != State::kReading) return {};
  if (result) return EndWith(*result);
  if (!kill_reason_.empty()) return End(StepNews::kEnded, StepNews::kKilled, kEndedBySigkill, kill_reason_);
  if (lost_reason_.starts_with(kLeaseOver))
    return End(StepNews::kEnded, StepNews::kLeaseOver, kEndedBySigkill, lost_reason_);
  auto end = lost_reason_ == kTimeout ? StepNews::kTimeLimit : StepNews::kExited;
  if (end == StepNews::kExited && !cause.empty()) lost_reason_ = std::move(cause);
  return End(StepNews::kEnded, end, kEndedBySigkill,
             Cat("stepd was lost", lost_reason_.empty() ? "" : ": ", lost_reason_));
}

StepMachine::Effects StepMachine::EndWith(const StepResult& result) {
  news_.laps = result.laps;
  news_.usage = result.usage;
  news_.binding = result.binding;
  news_.by_stepd = true;
  // A step that was asked to end may still have ended by itself just before; only success tells.
  bool killed = !kill_reason_.empty() && result.exit_code != 0;
  auto end = killed                                                   ? StepNews::kKilled
             : result.reason.starts_with(kTimeout)                    ? StepNews::kTimeLimit
             : result.reason.find(kOutOfMemory) != result.reason.npos ? StepNews::kOutOfMemory
                                                                      : StepNews::kExited;
  return End(StepNews::kEnded, end, result.exit_code, result.reason);
}

StepMachine::Effects StepMachine::OnKill(std::string reason, std::uint32_t grace_s) {
  if (!live() || state_ == State::kReading || !kill_reason_.empty()) return {};
  if (state_ == State::kStaging)
    return End(StepNews::kEnded, StepNews::kKilled, kEndedBySigterm, std::move(reason));
  kill_reason_ = reason.empty() ? "ended by the controller" : std::move(reason);
  grace_s_ = grace_s;
  Effects effects{{.kind = Kind::kArm, .delay_s = grace_s + kKillAfter_s}};
  if (state_ == State::kRunning)
    effects.push_back({.kind = Kind::kTerminate, .grace_s = grace_s, .reason = kill_reason_});
  return effects;
}

StepMachine::Effects StepMachine::OnEndJob() {
  if (job_ended_) return {};
  job_ended_ = true;
  if (state_ == State::kStaging) return OnKill("the job has ended", 0);
  if (!holds_node() || state_ == State::kReading) return {};
  if (kill_reason_.empty()) kill_reason_ = "the job has ended";
  return {{Kind::kKillByBroker}, {.kind = Kind::kArm, .delay_s = kKillAfter_s}};
}

StepMachine::Effects StepMachine::OnTimer() {
  bool due = state_ == State::kFarewell || (job_ended_ && holds_node()) ||
             (live() && asked_broker_ && !kill_reason_.empty());
  if (!due) return {};
  // Should the broker be away just now, the next round asks again.
  return {{Kind::kKillByBroker}, {.kind = Kind::kArm, .delay_s = kKillAfter_s}};
}

StepMachine::Effects StepMachine::End(StepNews::Kind kind, StepNews::End end, std::int32_t exit_code,
                                      std::string reason) {
  state_ = State::kEnded;
  news_.kind = kind;
  news_.end = end;
  news_.exit_code = exit_code;
  news_.reason = std::move(reason);
  return {{Kind::kDisarm}, {Kind::kReport}};
}

StepMachine::Effects StepMachine::OnAck(std::uint64_t sequence) {
  if (state_ != State::kEnded || sequence != news_.sequence()) return {};
  if (!asked_broker_) {
    state_ = State::kDone;
    return {{Kind::kDone}};
  }
  if (gone_ || news_.kind == StepNews::kRefused) {
    state_ = State::kForgetting;
    return {{Kind::kCloseLink}, {Kind::kForget}};
  }
  state_ = State::kFarewell;
  return {{Kind::kAcknowledge}, {.kind = Kind::kArm, .delay_s = kFarewell_s}};
}

StepMachine::Effects StepMachine::OnForgotten(const Result<>& forgotten) {
  if (state_ != State::kForgetting) return {};
  if (!forgotten && forgotten.error().code == Code::kUnavailable) return {};
  state_ = State::kDone;
  return {{Kind::kDone}};
}

StepMachine::Effects StepMachine::Reconcile(Found found) {
  switch (state_) {
    case State::kStaging:
      if (found == Found::kAbsent) return {};
      asked_broker_ = true;  // by the agent before us
      state_ = State::kStarting;
      return Reconcile(found);
    case State::kStarting:
      if (found == Found::kAbsent && !kill_reason_.empty())  // it never began, and shall not now
        return End(StepNews::kEnded, StepNews::kKilled, kEndedBySigterm, kill_reason_);
      if (found == Found::kAbsent) return {{Kind::kAskBroker}};
      gone_ = found == Found::kEnded;
      return OnStarted({});
    case State::kAttaching:
    case State::kRunning:
    case State::kDetached:
      return found == Found::kRunning ? Effects{} : OnGone({});
    case State::kEnded:
      gone_ = found != Found::kRunning;
      return {};
    case State::kFarewell:
      return found == Found::kRunning ? Effects{} : OnGone({});
    case State::kForgetting:
      if (found == Found::kAbsent) return OnForgotten({});
      return {{Kind::kForget}};
    case State::kReading:
    case State::kDone:
      return {};
  }
  return {};
}

}  // namespace slipway
