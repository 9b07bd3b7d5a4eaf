// SPDX-License-Identifier: Apache-2.0
// Submits held jobs through the API, one call each, so many at once over one connection, and says how long it
// took: submissions.py runs it.
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "api/channel.h"
#include "api/context.h"
#include "base/crypto/crypto.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway {
namespace {

class Load {
 public:
  Load(Client& client, std::size_t jobs, std::size_t at_once)
      : stub_(v1::Jobs::NewStub(client.channel())), client_(client), left_(jobs), slots_(at_once) {
    v1::JobSpec& spec = *request_.mutable_spec();
    spec.set_name("load");
    spec.set_image("tiny");
    spec.set_hold(true);
    spec.mutable_resources()->set_tasks(1);
    spec.mutable_resources()->set_time_limit_s(60);
    spec.mutable_program()->set_script("#!/bin/sh\ntrue\n");
    spec.mutable_program()->set_cwd("/");
    for (const char* entry : {"PATH=/usr/bin:/bin", "HOME=/", "LANG=C"})
      spec.mutable_program()->add_env(entry);
  }

  // The slowest call in milliseconds, or the first error.
  Result<double> Run() {
    authorization_ = TRY(client_.Authorization());
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) Next(slot);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return running_ == 0; });
    if (!error_.empty()) return Fail(Code::kInternal, error_);
    return slowest_ms_;
  }

 private:
  struct Slot {
    std::unique_ptr<grpc::ClientContext> call;
    v1::SubmitReply reply;
    std::chrono::steady_clock::time_point begun;
  };

  void Next(std::size_t number) {
    {
      std::lock_guard lock(mutex_);
      if (left_ == 0 || !error_.empty()) return;
      --left_;
      ++running_;
    }
    Slot& slot = slots_[number];
    slot.call = std::make_unique<grpc::ClientContext>();
    slot.call->AddMetadata("authorization", authorization_);
    slot.begun = std::chrono::steady_clock::now();
    stub_->async()->Submit(
        slot.call.get(), &request_, &slot.reply, [this, number](const grpc::Status& status) {
          double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() -
                                                                slots_[number].begun)
                          .count();
          {
            std::lock_guard lock(mutex_);
            if (!status.ok() && error_.empty()) error_ = status.error_message();
            slowest_ms_ = std::max(slowest_ms_, ms);
          }
          Next(number);
          std::lock_guard lock(mutex_);
          if (--running_ == 0) done_.notify_one();
        });
  }

  std::unique_ptr<v1::Jobs::Stub> stub_;
  Client& client_;
  v1::SubmitRequest request_;
  std::string authorization_;
  std::mutex mutex_;  // guards what follows but slots_, each of which has one user at a time
  std::condition_variable done_;
  std::size_t left_, running_ = 0;
  double slowest_ms_ = 0;
  std::string error_;
  std::vector<Slot> slots_;
};

Result<> Main(std::size_t jobs, std::size_t at_once) {
  Client client = TRY(Client::Connect(TRY(FindContext(""))));
  (void)TRY(Load(client, at_once, at_once).Run());  // connection and token are there
  auto begin = std::chrono::steady_clock::now();
  double slowest_ms = TRY(Load(client, jobs, at_once).Run());
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("{\"jobs\": %zu, \"at_once\": %zu, \"seconds\": %.4f, \"slowest_ms\": %.2f}\n", jobs, at_once,
              seconds, slowest_ms);
  return {};
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: perf_submissions JOBS AT_ONCE (SLIPWAY_CONTEXT names the cluster)\n");
    return 2;
  }
  auto done = slipway::Main(std::strtoul(argv[1], nullptr, 10), std::strtoul(argv[2], nullptr, 10));
  if (!done) std::fprintf(stderr, "perf_submissions: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
