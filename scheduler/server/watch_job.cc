// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/watch_job.h"

#include "api/status.h"
#include "scheduler/server/fill_job.h"
#include "scheduler/server/head.h"
#include "scheduler/server/outbox.h"
#include "scheduler/server/watcher_slot.h"

namespace slipway::scheduler {
namespace {

class WatchStream final : public grpc::ServerWriteReactor<v1::Job> {
 public:
  WatchStream(ServiceContext& context, Result<Requester> by, JobId job)
      : context_(context),
        slot_(context),
        outbox_([this](const v1::Job* message) { StartWrite(message); },
                [this](const Result<>& how) { Finish(how ? grpc::Status::OK : ToStatus(how.error())); }) {
    if (by) by_ = *by;
    context_.loop.Post([this, by = std::move(by), job] {
      if (!by) return outbox_.Finish(Failure(by.error()));
      if (auto room = slot_.Check(); !room) return outbox_.Finish(room);
      job_ = job;
      watch_ = context_.head.Watch(job, [this] { Changed(); });
      ShowSoon();
    });
  }
  void OnWriteDone(bool ok) override {
    context_.loop.Post([this, ok] { outbox_.Written(ok); });
  }
  void OnCancel() override {
    context_.loop.Post([this] { outbox_.Abort(Error{Code::kCancelled, 0, "cancelled"}); });
  }
  void OnDone() override {
    context_.loop.Post([this] {
      context_.loop.Cancel(quiet_);
      context_.head.Unwatch(watch_);
      *alive_ = false;
      delete this;
    });
  }

 private:
  void Changed() {
    Duration quiet = kBusyToldEvery - (context_.loop.Now() - shown_);
    if (quiet <= Duration(0) || !Busy()) return ShowSoon();
    if (std::exchange(waits_, true)) return;
    quiet_ = context_.loop.After(quiet, [this] { ShowSoon(); });
  }
  bool Busy() const {
    const auto& arrays = context_.head.state().arrays;
    if (auto array = arrays.find(job_); array != arrays.end())
      return array->second.ended < array->second.tasks;
    const Job* job = context_.head.state().FindJob(job_);
    return job != nullptr && job->state == JobState::kRunning && job->steps.size() > kStepsToldEach;
  }
  void ShowSoon() {
    context_.loop.Cancel(quiet_);
    waits_ = false;
    if (std::exchange(asked_, true)) return;
    context_.head.AfterCommit([this, alive = alive_] {
      if (!*alive) return;
      asked_ = false;
      if (outbox_.closed()) return;
      if (outbox_.size() > 1) {
        stale_ = true;
        return;
      }
      Show();
    });
  }
  void Show() {
    shown_ = context_.loop.Now();
    v1::Job job;
    auto filled = FillJob(context_.head, job_, by_, &job);
    if (!filled) return outbox_.Finish(filled);
    bool ended = job.ended();
    outbox_.Send(std::move(job), [this] {
      if (std::exchange(stale_, false)) Show();
    });
    if (ended) outbox_.Finish({});
  }
  ServiceContext& context_;
  WatcherSlot slot_;
  Outbox<v1::Job> outbox_;
  Requester by_;
  JobId job_;
  std::uint64_t watch_ = 0;
  MonotonicTime shown_{};
  Loop::TimerId quiet_;
  bool waits_ = false;  // for quiet_
  bool asked_ = false, stale_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

grpc::ServerWriteReactor<v1::Job>* WatchJob(ServiceContext& context, Result<Requester> by, JobId job) {
  return new WatchStream(context, std::move(by), job);
}

}  // namespace slipway::scheduler
