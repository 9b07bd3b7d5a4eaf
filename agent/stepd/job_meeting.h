// SPDX-License-Identifier: Apache-2.0
// A stepd's way to the other steps of its job: over the batch step's, which is the rendezvous (decision 65).
// There this is the rendezvous itself, and starts the commands that make steps of other images.
//
// Loop's thread only; the world is in Host.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/stepd/image_launch.h"
#include "base/loop/loop.h"
#include "launcher/spec/step_protocol.h"
#include "pmix/exchange/rendezvous.h"

namespace slipway {

class JobMeeting {
 public:
  struct Host {
    std::function<void(StepRendezvous word)> send;  // to the agent
    // Of a member: what the rendezvous asks, and the step's own worlds as it knows them now.
    std::function<void(Service service, std::string data, Exchange::Reply reply)> serve;
    std::function<std::vector<JobWorld>()> worlds;
    // Of the batch step: a task in its container.
    std::function<Result<>(std::uint32_t task, const ImageLaunch& launch)> start;
    std::function<void(std::uint32_t task, int signal_number)> signal;
  };
  JobMeeting(Loop& loop, const StepSpec& spec, Host host);
  ~JobMeeting();
  JobMeeting(const JobMeeting&) = delete;
  JobMeeting& operator=(const JobMeeting&) = delete;

  bool is_member() const { return member_ != nullptr; }
  bool is_rendezvous() const { return rendezvous_ != nullptr; }

  // Of a member: the rendezvous knows this step's worlds before it reads the request.
  void Ask(Service service, std::string data, Exchange::Reply reply);
  // Of either: from the agent.
  Result<> OnWord(const StepRendezvous& word);
  void Resend();  // an agent has attached
  // Of the batch step: one of `start`'s has ended, or could not be started.
  void OnTaskEnded(std::uint32_t task, std::int32_t exit_code);

 private:
  Rendezvous::Host RendezvousHost();
  Result<> StartLaunch(std::uint64_t ticket, const JobLaunch& launch);
  void TellWorlds();
  void ArmTick();

  struct Task {
    std::uint64_t ticket = 0;
    Loop::TimerId limit;
  };
  void Stop(std::uint32_t task);

  Loop& loop_;
  const Host host_;
  std::unique_ptr<Exchange> member_;
  std::set<std::string> told_;  // worlds
  std::unique_ptr<Rendezvous> rendezvous_;
  std::map<std::uint32_t, Task> tasks_;
  std::uint32_t next_task_;
  Loop::TimerId tick_;
};

}  // namespace slipway
