// SPDX-License-Identifier: Apache-2.0
// A job enters a node once, before the first of its steps, and leaves it once, when nothing of it is left:
// the node is looked at and the site's prolog runs before anything of the user does, the epilog after the
// last of it. A node that is unfit, or whose prolog fails, takes nothing: the job may run elsewhere.
//
// A prolog that was cut off by the agent's death runs again; one that was done does not, nor is an epilog
// forgotten: jobs that have entered are files of `state_dir`, until the node is rebooted. They run as the
// agent's user (decision 39).
//
// Loop's thread only. Callbacks may come from within the call.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/health/site_program.h"
#include "launcher/spec/step_id.h"

namespace slipway {

struct GateOptions {
  std::string prolog, epilog;  // paths; empty: none
  std::chrono::seconds timeout{300};
  std::string node, state_dir, boot_id;
};
struct EnteringJob {
  std::uint64_t job = 0;
  std::uint32_t attempt = 0, uid = 0, gid = 0;
  std::string user, cluster;
};

class JobGate {
 public:
  struct Events {
    // Looks at the node now; then the reason why it is unfit, or nothing.
    std::function<void(std::function<void(const std::string& reason)>)> look;
    std::function<void(const StepId& step, const std::string& reason)> refuse;  // NODE_UNFIT
    std::function<void(const std::string& reason)> drain;  // until an administrator resumes it
  };
  JobGate(Loop& loop, GateOptions options, Events events);

  // `start` once the job may start here. The same step again while it waits: nothing.
  void Enter(const EnteringJob& job, const StepId& step, std::function<void()> start);
  // What is meant for a step that waits comes behind its start. False: it does not wait.
  bool Hold(const StepId& step, std::function<void()> later);
  void DropHeld();  // of all steps
  // It is not to start any more.
  void Drop(const StepId& step);
  // Nothing of that attempt is left, and nothing more will come: `left` after its epilog. Asked again while
  // it runs: only the last `left` counts. Of a job that never entered: at once.
  void Leave(std::uint64_t job, std::uint32_t attempt, std::function<void()> left);
  // Steps of it were found running: it has entered.
  void Found(const StepId& step);

 private:
  using Attempt = std::pair<std::uint64_t, std::uint32_t>;
  struct Job {
    enum Where { kBefore, kInside, kLeaving } where = kBefore;
    EnteringJob who;
    std::map<StepId, std::vector<std::function<void()>>> waiting;  // its start, and what was held behind it
    std::function<void()> left;
  };
  std::string FileOf(const Attempt& attempt) const;
  void Looked(const Attempt& attempt, const std::string& reason);
  void Entered(const Attempt& attempt);
  void Refuse(const Attempt& attempt, const std::string& reason);
  void Left(const Attempt& attempt);
  void RunFor(const Attempt& attempt, const char* what, const std::string& program,
              std::function<void(const std::string& failure)> done);
  void KeepOutput(const Attempt& attempt, const char* what, const std::string& output) const;

  GateOptions options_;
  Events events_;
  std::map<Attempt, Job> jobs_;
  SitePrograms programs_;
};

}  // namespace slipway
