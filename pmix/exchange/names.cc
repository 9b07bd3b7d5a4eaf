// SPDX-License-Identifier: Apache-2.0
#include "pmix/exchange/names.h"

#include <algorithm>

namespace slipway {

bool NameDirectory::Sees(const NameRequest& asker, const NameRequest& name) {
  if (asker.key != name.key) return false;
  switch (name.range) {
    case NameRange::kNode:
      return asker.node == name.node;
    case NameRange::kWorld:
      return asker.world == name.world;
    case NameRange::kRank:
      return asker.world == name.world && asker.publisher == name.publisher;
    default:
      return true;
  }
}

std::list<NameRequest>::iterator NameDirectory::Seen(const NameRequest& asker) {
  return std::find_if(names_.begin(), names_.end(), [&](auto& name) { return Sees(asker, name); });
}

void NameDirectory::Remove(std::list<NameRequest>::iterator at) {
  bytes_ -= at->key.size() + at->value.size();
  names_.erase(at);
}

void NameDirectory::Handle(NameRequest request, Exchange::Reply reply) {
  switch (request.kind) {
    case NameRequest::kPublish:
      return Publish(std::move(request), reply);
    case NameRequest::kLookup:
      return Lookup(std::move(request), std::move(reply));
    case NameRequest::kUnpublish:
      return Unpublish(request, reply);
    case NameRequest::kForget:
      Forget(request);
      return reply(std::string());
    case NameRequest::kGiveUp:
      StopWaiting(
          [&](const NameRequest& waits) {
            return waits.world == request.world && waits.publisher == request.publisher &&
                   waits.lookup == request.lookup && waits.lookup != 0;
          },
          "it was given up");
      return reply(std::string());
    case NameRequest::kForgetWorld:
      ForgetWorld(request.world);
      return reply(std::string());
  }
  reply(Fail(Code::kInvalidArgument, "not a request about names"));
}

void NameDirectory::Publish(NameRequest request, const Exchange::Reply& reply) {
  if (Seen(request) != names_.end())
    return reply(Fail(Code::kAlreadyExists, "the name ", request.key.substr(0, 80), " is published already"));
  std::size_t bytes = request.key.size() + request.value.size();
  if (names_.size() >= kNamesMax || bytes_ + bytes > kNameBytesMax)
    return reply(Fail(Code::kResourceExhausted, "this step has published more than is kept"));
  bytes_ += bytes;
  auto name = names_.insert(names_.end(), std::move(request));
  reply(std::string());
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    if (!Sees(at->request, *name)) {
      ++at;
      continue;
    }
    Exchange::Reply waiting = std::move(at->reply);
    at = waiters_.erase(at);
    waiting(name->value);
    if (name->life == NameLife::kFirstRead) return Remove(name);
  }
}

void NameDirectory::Lookup(NameRequest request, Exchange::Reply reply) {
  auto name = Seen(request);
  if (name != names_.end()) {
    std::string value = name->value;
    if (name->life == NameLife::kFirstRead) Remove(name);
    return reply(std::move(value));
  }
  if (!request.wait || waiters_.size() >= kNamesMax)
    return reply(Fail(Code::kNotFound, "no such name: ", request.key.substr(0, 80)));
  waiters_.push_back({std::move(request), std::move(reply)});
}

// Only who published a name takes it back; without a name, all of his.
void NameDirectory::Unpublish(const NameRequest& request, const Exchange::Reply& reply) {
  bool any = false;
  for (auto at = names_.begin(); at != names_.end();) {
    auto next = std::next(at);
    bool own = at->world == request.world && at->publisher == request.publisher;
    if (own && (request.key.empty() || at->key == request.key)) {
      Remove(at);
      any = true;
    }
    at = next;
  }
  if (any || request.key.empty()) return reply(std::string());
  reply(Fail(Code::kNotFound, "no such name: ", request.key.substr(0, 80)));
}

void NameDirectory::ForgetWorld(const std::string& world) {
  for (auto at = names_.begin(); at != names_.end();) {
    auto next = std::next(at);
    if (at->world == world && at->life == NameLife::kWorld) Remove(at);
    at = next;
  }
}

void NameDirectory::ForgetStepd(std::uint32_t step, std::uint32_t node) {
  for (auto at = names_.begin(); at != names_.end();) {
    auto next = std::next(at);
    if (at->step == step && at->node == node) Remove(at);
    at = next;
  }
  std::erase_if(waiters_,
                [&](auto& waiter) { return waiter.request.step == step && waiter.request.node == node; });
}

void NameDirectory::Forget(const NameRequest& request) {
  auto theirs = [&](const NameRequest& it) {
    return it.world == request.world && it.publisher == request.publisher;
  };
  for (auto at = names_.begin(); at != names_.end();) {
    auto next = std::next(at);
    if (theirs(*at) && at->life == NameLife::kRank) Remove(at);
    at = next;
  }
  StopWaiting(theirs, "who asked has ended");
}

void NameDirectory::StopWaiting(const std::function<bool(const NameRequest& waits)>& who, const char* why) {
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    if (!who(at->request)) {
      ++at;
      continue;
    }
    Exchange::Reply waiting = std::move(at->reply);
    at = waiters_.erase(at);
    waiting(Fail(Code::kCancelled, why));
  }
}

}  // namespace slipway
