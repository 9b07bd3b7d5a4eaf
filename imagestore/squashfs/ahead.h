// SPDX-License-Identifier: Apache-2.0
// Making an image is a row of steps, of which only compressing has threads of its own. Ahead puts a step into
// a thread that works ahead of who takes its results, bounded by the number of batches. Order is kept and an
// error comes after what was made before it, so the outcome is that of one thread.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/result/result.h"

namespace slipway::squashfs {

// Start, Take and the destructor: by one thread at a time. Batches are used again; whoever fills one empties
// it first.
template <class Batch>
class Ahead {
 public:
  // For the work, in its thread.
  class Giver {
   public:
    Batch& batch() { return ahead_.ring_[ahead_.given_ % ahead_.ring_.size()]; }  // to be filled
    // Hands the batch over and waits for the next free one. kCancelled: nobody takes any more; return it.
    Result<> Give() { return ahead_.Give(); }

   private:
    friend class Ahead;
    explicit Giver(Ahead& ahead) : ahead_(ahead) {}
    Ahead& ahead_;
  };
  using Work = std::function<Result<>(Giver&)>;

  // kResourceExhausted: no thread is to be had.
  static Result<std::unique_ptr<Ahead>> Start(std::size_t batches, Work work) {
    std::unique_ptr<Ahead> ahead(new Ahead(batches, std::move(work)));
    TRY(ahead->StartThread());
    return ahead;
  }
  // Waits for the work to meet its next Give, or its end.
  ~Ahead() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    room_.notify_one();
    if (thread_.joinable()) thread_.join();
  }
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;

  // Valid until the next call; null at the end. The work's error, once everything before it was taken; both
  // are answered as often as somebody asks.
  Result<Batch*> Take() {
    std::unique_lock lock(mutex_);
    if (holding_) ++taken_;
    holding_ = false;
    // Not for each single batch: a thread that is woken often is woken in vain.
    if (given_ - taken_ <= ring_.size() / 2) room_.notify_one();
    there_.wait(lock, [this] { return given_ > taken_ || ended_; });
    if (given_ > taken_) {
      holding_ = true;
      return &ring_[taken_ % ring_.size()];
    }
    if (failed_) return Failure(*failed_);
    return static_cast<Batch*>(nullptr);
  }

 private:
  Ahead(std::size_t batches, Work work) : work_(std::move(work)), ring_(batches) { CHECK(batches >= 2); }

  // Signals are for the threads that were there before.
  Result<> StartThread() {
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = true;
    try {
      thread_ = std::thread([this] { Run(); });
    } catch (const std::system_error&) {
      started = false;
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started ? Result<>() : Fail(Code::kResourceExhausted, "no more threads may be started");
  }

  void Run() {
    Giver giver(*this);
    auto done = work_(giver);
    std::lock_guard lock(mutex_);
    if (!done) failed_ = std::move(done).error();
    ended_ = true;
    there_.notify_one();
  }

  Result<> Give() {
    std::unique_lock lock(mutex_);
    ++given_;
    there_.notify_one();
    room_.wait(lock, [this] { return given_ - taken_ < ring_.size() || stopped_; });
    return stopped_ ? Fail(Code::kCancelled, "nobody takes any more") : Result<>();
  }

  Work work_;
  std::vector<Batch> ring_;
  std::mutex mutex_;
  std::condition_variable there_, room_;
  std::size_t given_ = 0, taken_ = 0;
  bool holding_ = false, ended_ = false, stopped_ = false;
  std::optional<Error> failed_;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace slipway::squashfs
