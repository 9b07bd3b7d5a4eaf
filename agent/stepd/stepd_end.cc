// SPDX-License-Identifier: Apache-2.0
// How a step ends: its first failure is told to the other nodes, the ranks are asked and then made to end,
// and the result is written before anybody is told of it.
#include <fcntl.h>
#include <sys/stat.h>

#include <csignal>

#include "agent/stepd/stepd.h"
#include "agent/stepd/usage.h"
#include "base/log/log.h"

namespace slipway {
namespace {
// Between SIGKILL to the ranks and letting go of the init, which kills whatever is left.
constexpr auto kAfterKill = std::chrono::seconds(2);
}  // namespace

void Stepd::FailStep(std::int32_t exit_code, const std::string& reason) {
  if (outcome_.Fail(exit_code, reason)) OnFirstFailure(true);
}

void Stepd::OnFirstFailure(bool take_down) {
  if (!take_down) return;
  if (several_nodes()) {
    exchange_.TellStepFailed(outcome_.exit_code(), outcome_.reason());
    ArmExchangeTick();
  }
  TakeDown(std::chrono::seconds(spec_.kill_grace_s));
}

void Stepd::Terminate(const std::string& reason, std::chrono::seconds grace) {
  if (result_) return;
  outcome_.Terminate(reason);
  TakeDown(grace);
}

// May come again with less patience.
void Stepd::TakeDown(std::chrono::nanoseconds grace) {
  loop_.Cancel(wireup_timer_);
  if (!launched_ || init_gone_) {
    init_.Close("nothing to start");
    return loop_.Post([this] { MaybeFinish(); });
  }
  if (outcome_.all_exited() && !spawner_.running()) return;
  bool first = !taking_down_;
  taking_down_ = true;
  if (grace.count() == 0) return Kill();
  if (!first) return;
  if (terminal_size_) init_.Signal(-1, SIGHUP);  // a shell that talks to somebody ignores SIGTERM
  init_.Signal(-1, SIGTERM);
  init_.Signal(-1, SIGCONT);
  kill_timer_ = loop_.After(grace, [this] { Kill(); });
}

void Stepd::Kill() {
  loop_.Cancel(kill_timer_);
  init_.Signal(-1, SIGKILL);
  kill_timer_ = loop_.After(kAfterKill, [this] { init_.Close("it did not end its ranks"); });
}

void Stepd::MaybeFinish() {
  if (result_ || !init_gone_ || !output_.drained()) return;
  // Spawned ranks that go on elsewhere need the names and numbers that are kept here.
  if (spawner_.any_world() && !outcome_.failed()) return;
  Finish();
}

void Stepd::Finish() {
  MarkLap("output written");
  phase_ = StepPhase::kEnded;
  result_ = outcome_.Result(laps_);
  result_->usage = UsageOf(ranks_cgroup_);
  result_->binding = spec_.binding;
  // A client prints the reason itself; who reads a file later has only the file. A lone rank's code says
  // enough.
  bool lone_code =
      result_->ranks.size() == 1 && result_->ranks[0].started && result_->ranks[0].wait_status != 0;
  if (!result_->reason.empty() && !lone_code && (stderr_file_ || stdout_file_)) Warn(result_->reason);
  WriteStatus(*result_);
  loop_.Cancel(limit_timer_);
  loop_.Cancel(wireup_timer_);
  if (!private_dir_.empty()) (void)RemoveTree(private_dir_);
  private_dir_.clear();
  SendResult();
}

void Stepd::SendResult() {
  if (result_) agent_.Send(StepFrame::kEnded, *result_);
}

// For an agent that was away when we ended. Not for another boot, which has no use for it (a node with a new
// boot id claims no old step), so nobody waits for the disk.
void Stepd::WriteStatus(const StepResult& result) {
  if (!status_file_) return;
  std::string bytes = Encode(result);
  ssize_t wrote = ::pwrite(status_file_.get(), bytes.data(), bytes.size(), 0);
  if (wrote == static_cast<ssize_t>(bytes.size())) return;
  Log(Level::kError, "the result cannot be kept beside the socket", {{"step", ToString(result.step)}});
}

}  // namespace slipway
