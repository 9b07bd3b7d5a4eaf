// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/job_wait.h"

#include "cli/remote/subcommand.h"
#include "cli/script/array.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {

Result<v1::Job> WaitForEnd(Cluster& cluster, std::uint64_t job_id,
                           const std::function<void(const v1::Job&)>& changed) {
  auto stub = v1::Jobs::NewStub(cluster.channel());
  v1::GetJobRequest request;
  request.set_job_id(job_id);
  v1::Job job;
  TRY(cluster.Persist([&]() -> Result<> {
    grpc::ClientContext call;
    TRY(cluster.Authorize(call));
    auto reader = stub->Watch(&call, request);
    while (reader->Read(&job)) {
      if (changed) changed(job);
    }
    TRY(cluster.Of(reader->Finish()));
    // A controller that ends in order closes its streams: that is no end of the job.
    if (!job.ended()) return Fail(Code::kUnavailable, "the controller stopped telling about job ", job_id);
    return {};
  }));
  return job;
}

Result<bool> WaitForStart(Cluster& cluster, std::uint64_t job_id, std::chrono::seconds patience) {
  auto stub = v1::Jobs::NewStub(cluster.channel());
  v1::GetJobRequest request;
  request.set_job_id(job_id);
  grpc::ClientContext call;
  call.set_deadline(std::chrono::system_clock::now() + patience);
  TRY(cluster.Authorize(call));
  auto reader = stub->Watch(&call, request);
  v1::Job job;
  bool waits = true;
  while (waits && reader->Read(&job)) waits = job.state() == v1::JOB_STATE_PENDING;
  if (!waits) call.TryCancel();  // else its deadline has ended it
  grpc::Status status = reader->Finish();
  if (!waits || status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) return !waits;
  TRY(cluster.Of(status));
  return false;
}

int ExitCodeOf(const v1::Job& job) {
  if (job.state() == v1::JOB_STATE_COMPLETED) return 0;
  return job.exit_code() != 0 ? job.exit_code() & 0xff : 1;
}

Result<v1::Job> FindJob(Cluster& cluster, const std::string& text) {
  JobName name = TRY(ParseJobName(text));
  v1::GetJobRequest request;
  request.set_job_id(name.job);
  if (name.has_task) request.set_array_task_id(name.task);
  return cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Get, request);
}

}  // namespace slipway::cli
