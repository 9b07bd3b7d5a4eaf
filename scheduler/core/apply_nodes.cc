// SPDX-License-Identifier: Apache-2.0
// Nodes come, go silent, are drained and declared down; images come and go with them.
#include <algorithm>

#include "scheduler/core/applier.h"
#include "scheduler/core/derived.h"

namespace slipway::scheduler {

void Applier::operator()(const EpochBegan& e) {
  state_.epoch = std::max(state_.epoch, e.epoch);
  for (auto& [name, node] : state_.nodes) {
    if (node.state == NodeState::kUp) SetState(node, NodeState::kUnknown);
  }
}

void Applier::operator()(const NodeRegistered& e) {
  Node& node = state_.nodes[e.node];
  bool rebooted = node.boot_id != e.boot_id;
  node.name = e.node;
  node.facts = e.facts;
  node.boot_id = e.boot_id;
  node.address = e.address;
  node.images = {e.images.begin(), e.images.end()};
  // A node that was declared down and did not reboot may still run what we gave up: an administrator
  // resumes it.
  if (node.state != NodeState::kDown || rebooted) SetState(node, NodeState::kUp);
  RefreshFree(node);
}

void Applier::operator()(const NodeLost& e) {
  Node* node = FindNode(e.node);
  if (node != nullptr && node->state == NodeState::kUp) SetState(*node, NodeState::kUnknown);
}

void Applier::operator()(const NodeDrained& e) {
  Node* node = FindNode(e.node);
  if (node == nullptr) return;
  node->drained = true;
  node->reason = e.reason;
  node->since = at_;
}

void Applier::operator()(const NodeResumed& e) {
  Node* node = FindNode(e.node);
  if (node == nullptr) return;
  node->drained = false;
  node->reason.clear();
  node->since = at_;
  if (node->state == NodeState::kDown) SetState(*node, e.connected ? NodeState::kUp : NodeState::kUnknown);
}

void Applier::operator()(const NodeDeclaredDown& e) {
  Node* node = FindNode(e.node);
  if (node == nullptr) return;
  node->reason = e.reason;
  SetState(*node, NodeState::kDown);
}

void Applier::operator()(const ImageStaged& e) {
  Node* node = FindNode(e.node);
  if (node != nullptr) node->images.insert(e.digest);
}

void Applier::operator()(const ImageDropped& e) {
  Node* node = FindNode(e.node);
  if (node != nullptr) node->images.erase(e.digest);
}

void Applier::SetState(Node& node, NodeState state) {
  if (node.state == state) return;
  node.state = state;
  node.since = at_;
}

}  // namespace slipway::scheduler
