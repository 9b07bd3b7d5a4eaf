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
  message.set_job_id(job_);
  message.set_step_id(step_);
  std::lock_guard lock(mutex_);
  return stream_ != nullptr && stream_->Write(message);
}

Result<v1::AttachOutput> StepStream::Run(const std::function<void(const v1::AttachOutput&)>& take,
                                         const std::function<void()>& connected) {
  auto stub = v1::Jobs::NewStub(cluster_.channel());
  v1::AttachOutput message;
  TRY(cluster_.Persist(
      [&]() -> Result<> {
        message.Clear();
        grpc::ClientContext call;
        TRY(cluster_.Authorize(call));
        auto stream = stub->Attach(&call);
        v1::AttachInput first;
        first.set_job_id(job_);
        first.set_step_id(step_);
        stream->Write(first);
        Use(stream.get());
        if (connected) connected();
        while (stream->Read(&message) && !message.ended()) take(message);
        Use(nullptr);
        if (message.ended()) {
          call.TryCancel();
          return {};
        }
        TRY(cluster_.Of(stream->Finish()));
        return Fail(Code::kUnavailable, "the controller let go of job ", job_);
      },
      kStreamPatience));
  return message;
}

}  // namespace slipway::cli
