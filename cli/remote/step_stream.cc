// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/step_stream.h"

namespace slipway::cli {
namespace {

constexpr std::chrono::minutes kStreamPatience(10);  // the step runs on without a controller

}  // namespace

void StepStream::Use(Stream* stream) {
  std::lock_guard lock(mutex_);
  stream_ = stream;
}

bool StepStream::Send(v1::AttachInput message) {
  std::lock_guard lock(mutex_);
  return stream_ != nullptr && stream_->Write(message);
}

bool StepStream::Created() {
  std::lock_guard lock(mutex_);
  return step_.has_value();
}

std::uint32_t StepStream::WaitForStep() {
  std::unique_lock lock(mutex_);
  created_.wait(lock, [this] { return step_.has_value(); });
  return *step_;
}

v1::AttachInput StepStream::First() {
  v1::AttachInput first;
  std::lock_guard lock(mutex_);
  if (step_) {
    first.set_job_id(job_);
    first.set_step_id(*step_);
  } else {
    *first.mutable_create() = create_;
  }
  return first;
}

Result<> StepStream::Follow(const std::function<void(const v1::AttachOutput&)>& take,
                            const std::function<void()>& connected, v1::AttachOutput& last) {
  last.Clear();
  grpc::ClientContext call;
  TRY(cluster_.Authorize(call));
  auto stub = v1::Jobs::NewStub(cluster_.channel());
  auto stream = stub->Attach(&call);
  stream->Write(First());
  Use(stream.get());
  if (connected) connected();
  while (stream->Read(&last) && !last.ended()) {
    if (last.has_step_id()) {
      std::lock_guard lock(mutex_);
      step_ = last.step_id();
      created_.notify_all();
    }
    take(last);
  }
  Use(nullptr);
  if (last.ended()) {
    call.TryCancel();
    return {};
  }
  TRY(cluster_.Of(stream->Finish()));
  return Fail(Code::kUnavailable, "the controller let go of job ", job_);
}

Result<v1::AttachOutput> StepStream::Run(const std::function<void(const v1::AttachOutput&)>& take,
                                         const std::function<void()>& connected) {
  v1::AttachOutput last;
  Result<> ended;
  auto follow = [&] { return ended = Follow(take, connected, last); };
  // As long as any command waits for a controller; as for a step only when there is one.
  if (!Created()) TRY(cluster_.Persist([&] { return follow(), Created() ? Result<>() : ended; }));
  if (!ended || !last.ended()) TRY(cluster_.Persist(follow, kStreamPatience));
  return last;
}

}  // namespace slipway::cli
