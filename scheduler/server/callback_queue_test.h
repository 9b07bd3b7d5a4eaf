// SPDX-License-Identifier: Apache-2.0
// gRPC 1.51 ends the threads of its callbacks when the last channel or server that uses them has gone, and
// starts them with the next one: an end beside a start can release their queue once too often
// ("ref_counted.h: assertion failed: prior > 0", once in some hundred times on a busy machine). A program
// keeps its channels as long as it lives. A test program, which makes them for each test, includes this: a
// server that nobody can reach keeps the queue.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

namespace slipway {

class KeepCallbackQueue : public ::testing::Environment {
 public:
  void SetUp() override {
    static auto* const service = new grpc::CallbackGenericService;
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(service);
    static const grpc::Server* const server = builder.BuildAndStart().release();  // for good
    ASSERT_NE(server, nullptr);
  }
};
inline ::testing::Environment* const kKeepCallbackQueue =
    ::testing::AddGlobalTestEnvironment(new KeepCallbackQueue);

}  // namespace slipway
