// SPDX-License-Identifier: Apache-2.0
// All steps of this node that the controller has not acknowledged as ended. StepMachine decides, this
// performs: asks the broker, talks to the stepds, carries output, input, signals and exchange between them
// and the rest of the agent.
//
// Loop's thread only. The broker comes and goes (SetBroker); until it is there, steps that need it wait.
// Destroying the table leaves every step as it is: the next table finds them by the broker's list
// (Reconcile).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/steps/held_frames.h"
#include "agent/steps/plan.h"
#include "agent/steps/step_machine.h"
#include "agent/steps/stepd_link.h"
#include "base/loop/loop.h"
#include "launcher/client/broker_client.h"

namespace slipway {

struct StepTableEvents {
  std::function<void(const StepNews&)> report;
  std::function<void(StepOutput, const StepId&)> output;  // to the controller; at most 64 KiB a piece
  std::function<bool(const std::string& digest)> image_held;
  std::function<void(const std::string& digest, std::uint64_t bytes, std::function<void(Result<>)> done)>
      want_image;
  // A step is about to run, or was found running; and what was metered of it since, once it has ended
  // (agent/meter). May be null.
  std::function<void(const StepId&, const std::vector<std::string>& gpus)> began;
  std::function<MeteredUse(const StepId&, std::uint64_t cpu_us)> ended;
  // To the agent of `known.nodes[to_node]`; may lose. Who sends it is filled in there.
  std::function<void(const KnownStep& known, std::uint32_t to_node, PeerWord word)> to_peer;
  // To another step of the job, on that node; likewise.
  std::function<void(const std::string& node, const std::string& address, const StepId& to, PeerWord word)>
      to_step;
};

class StepTable {
 public:
  StepTable(Loop& loop, std::string state_dir, StepTableEvents events);
  ~StepTable();
  StepTable(const StepTable&) = delete;
  StepTable& operator=(const StepTable&) = delete;

  // Borrowed until it is replaced; null: lost. After a new one, Reconcile must follow with its list.
  void SetBroker(BrokerClient* broker, std::string run_dir);
  void Reconcile(const std::vector<StepRecord>& listed);
  void OnGone(const StepGone& gone);

  void Launch(LaunchPlan plan);
  // A launch that could not even be read, or that the node is not fit for.
  void Refuse(const StepId& step, const std::string& reason, StepNews::End end = StepNews::kLaunchFailed);
  void Kill(const StepId& step, const std::string& reason);
  // The controller has answered what was sent then (CLOCK_BOOTTIME): so much longer may what has a lease run.
  // 0: not known yet. The broker ends what is not renewed.
  void SetHeard(std::uint64_t boot_ms);
  bool any_leased() const;
  // Ends what is left of that attempt, then has the broker let the job's namespaces go; `done` may never come
  // (the broker is away): the controller asks again. A launch of it that comes late is refused.
  void EndJob(std::uint64_t job, std::uint32_t attempt, std::function<void()> done);
  void Signal(const StepId& step, std::int32_t signal_number);
  void SignalBeforeLimit(const StepId& step, const StepLimitSignal& signal);  // likewise
  void Suspend(const StepId& step, bool suspended);  // is said again by the controller where it got lost
  void Input(const StepId& step, StepStdin input);
  void Credit(const StepId& step, std::uint32_t bytes);
  void Acknowledge(const StepId& step, std::uint64_t sequence);
  void FromPeer(const StepId& step, PeerWord word);
  void SetNode(std::string name) { node_ = std::move(name); }  // ours
  void PeerLost(const std::string& node, const std::string& reason);

  // What to register with. Then, once the controller hears us: SetConnected(true); output that waited goes
  // out, and the ends that waited behind it.
  std::vector<StepNews> Reports() const;
  void SetConnected(bool connected);
  void RepeatEnds();  // reports that nobody has acknowledged yet
  std::size_t size() const { return steps_.size(); }

 private:
  struct Entry {
    explicit Entry(StepId id) : machine(id) {}
    StepMachine machine;
    KnownStep known;
    std::optional<LaunchPlan> plan;  // until it has started
    std::unique_ptr<StepdLink> link;
    bool attached = false;  // stepd has answered; it may be told things
    bool frozen = false;    // by a SIGSTOP of ours
    Loop::TimerId timer, connect_timer, end_timer;
    std::deque<StepOutput> held_output;
    std::size_t held_bytes = 0;
    std::uint64_t output_allowed =
        0;  // bytes that the controller still takes on this stream of ours; never exceeded
    std::uint32_t stepd_owed = 0;  // bytes that have gone on, for which stepd has no new credit yet
    bool end_waits = false;        // its end is reported once its output is out
    bool metering = false;         // `began` was told, `ended` is to be
    MeteredUse metered;
    std::deque<StepStdin> early_input;
    std::size_t early_input_bytes = 0;
    std::optional<MonotonicTime> staging_since, starting_since;
    std::vector<Lap> own_laps;          // "stage", "broker": what came before stepd's first
    std::set<std::uint32_t> exchanged;  // nodes we have sent frames to
    bool met = false;                   // it has turned to the job's batch step
  };
  using Effects = StepMachine::Effects;

  static StepNews NewsOf(const Entry& entry);
  void EndLap(Entry& entry, const char* name, std::optional<MonotonicTime>& since);
  Entry* Find(const StepId& step);
  Entry& Make(const StepId& step);
  void Perform(const StepId& step, Effects effects);
  void PerformOne(const StepId& step, Entry& entry, const StepEffect& effect);
  void AskBroker(const StepId& step, Entry& entry);
  void BeginMeter(const StepId& step, Entry& entry);
  void EndMeter(const StepId& step, Entry& entry);
  void Connect(const StepId& step);
  void Freeze(const StepId& step, Entry& entry, bool frozen);
  void CloseLink(Entry& entry);
  void ReadStatus(const StepId& step, Entry& entry);
  void Report(const StepId& step, Entry& entry);
  void TellPeersGone(Entry& entry, bool all);
  void Done(const StepId& step);
  Result<> OnFrame(const StepId& step, StepFrame kind, std::string_view payload);
  void OnAttached(const StepId& step, Entry& entry, const StepState& state);
  void OnOutput(const StepId& step, Entry& entry, StepOutput output);
  void SendOutput(const StepId& step, Entry& entry);
  static void DropOutput(Entry& entry);
  Result<> OnExchange(const StepId& step, Entry& entry, std::string_view payload);
  Result<> OnRendezvous(Entry& entry, std::string_view payload);
  void ToStep(const Entry& from, std::size_t job_node, std::uint32_t step, PeerWord word);
  void FromStep(const StepId& step, PeerWord word);
  void RendezvousLost(Entry& entry, const std::string& node, const std::string& reason);
  void Deliver(Entry& entry, PeerWord word);
  void ArmHeldTimer();
  void CarryOutEnds();
  std::uint64_t LeaseEnd(const Entry& entry) const;  // CLOCK_BOOTTIME; 0: it has none, or it is not known
  void RenewLeases();
  std::string StepDir(const StepId& step) const { return Cat(run_dir_, "/steps/", ToString(step)); }
  std::int64_t NowMs() const;
  template <class Call>
  auto Guarded(Call call);  // a callback that does nothing once the table is gone

  Loop& loop_;
  KnownSteps known_steps_;
  StepTableEvents events_;
  std::string node_;
  BrokerClient* broker_ = nullptr;
  std::uint64_t broker_generation_ = 0;
  std::string run_dir_;
  bool connected_ = false;
  std::uint64_t heard_boot_ms_ = 0;
  std::map<StepId, std::unique_ptr<Entry>> steps_;
  using JobAttempt = std::pair<std::uint64_t, std::uint32_t>;
  std::map<JobAttempt, std::function<void()>> ending_;  // EndJob was asked for, steps of it are left
  std::map<std::uint64_t, std::uint32_t> ended_jobs_;   // the newest, with the highest attempt that has ended
  HeldFrames held_;
  Loop::TimerId held_timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace slipway
