// SPDX-License-Identifier: Apache-2.0
// The standard streams of one step, from here: what it says comes, what is sent goes to it, until it has
// ended. A controller that is started again on the way is waited for, and the stream is a new one then.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "cli/remote/cluster.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {

class StepStream {
 public:
  StepStream(Cluster cluster, std::uint64_t job, std::uint32_t step)
      : cluster_(std::move(cluster)), job_(job), step_(step) {}
  // Of a step that is not there yet: the first connection creates it.
  StepStream(Cluster cluster, v1::CreateStepRequest create)
      : cluster_(std::move(cluster)), job_(create.job_id()), create_(std::move(create)) {}
  StepStream(const StepStream&) = delete;
  StepStream& operator=(const StepStream&) = delete;

  // Blocks to the end; `take` gets every message but the last, which is the answer. `connected` after each
  // connection, the first one too.
  Result<v1::AttachOutput> Run(const std::function<void(const v1::AttachOutput&)>& take,
                               const std::function<void()>& connected = {});
  // From any thread. False while there is no stream: the bytes are to be sent again later.
  bool Send(v1::AttachInput message);
  // The step's number, from any thread. Blocks until the step has been created: for good, if it cannot be.
  std::uint32_t WaitForStep();

 private:
  using Stream = grpc::ClientReaderWriter<v1::AttachInput, v1::AttachOutput>;
  void Use(Stream* stream);
  v1::AttachInput First();
  bool Created();
  // One connection, to its end; `last` is the step's end if there is no error.
  Result<> Follow(const std::function<void(const v1::AttachOutput&)>& take,
                  const std::function<void()>& connected, v1::AttachOutput& last);

  Cluster cluster_;
  const std::uint64_t job_;
  const v1::CreateStepRequest create_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable created_;
  std::optional<std::uint32_t> step_;
  Stream* stream_ = nullptr;  // borrowed
};

}  // namespace slipway::cli
