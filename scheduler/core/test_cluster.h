// SPDX-License-Identifier: Apache-2.0
// A cluster for tests of the core: a controller, nodes that do exactly what a test says, and a log, so that a
// promise can be tested in five lines. Everything is committed at once.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/core/apply.h"
#include "scheduler/core/controller.h"

namespace slipway::scheduler {

inline JobSpec SmallJob(std::uint32_t tasks = 1) {
  JobSpec spec;
  spec.name = "small";
  spec.user = {20001, 20001, {20001}, "alice", "/home/alice", "/bin/sh"};
  spec.resources.tasks = tasks;
  spec.command.script = "#!/bin/sh\ntrue\n";
  return spec;
}

inline JobSpec WideJob(std::uint32_t nodes, std::uint32_t tasks) {
  JobSpec spec = SmallJob(tasks);
  spec.resources.nodes_min = nodes;
  return spec;
}

inline JobSpec LaunchJob(std::uint32_t nodes, std::uint32_t tasks) {
  JobSpec spec = WideJob(nodes, tasks);
  spec.command.script.clear();
  spec.command.argv = {"hello"};
  spec.interactive = true;
  return spec;
}

class TestCluster {
 public:
  explicit TestCluster(std::uint32_t nodes, std::uint32_t cores = 4, std::uint64_t memory_bytes = 8 << 20,
                       Site site = {}, std::uint32_t array_window = 256,
                       std::shared_ptr<const Localities> localities = nullptr)
      : site_(std::make_shared<const Site>(std::move(site))),
        array_window_(array_window),
        localities_(std::move(localities)) {
    CHECK(CheckSite(*site_).has_value());
    controller_ = Make(State{});
    Run(controller_->Begin(1, now));
    for (std::uint32_t i = 1; i <= nodes; ++i) {
      facts_[NodeName(i)] = NodeFacts{.cores = cores, .memory_bytes = memory_bytes};
      Register(NodeName(i));
    }
  }

  static std::string NodeName(std::uint32_t i) { return Cat('n', i); }

  void Do(const Input& input) {
    Run(controller_->Handle(input, now));
    while (timer_ && *timer_ <= now) {
      timer_.reset();
      Run(controller_->Handle(Tick{}, now));
    }
  }
  void Pass(std::int64_t seconds) {
    now = now.PlusSeconds(seconds);
    Do(Tick{});
  }

  Result<JobId> TrySubmit(JobSpec spec) {
    Do(SubmitJob{{1}, std::move(spec)});
    if (!answer) return Failure(answer.error());
    return std::get<JobAccepted>(*answer).job;
  }
  JobId Submit(JobSpec spec) {
    Result<JobId> id = TrySubmit(std::move(spec));
    CHECK(id.has_value());
    return *id;
  }
  Result<StepId> TryStep(JobId job, Resources resources, std::uint32_t uid = 20001) {
    CreateStep input{{1}, job, {uid, false}, {}, resources, 0};
    input.command.argv = {"work"};
    Do(input);
    if (!answer) return Failure(answer.error());
    return std::get<StepAccepted>(*answer).step;
  }

  void Register(const std::string& node, const std::string& boot = "boot-1", std::vector<StepId> steps = {}) {
    Do(RegisterNode{node, ++session_, facts_[node], boot, "", {}, std::move(steps)});
  }
  void Lose(const std::string& node) { Do(LoseNode{node, controller_->SessionOf(node)}); }

  StepId PrimaryOf(JobId job) const { return {job, Of(job).attempt, Of(job).steps.front().number}; }
  void Started(const StepId& step, const std::string& node) {
    Report(step, node, ReportKind::kStarted, 0, EndReason::kNone);
  }
  void Ended(const StepId& step, const std::string& node, std::int32_t exit_code = 0,
             EndReason reason = EndReason::kExited) {
    Report(step, node, ReportKind::kEnded, exit_code, reason);
  }
  // The primary step runs through on all its nodes, and the nodes confirm that the job is gone.
  void Finish(JobId job, std::int32_t exit_code = 0) {
    StepId step = PrimaryOf(job);
    std::vector<StepNode> parts = Of(job).steps.front().nodes;
    for (const StepNode& part : parts) Started(step, part.node);
    for (const StepNode& part : parts) Ended(step, part.node, exit_code);
    ReleaseAll(job);
  }
  void ReleaseAll(JobId job) {
    std::uint32_t attempt = Of(job).attempt;
    std::vector<NodeAllocation> nodes = Of(job).nodes;
    for (const NodeAllocation& held : nodes)
      Do(JobReleased{held.node, controller_->SessionOf(held.node), job, attempt});
  }

  const Job& Of(JobId job) const {
    const Job* found = state().FindJob(job);
    CHECK(found != nullptr);
    return *found;
  }
  std::string StateOf(JobId job) const { return std::string(JobStateName(Of(job).state)); }
  std::string NodesOf(JobId job) const {
    std::string text;
    for (const NodeAllocation& held : Of(job).nodes)
      text += Cat(text.empty() ? "" : " ", held.node, ':', held.tasks);
    return text;
  }
  const State& state() const { return controller_->state(); }
  Controller& controller() { return *controller_; }

  // How often a message that reads so was sent to the node.
  std::size_t Sent(const std::string& node, const std::string& text) const {
    return static_cast<std::size_t>(std::ranges::count_if(sent, [&](const Send& send) {
      return send.node == node && Describe(send.message).starts_with(text);
    }));
  }

  // The settings are others from the next Restart on.
  void SetSite(Site site) { site_ = std::make_shared<const Site>(std::move(site)); }

  // A controller that has forgotten everything but the log takes over. Nodes have to register again.
  void Restart() {
    State replayed;
    for (const std::string& record : log) {
      Result<Event> event = DecodeEvent(record);
      CHECK(event.has_value());
      Apply(replayed, *event);
    }
    CHECK(EncodeState(replayed) == EncodeState(state()));
    std::uint64_t epoch = replayed.epoch + 1;
    controller_ = Make(std::move(replayed));
    timer_.reset();
    Run(controller_->Begin(epoch, now));
  }

  Time now{1'700'000'000'000'000};
  StepFacts facts;               // of the next reports
  std::vector<std::string> log;  // records
  std::vector<Send> sent;
  Result<Answer> answer = Done{};

 private:
  void Report(const StepId& step, const std::string& node, ReportKind kind, std::int32_t exit_code,
              EndReason reason) {
    now.us += 1000;
    Do(StepReport{
        node, controller_->SessionOf(node), ++seq_, step, kind, exit_code, reason, "", now, {}, facts});
  }
  void Run(std::vector<Effect> effects) {
    for (Effect& effect : effects) {
      if (auto* persist = std::get_if<Persist>(&effect)) {
        for (const Event& event : persist->events) log.push_back(EncodeEvent(event));
      } else if (auto* send = std::get_if<Send>(&effect)) {
        sent.push_back(std::move(*send));
      } else if (auto* reply = std::get_if<Reply>(&effect)) {
        answer = std::move(reply->answer);
      } else {
        timer_ = std::get<StartTimer>(effect).at;
      }
    }
  }

  std::unique_ptr<Controller> Make(State state) const {
    return std::make_unique<Controller>(
        std::move(state),
        ControllerOptions{.site = site_, .array_window = array_window_, .localities = localities_});
  }

  std::shared_ptr<const Site> site_;
  std::uint32_t array_window_;
  std::shared_ptr<const Localities> localities_;
  std::unique_ptr<Controller> controller_;
  std::map<std::string, NodeFacts> facts_;
  std::optional<Time> timer_;
  std::uint64_t session_ = 0, seq_ = 0;
};

}  // namespace slipway::scheduler
