// SPDX-License-Identifier: Apache-2.0
// What gRPC's calls bring is waited for by one thread, which sleeps until there is something.
//
// gRPC 1.51's own threads for that, those of its callbacks, would be noise on a compute node: one for every
// two processors (2 to 16), each of which looks about once a second and then sleeps for 100 ms; what arrives
// while all of them do so lies there until the first has slept enough (decision 99).
#pragma once

#include <functional>
#include <memory>
#include <thread>

namespace grpc {
class ServerBuilder;
class ServerCompletionQueue;
}  // namespace grpc

namespace slipway {

class CallThread {
 public:
  // Of an operation on the queue: its tag is the address of one, which lives until it was called. `ok` is
  // gRPC's. Called by the thread, one after the other: none may wait.
  using Done = std::function<void(bool ok)>;

  CallThread();
  // Waits for the operations that are left; nobody may begin another. The server has gone.
  ~CallThread();
  CallThread(const CallThread&) = delete;
  CallThread& operator=(const CallThread&) = delete;

  grpc::ServerCompletionQueue* queue() const { return queue_.get(); }
  // One server can have its calls arrive on this queue as well: it is to be built by this, once. On a queue
  // of its own it would cost another thread, and each of its events a way from one to the other.
  grpc::ServerBuilder& server_builder() { return *server_builder_; }

 private:
  std::unique_ptr<grpc::ServerBuilder> server_builder_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::thread thread_;
};

}  // namespace slipway
