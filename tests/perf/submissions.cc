// SPDX-License-Identifier: Apache-2.0
// Submits held jobs through the API, one call each, so many at once over one connection, and says how long it
// took and what it cost this process: submissions.py runs it. With `empty`, the same calls with nothing in
// them, for a server that answers at once (empty_server.cc): what gRPC and TLS alone cost.
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "api/channel.h"
#include "api/context.h"
#include "api/lock_checks.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway {
namespace {

v1::SubmitRequest HeldJob() {
  v1::SubmitRequest request;
  v1::JobSpec& spec = *request.mutable_spec();
  spec.set_name("load");
  spec.set_image("tiny");
  spec.set_hold(true);
  spec.mutable_resources()->set_tasks(1);
  spec.mutable_resources()->set_time_limit_s(60);
  spec.mutable_program()->set_script("#!/bin/sh\ntrue\n");
  spec.mutable_program()->set_cwd("/");
  for (const char* entry : {"PATH=/usr/bin:/bin", "HOME=/", "LANG=C"}) spec.mutable_program()->add_env(entry);
  return request;
}

// One thread starts the calls and takes their answers from one queue.
class Load {
 public:
  Load(Client& client, v1::SubmitRequest request, std::size_t at_once)
      : stub_(v1::Jobs::NewStub(client.channel())),
        client_(client),
        request_(std::move(request)),
        slots_(at_once) {}
  ~Load() {
    queue_.Shutdown();
    void* tag;
    for (bool ok; queue_.Next(&tag, &ok);) {
    }
  }

  // The slowest call in milliseconds, or the first error.
  Result<double> Run(std::size_t jobs) {
    std::string authorization = TRY(client_.Authorization());
    std::size_t started = 0, ended = 0;
    for (Slot& slot : slots_) {
      if (started < jobs) Start(slot, authorization), ++started;
    }
    double slowest_ms = 0;
    std::string error;
    void* tag;
    bool ok;
    while (ended < started && queue_.Next(&tag, &ok)) {
      ++ended;
      Slot& slot = *static_cast<Slot*>(tag);
      std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - slot.begun;
      slowest_ms = std::max(slowest_ms, took.count());
      if (!slot.status.ok() && error.empty()) error = slot.status.error_message();
      if (started < jobs && error.empty()) Start(slot, authorization), ++started;
    }
    if (!error.empty()) return Fail(Code::kInternal, error);
    return slowest_ms;
  }

 private:
  struct Slot {
    std::unique_ptr<grpc::ClientContext> call;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::SubmitReply>> reader;
    v1::SubmitReply reply;
    grpc::Status status;
    std::chrono::steady_clock::time_point begun;
  };

  void Start(Slot& slot, const std::string& authorization) {
    slot.reader.reset();
    slot.call = std::make_unique<grpc::ClientContext>();
    slot.call->AddMetadata("authorization", authorization);
    slot.begun = std::chrono::steady_clock::now();
    slot.reader = stub_->AsyncSubmit(slot.call.get(), request_, &queue_);
    slot.reader->Finish(&slot.reply, &slot.status, &slot);
  }

  std::unique_ptr<v1::Jobs::Stub> stub_;
  Client& client_;
  v1::SubmitRequest request_;
  grpc::CompletionQueue queue_;
  std::vector<Slot> slots_;
};

double CpuSeconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

Result<> Main(std::size_t jobs, std::size_t at_once, bool empty) {
  Client client = TRY(Client::Connect(TRY(FindContext(""))));
  Load load(client, empty ? v1::SubmitRequest() : HeldJob(), at_once);
  (void)TRY(load.Run(at_once));  // connection and token are there
  double cpu = CpuSeconds();
  auto begin = std::chrono::steady_clock::now();
  double slowest_ms = TRY(load.Run(jobs));
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf(
      "{\"calls\": %zu, \"at_once\": %zu, \"seconds\": %.4f, \"slowest_ms\": %.2f, \"client_cpu_s\": %.4f}\n",
      jobs, at_once, seconds, slowest_ms, CpuSeconds() - cpu);
  return {};
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv) {
  bool empty = argc == 4 && std::string_view(argv[3]) == "empty";
  if (argc != 3 && !empty) {
    std::fprintf(stderr,
                 "usage: perf_submissions JOBS AT_ONCE [empty] (SLIPWAY_CONTEXT names the cluster)\n");
    return 2;
  }
  slipway::SwitchOffLockChecks();
  auto done = slipway::Main(std::strtoul(argv[1], nullptr, 10), std::strtoul(argv[2], nullptr, 10), empty);
  if (!done) std::fprintf(stderr, "perf_submissions: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
