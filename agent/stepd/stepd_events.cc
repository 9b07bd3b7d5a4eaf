// SPDX-License-Identifier: Apache-2.0
// What the container's init, the agent and the other nodes tell a running step.
#include <unistd.h>

#include <csignal>

#include "agent/stepd/stepd.h"
#include "agent/stepd/usage.h"
#include "base/log/log.h"
#include "base/os/process.h"
#include "base/text/text.h"
#include "base/text/units.h"

namespace slipway {
InitLink::Events Stepd::InitEvents() {
  return {
      .ready = [this](InitReady ready) { OnReady(std::move(ready)); },
      .started = [this](std::uint32_t task) { outcome_.RankStarted(LocalRanks()[task]); },
      // Posted: what the rank said to libpmix before it ended is in the loop's queue already and comes first.
      .exited =
          [this](std::uint32_t task, std::int32_t wait_status) {
            loop_.Post([this, task, wait_status] { OnRankExited(task, wait_status); });
          },
      .added_started =
          [this](TaskStarted started) {
            if (started.task < kSpawnedTaskFirst) return visitors_.OnStarted(started);
            if (meeting_.is_rendezvous()) return;
            spawner_.OnStarted(started.task);
          },
      .added_exited =
          [this](TaskExited exited) {
            if (exited.task < kSpawnedTaskFirst) return visitors_.OnExited(exited);
            if (meeting_.is_rendezvous())
              return meeting_.OnTaskEnded(exited.task, ExitStatus{exited.wait_status}.exit_code());
            spare_.Return(exited.task);
            loop_.Post([this, exited] { spawner_.OnExited(exited.task, exited.wait_status); });
          },
      .added_failed =
          [this](TaskFailed failed) {
            if (failed.task < kSpawnedTaskFirst) return visitors_.OnFailed(failed);
            if (meeting_.is_rendezvous()) return meeting_.OnTaskEnded(failed.task, failed.exit_code);
            spare_.Return(failed.task);
            spawner_.OnNotStarted(failed);
          },
      .failed = [this](InitFailed failed) { FailStep(failed.exit_code, failed.message); },
      .warning = [this](std::string line) { Warn(line); },
      .gone = [this](std::string why) { loop_.Post([this, why = std::move(why)] { OnInitGone(why); }); },
  };
}

AgentLink::Events Stepd::AgentEvents() {
  return {
      .attached = [this] { OnAgentAttached(); },
      .detached = [this] { output_.Detach(); },
      .frame = [this](StepFrame kind, std::string_view payload) { return OnAgentFrame(kind, payload); },
  };
}

Door::Events Stepd::DoorEvents(uid_t agent_uid) {
  return {
      .may_enter =
          [agent_uid](const PeerIdentity& peer) {
            if (peer.uid == agent_uid || peer.uid == ::geteuid()) return true;
            Log(Level::kWarn, "a stranger connected to the step's socket", {{"uid", peer.uid}});
            return false;
          },
      .opened = [this](Opening opening) { OnDoor(std::move(opening)); },
  };
}

// The step's user may bring a process of his (`slipway exec --job`).
void Stepd::OnDoor(Opening opening) {
  auto step_frame = SplitFrame<StepFrame>(opening.frame);
  if (step_frame && step_frame->kind == StepFrame::kAttach) return agent_.Adopt(std::move(opening));
  auto frame = SplitFrame<TaskFrame>(opening.frame);
  if (!frame || frame->kind != TaskFrame::kRun)
    return Log(Level::kWarn, "a connection that began with neither kAttach nor kRun was let go");
  if (opening.peer.uid != ::geteuid()) return Visitors::TurnAway(opening, "this is another user's job");
  if (init_gone_ || taking_down_) return Visitors::TurnAway(opening, "the step has ended on this node");
  if (!ready_) return Visitors::TurnAway(opening, "the step's container does not stand yet; try again");
  visitors_.Admit(std::move(opening));
}

ExchangeCallbacks Stepd::ExchangeEvents() {
  return {
      // What is lost while no agent is there is sent again when one attaches.
      .send =
          [this](std::uint32_t node, std::string bytes) {
            agent_.SendSoon(StepFrame::kExchangeOut, StepExchange{node, std::move(bytes)});
          },
      .serve =
          [this](std::uint32_t node, Service service, std::string data, Exchange::Reply reply) {
            Serve(node, service, data, [this, reply = std::move(reply)](Result<std::string> answer) {
              reply(std::move(answer));
              ArmExchangeTick();
            });
          },
      .step_failed =
          [this](std::uint32_t, std::int32_t exit_code, std::string reason) {
            // Ranks of other nodes abort because one of ours has died: what our init has said of it already,
            // and is read in the same turn of the loop, is the cause and comes first.
            loop_.After(std::chrono::nanoseconds(0), [this, exit_code, reason = std::move(reason)] {
              loop_.Post([this, exit_code, reason] {
                if (!result_ && outcome_.Fail(exit_code, reason))
                  TakeDown(std::chrono::seconds(spec_.kill_grace_s));
              });
            });
          },
  };
}

void Stepd::OnAgentAttached() {
  agent_.Send(StepFrame::kState,
              StepState{.step = spec_.step, .phase = phase_, .laps = laps_, .binding = spec_.binding});
  std::vector<std::string> warnings;
  warnings.swap(warnings_waiting_);
  for (const std::string& line : warnings) Warn(line);
  exchange_.Resend();
  meeting_.Resend();
  output_.Attach();
  SendResult();
}

void Stepd::OnPeerGone(const StepPeerGone& gone) {
  if (gone.node >= spec_.nodes.size() || gone.node == spec_.node_index) return;
  if (!gone.ends_told && !spec_.kill_on_bad_exit) GoOnWithoutNode(gone);
  exchange_.PeerGone(gone.node, gone.reason);
  spawner_.OnPeerGone(gone.node);
  ArmExchangeTick();
}

Result<> Stepd::OnAgentFrame(StepFrame kind, std::string_view payload) {
  switch (kind) {
    case StepFrame::kExchangeIn: {
      auto exchange = TRY(Decode<StepExchange>(payload, "exchange"));
      auto delivered = exchange_.Deliver(exchange.node, exchange.bytes);
      if (!delivered) Warn(Cat("a frame of another node was ignored: ", delivered.error().message));
      ArmExchangeTick();
      return {};
    }
    case StepFrame::kPeerGone: {
      auto gone = TRY(Decode<StepPeerGone>(payload, "peer gone"));
      OnPeerGone(gone);
      return {};
    }
    case StepFrame::kRendezvousIn: {
      auto word = TRY(Decode<StepRendezvous>(payload, "rendezvous"));
      auto heard = meeting_.OnWord(word);
      if (!heard) Warn(Cat("a frame of another step was ignored: ", heard.error().message));
      return {};
    }
    case StepFrame::kSignal: {
      auto number = TRY(Decode<std::int32_t>(payload, "signal"));
      if (number < 1 || number > 64) return slipway::Fail(Code::kInvalidArgument, "signal ", number);
      if (launched_) init_.Signal(-1, number);
      return {};
    }
    case StepFrame::kLimitSignal: {
      auto order = TRY(Decode<StepLimitSignal>(payload, "signal before the limit"));
      if (order.signal_number < 1 || order.signal_number > 64)
        return slipway::Fail(Code::kInvalidArgument, "signal ", order.signal_number);
      SignalBeforeLimit(order);
      return {};
    }
    case StepFrame::kSuspend:
      Suspend(TRY(Decode<bool>(payload, "suspend")));
      return {};
    case StepFrame::kStdin: {
      auto input = TRY(Decode<StepStdin>(payload, "stdin"));
      if (input.resized) terminal_.Resize(input.terminal_size);
      if (spec_.interactive_stdin && !input_.Write(input.bytes, input.eof))
        Warn("rank 0 does not read its input: it is cut off here");
      return {};
    }
    case StepFrame::kCredit:
      output_.Grant(TRY(Decode<std::uint32_t>(payload, "credit")));
      return {};
    case StepFrame::kTerminate: {
      auto order = TRY(Decode<StepTerminate>(payload, "terminate"));
      Terminate(order.reason, std::chrono::seconds(order.grace_s));
      return {};
    }
    case StepFrame::kAcknowledge:
      if (result_) loop_.Stop();
      return {};
    default:
      return slipway::Fail(Code::kInvalidArgument, "the agent sent frame ", static_cast<int>(kind));
  }
}

void Stepd::OnReady(InitReady ready) {
  ready_ = true;
  MarkLap("container ready");
  for (Lap& lap : ready.laps) laps_.push_back({.name = Cat("of these: ", lap.name), .us = lap.us});
  bool demanded = spec_.mpi == MpiKind::kPmix || spec_.mpi == MpiKind::kPmi;
  EnterPhase(demanded ? StepPhase::kWiringUp : StepPhase::kRunning);
  loop_.Cancel(wireup_timer_);  // it bounded the nodes' agreement until now
  if (demanded) ArmWireupTimer();
}

// Why the kernel killed, if it did.
std::string Stepd::OutOfMemory() const {
  if (OutOfMemoryKills(ranks_cgroup_) == 0) return {};
  std::uint64_t peak = UsageOf(ranks_cgroup_).memory_peak_bytes;
  return Cat("OUT_OF_MEMORY: the job's memory on this node was used up (--mem)",
             peak == 0 ? "" : Cat("; at most ", FormatBytes(peak), " were in use"));
}

void Stepd::OnRankExited(std::uint32_t task, std::int32_t wait_status) {
  std::uint32_t rank = LocalRanks()[task];
  if (outcome_.Exited(rank)) return;
  // Mostly it is not the rank that the kernel chose but a child of it, whose death the rank then fails of.
  std::string why = wait_status == 0 ? std::string() : OutOfMemory();
  if (wait_status == 0 && left_in_fence_.contains(rank)) FailForEndInFence(rank);
  if (outcome_.RankExited(rank, wait_status, why)) {
    OnFirstFailure(spec_.kill_on_bad_exit);
  } else if (!outcome_.failed() && outcome_.LeftWithoutFinalize(rank)) {
    Warn(Cat("rank ", rank, " on ", spec_.nodes[spec_.node_index],
             " ended without having called MPI_Finalize"));
  }
  if (pmi_port_ && !pmi_port_->HasCome(rank)) pmi_->Gone(rank);
  ForgetNamesOf(nspace_, rank);
  TellOfEnd({nspace_, rank}, ExitStatus{wait_status}, outcome_.LeftWithoutFinalize(rank));
  OnRanksEnded();
}

// May come again.
void Stepd::OnRanksEnded() {
  MaybeFinish();
  if (ranks_ended_ || !outcome_.all_exited() || spawner_.running()) return;
  ranks_ended_ = true;
  MarkLap("all ranks ended");
  loop_.Cancel(limit_timer_);
  loop_.Cancel(wireup_timer_);
  loop_.Cancel(kill_timer_);
  // The init goes by itself then; one that does not is shown the door.
  kill_timer_ = loop_.After(std::chrono::seconds(5), [this] { init_.Close("it did not end"); });
}

void Stepd::OnInitGone(const std::string& why) {
  init_gone_ = true;
  visitors_.OnInitGone();
  loop_.Post([this] { spawner_.OnInitGone(); });
  if ((!outcome_.all_exited() || spawner_.running()) && !outcome_.failed()) {
    // Memory takes the whole step at once: nobody is left to say which rank it was.
    if (std::string memory = OutOfMemory(); !memory.empty()) {
      FailStep(128 + SIGKILL, memory);
    } else {
      FailStep(125,
               Cat("the container's init ended unexpectedly", why == "closed" ? "" : Cat(" (", why, ")")));
    }
  }
  loop_.Cancel(kill_timer_);
  output_.LastCall();
  MaybeFinish();
}

}  // namespace slipway
