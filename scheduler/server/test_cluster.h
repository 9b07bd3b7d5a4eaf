// SPDX-License-Identifier: Apache-2.0
// A controller in a folder of its own, users with tokens, and a node that is played by the test.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <future>
#include <string>
#include <thread>

#include "api/pki.h"
#include "api/settings.h"
#include "api/status.h"
#include "api/tls.h"
#include "api/token.h"
#include "base/crypto/crypto.h"
#include "base/log/log.h"
#include "base/loop/epoll_loop.h"
#include "base/os/fd.h"
#include "imagestore/store/blob_store.h"
#include "scheduler/server/callback_queue_test.h"
#include "scheduler/server/server.h"
#include "slipway/v1/image.grpc.pb.h"
#include "slipway/v1/job.grpc.pb.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway::scheduler {

// Accounts that every Debian has.
inline constexpr std::uint32_t kAnn = 1 /* daemon */, kBob = 2 /* bin */;

inline std::int64_t WallMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The folder with keys, one image, and the settings; no process yet.
class ClusterFolder {
 public:
  ClusterFolder() {
    keys = *InitCluster(path, "test");
    EXPECT_TRUE(IssueNode(path, "n1"));
    EXPECT_TRUE(IssueNode(path, "n2"));
    auto blobs = store::BlobStore::Open((MakeDirectories(path + "/state"), path + "/state/images"));
    auto writer = blobs->NewBlob();
    EXPECT_TRUE(writer->Write("not really a squashfs"));
    image = writer->Finish()->digest;
    signing = *SigningKey::FromPem(*ReadFile(path + "/signing.key"));
  }
  ~ClusterFolder() { (void)RemoveTree(path); }

  std::string Settings() const {
    return Cat("[cluster]\nname = 'test'\nid = '", keys.cluster_id, "'\n[tls]\nca = '", path,
               "/ca.pem'\n[log]\nlevel = 'info'\n[controller]\nlisten = '127.0.0.1:0'\nsocket = '", path,
               "/users.sock'\ntoken_socket = '", path, "/token.sock'\nstate_dir = '", path,
               "/state'\ncert = '", path, "/controller.crt'\nkey = '", path,
               "/controller.key'\nsigning_key = '", path, "/signing.key'\nreattach_within = '1s'\n");
  }
  std::string WriteSettings() const {
    EXPECT_TRUE(WriteFileAtomically(path + "/slipway.toml", Settings()));
    return path + "/slipway.toml";
  }
  std::string Token(std::uint32_t uid, std::int64_t lifetime_ms = 60'000) const {
    return SignToken({keys.cluster_id, uid, WallMs() - 60'000, WallMs() + lifetime_ms, {}, "controller"},
                     signing);
  }
  TlsFiles NodeFiles(const std::string& node) const {
    return {path + "/ca.pem", path + "/nodes/" + node + ".crt", path + "/nodes/" + node + ".key"};
  }
  std::shared_ptr<grpc::Channel> UserChannel() const { return DialUnix("unix:" + path + "/users.sock"); }

  std::string path = *MakeTempDirectory("/tmp", "slipwayd-");
  ClusterKeys keys;
  std::string image;
  SigningKey signing = *SigningKey::FromPem(MakeEd25519KeyPair()->private_key);
};

inline void Prepare(grpc::ClientContext& call, const std::string& token) {
  if (!token.empty()) call.AddMetadata(kAuthorizationKey, "Bearer " + token);
  call.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
}

inline v1::SubmitRequest Batch(const std::string& image) {
  v1::SubmitRequest request;
  request.mutable_spec()->set_image(image);
  request.mutable_spec()->mutable_program()->set_script("#!/bin/sh\nexit 0\n");
  request.mutable_spec()->mutable_program()->set_cwd("/home/somebody");
  request.mutable_spec()->mutable_program()->add_env("SECRET=xyzzy");
  return request;
}

inline v1::CreateStepRequest StepOf(std::uint64_t job, const std::string& request_id) {
  v1::CreateStepRequest request;
  request.set_job_id(job);
  request.mutable_program()->add_argv("true");
  request.mutable_program()->set_cwd("/");
  request.set_request_id(request_id);
  return request;
}

// The agent of one node.
class FakeNode {
 public:
  FakeNode(const ClusterFolder& folder, int port, const std::string& certificate, const std::string& name,
           std::uint32_t cores = 4, const std::optional<v1::StepKey>& running = {},
           const std::vector<v1::GpuUnit>& gpus = {}, const std::string& boot_id = "b")
      : stub_(v1::NodeLink::NewStub(
            *DialTls(Cat("127.0.0.1:", port), folder.NodeFiles(certificate), kControllerTlsName))) {
    Prepare(call_, "");
    stream_ = stub_->Connect(&call_);
    v1::FromNode message;
    auto* reg = message.mutable_register_();
    reg->set_node(name);
    reg->set_boot_id(boot_id);
    reg->set_protocol(1);
    reg->mutable_facts()->set_cores(cores);
    reg->mutable_facts()->set_memory_bytes(4ull << 30);
    reg->mutable_facts()->set_address("127.0.0.1:1");
    for (const v1::GpuUnit& gpu : gpus) *reg->mutable_facts()->add_gpu_units() = gpu;
    if (running) {
      *reg->add_steps()->mutable_step() = *running;
      reg->mutable_steps(0)->set_kind(v1::StepReport::STARTED);
      reg->mutable_steps(0)->set_sequence(v1::StepReport::STARTED);
      reg->mutable_steps(0)->set_time_ms(WallMs());
    }
    stream_->Write(message);
  }
  ~FakeNode() { call_.TryCancel(); }
  // The next message of that kind; others are kept for later. False when the stream ends first.
  bool Next(v1::ToNode::BodyCase kind, v1::ToNode& message) {
    auto kept =
        std::find_if(kept_.begin(), kept_.end(), [&](const v1::ToNode& m) { return m.body_case() == kind; });
    if (kept != kept_.end()) {
      message = *kept;
      kept_.erase(kept);
      return true;
    }
    while (stream_->Read(&message)) {
      if (message.body_case() == kind) return true;
      kept_.push_back(message);
    }
    return false;
  }
  // How the controller ended the stream.
  grpc::Status Finish() {
    v1::ToNode message;
    while (stream_->Read(&message)) {
    }
    return stream_->Finish();
  }
  void Report(const v1::StepKey& step, v1::StepReport::Kind kind, int exit_code = 0) {
    v1::FromNode message;
    auto* report = message.mutable_report();
    *report->mutable_step() = step;
    report->set_kind(kind);
    report->set_sequence(static_cast<std::uint64_t>(kind));
    report->set_exit_code(exit_code);
    report->set_time_ms(WallMs());
    if (kind == v1::StepReport::ENDED) report->set_end(v1::StepReport::EXITED);
    stream_->Write(message);
  }
  void Output(const v1::StepKey& step, const std::string& data) {
    v1::FromNode message;
    *message.mutable_output()->mutable_step() = step;
    message.mutable_output()->set_stream(1);
    message.mutable_output()->set_data(data);
    stream_->Write(message);
  }
  // Waits until that many bytes may be sent, and takes them.
  bool TakeCredit(std::size_t bytes) {
    v1::ToNode message;
    while (credit_ < bytes) {
      if (!Next(v1::ToNode::kCredit, message)) return false;
      credit_ += message.credit().bytes();
    }
    credit_ -= bytes;
    return true;
  }
  void Released(const v1::EndJob& end) {
    v1::FromNode message;
    message.mutable_released()->set_job(end.job());
    message.mutable_released()->set_attempt(end.attempt());
    stream_->Write(message);
  }
  v1::NodeLink::Stub& stub() { return *stub_; }

 private:
  std::unique_ptr<v1::NodeLink::Stub> stub_;
  grpc::ClientContext call_;
  std::deque<v1::ToNode> kept_;
  std::size_t credit_ = 0;
  std::unique_ptr<grpc::ClientReaderWriter<v1::FromNode, v1::ToNode>> stream_;
};

// slipwayd in this process, its loop on a thread.
class Cluster : public ::testing::Test {
 protected:
  virtual std::string ControllerSettings() const { return {}; }
  void SetUp() override {
    SetLogOptions({.threshold = Level::kError, .program = "test"});
    loop_ = *EpollLoop::Make();
    thread_ = std::thread([this] { loop_->Run(); });
    std::string file = folder_.WriteSettings();
    EXPECT_TRUE(WriteFileAtomically(file, folder_.Settings() + ControllerSettings()));
    OnLoop([&] {
      auto server = Server::Start(*loop_, *LoadDaemonConfig(file),
                                  [](const Error& error) { ADD_FAILURE() << error.message; });
      ASSERT_TRUE(server) << server.error().message;
      server_ = std::move(*server);
    });
    ASSERT_TRUE(server_);
    jobs_ = v1::Jobs::NewStub(folder_.UserChannel());
  }
  void TearDown() override {
    std::promise<void> stopped;
    if (server_) {
      loop_->Post([&] { server_->Stop([&] { stopped.set_value(); }); });
      stopped.get_future().wait();
      OnLoop([this] { server_.reset(); });
    }
    loop_->Stop();
    thread_.join();
  }
  void OnLoop(std::function<void()> task) {
    std::promise<void> done;
    loop_->Post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  Result<std::uint64_t> Submit(std::uint32_t uid, const v1::SubmitRequest& request) {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(uid));
    v1::SubmitReply reply;
    TRY(ResultOf(jobs_->Submit(&call, request, &reply)));
    return reply.job_id();
  }
  Result<v1::Job> Get(std::uint32_t uid, std::uint64_t id) {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(uid));
    v1::GetJobRequest request;
    request.set_job_id(id);
    v1::Job job;
    TRY(ResultOf(jobs_->Get(&call, request, &job)));
    return job;
  }
  // Waits for the end of the job.
  Result<v1::Job> Ended(std::uint32_t uid, std::uint64_t id) {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(uid));
    v1::GetJobRequest request;
    request.set_job_id(id);
    auto reader = jobs_->Watch(&call, request);
    v1::Job job;
    while (reader->Read(&job)) {
    }
    TRY(ResultOf(reader->Finish()));
    return job;
  }
  Result<> Cancel(std::uint32_t uid, std::uint64_t id) {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(uid));
    v1::CancelRequest request;
    request.set_job_id(id);
    v1::CancelReply reply;
    return ResultOf(jobs_->Cancel(&call, request, &reply));
  }
  // The node has registered: jobs may be placed.
  std::unique_ptr<FakeNode> Join(const std::string& name, const std::vector<v1::GpuUnit>& gpus = {}) {
    auto node = std::make_unique<FakeNode>(folder_, server_->port(), name, name, 4,
                                           std::optional<v1::StepKey>(), gpus);
    v1::ToNode message;
    EXPECT_TRUE(node->Next(v1::ToNode::kRegistered, message)) << node->Finish().error_message();
    return node;
  }
  // A job of kAnn's whose batch script runs there.
  v1::StepKey RunScript(FakeNode& node) {
    v1::ToNode message;
    auto id = Submit(kAnn, Batch(folder_.image));
    EXPECT_TRUE(id && node.Next(v1::ToNode::kLaunch, message));
    node.Report(message.launch().step(), v1::StepReport::STARTED);
    return message.launch().step();
  }

  ClusterFolder folder_;
  std::unique_ptr<EpollLoop> loop_;
  std::thread thread_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::Jobs::Stub> jobs_;
};

}  // namespace slipway::scheduler
