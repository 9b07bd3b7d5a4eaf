// SPDX-License-Identifier: Apache-2.0
#include "agent/node/call_thread.h"

#include <grpcpp/grpcpp.h>

namespace slipway {

CallThread::CallThread()
    : server_builder_(std::make_unique<grpc::ServerBuilder>()),
      queue_(server_builder_->AddCompletionQueue()) {
  thread_ = std::thread([queue = queue_.get()] {
    void* tag = nullptr;
    for (bool ok = false; queue->Next(&tag, &ok);) (*static_cast<Done*>(tag))(ok);
  });
}

CallThread::~CallThread() {
  queue_->Shutdown();
  thread_.join();
}

}  // namespace slipway
