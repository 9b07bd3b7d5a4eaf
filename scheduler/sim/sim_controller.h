// SPDX-License-Identifier: Apache-2.0
// One life of the controller process: from replay to a kill that may come between any two effects.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/loop/sim_loop.h"
#include "scheduler/core/controller.h"
#include "scheduler/store/executor.h"
#include "scheduler/store/fault_store.h"

namespace slipway::scheduler {

// What the process does to the world.
class ControllerSurroundings {
 public:
  virtual ~ControllerSurroundings() = default;
  virtual void ToNode(const Send& send) = 0;
  virtual void ToClient(const Reply& reply) = 0;
  virtual void OnCommitted(const Event& event) = 0;
  virtual void OnControllerDead(const std::string& why) = 0;  // called once; the process is destroyed later
};

// What a model of a node takes to end a step.
inline constexpr std::int64_t kChaosLeaseEnd_s = 2;

class SimController final : public EffectSink {
 public:
  SimController(FaultStore& store, SimLoop& loop, ControllerSurroundings& world, Replayed replayed,
                Epoch epoch, std::shared_ptr<const Site> site, std::unique_ptr<Policy> policy);

  void Start();
  void Do(const Input& input);
  // Dies just before its `n`th effect from now.
  void KillBeforeEffect(std::uint64_t n) { effects_left_ = n; }
  void Die(const std::string& why);
  bool dead() const { return dead_; }
  const Controller& controller() const { return controller_; }
  Executor& executor() { return executor_; }

  void OnSend(const Send& send) override;
  void OnReply(const Reply& reply) override;
  void OnTimer(Time at) override;
  void OnCommitted(const std::vector<Event>& events) override;
  void OnStoreFailed(const Error& error) override { Die(error.message); }
  void OnNoSnapshot(const Error& error) override { Die(error.message); }

 private:
  bool Alive();
  void Run(std::vector<Effect> effects);
  Time Clock() const;

  SimLoop& loop_;
  ControllerSurroundings& world_;
  Epoch epoch_;
  Controller controller_;
  Executor executor_;
  Loop::TimerId timer_;
  std::uint64_t effects_left_ = UINT64_MAX;
  bool dead_ = false;
};

}  // namespace slipway::scheduler
