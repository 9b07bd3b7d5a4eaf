// SPDX-License-Identifier: Apache-2.0
#include "scheduler/sim/sim_controller.h"

#include <chrono>

namespace slipway::scheduler {

using std::chrono::microseconds;

SimController::SimController(FaultStore& store, SimLoop& loop, ControllerSurroundings& world,
                             Replayed replayed, Epoch epoch, std::shared_ptr<const Site> site,
                             std::unique_ptr<Policy> policy)
    : loop_(loop),
      world_(world),
      epoch_(epoch),
      controller_(
          std::move(replayed.state),
          ControllerOptions{.site = std::move(site), .array_window = 2, .lease_end_s = kChaosLeaseEnd_s},
          std::move(policy)),
      executor_(store, *this, epoch, replayed.revision) {}

Time SimController::Clock() const {
  return {std::chrono::duration_cast<microseconds>(loop_.WallNow().time_since_epoch()).count()};
}

void SimController::Start() { Run(controller_.Begin(epoch_, Clock())); }

void SimController::Do(const Input& input) {
  if (!dead_) Run(controller_.Handle(input, Clock()));
}

void SimController::Run(std::vector<Effect> effects) {
  for (Effect& effect : effects) {
    if (dead_ || (std::holds_alternative<Persist>(effect) && !Alive())) return;
    std::vector<Effect> one;
    one.push_back(std::move(effect));
    executor_.Run(std::move(one));
  }
}

bool SimController::Alive() {
  if (dead_) return false;
  if (effects_left_ != UINT64_MAX && effects_left_-- == 0) Die("killed between two effects");
  return !dead_;
}

void SimController::Die(const std::string& why) {
  if (dead_) return;
  dead_ = true;
  loop_.Cancel(timer_);
  world_.OnControllerDead(why);
}

void SimController::OnSend(const Send& send) {
  if (Alive()) world_.ToNode(send);
}

void SimController::OnReply(const Reply& reply) {
  if (Alive()) world_.ToClient(reply);
}

void SimController::OnTimer(Time at) {
  if (dead_) return;
  loop_.Cancel(timer_);
  timer_ = loop_.After(microseconds(at.us - Clock().us), [this] { Do(Tick{}); });
}

void SimController::OnCommitted(const std::vector<Event>& events) {
  if (dead_) return;
  for (const Event& event : events) world_.OnCommitted(event);
}

}  // namespace slipway::scheduler
