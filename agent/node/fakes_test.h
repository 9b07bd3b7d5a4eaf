// SPDX-License-Identifier: Apache-2.0
// The agent's neighbours, for tests: a controller (real gRPC over TLS on loopback), a broker and stepds (real
// sockets on the test's own loop), each doing exactly what the test says.
#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agent/images/fake_images.h"
#include "api/tls.h"
#include "base/loop/epoll_loop.h"
#include "base/os/socket.h"
#include "base/wire/stream.h"
#include "launcher/spec/broker_protocol.h"
#include "launcher/spec/step_protocol.h"
#include "launcher/spec/step_spec.h"
#include "slipway/v1/image.grpc.pb.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway {

// Turns the loop until `condition` holds; false after ten seconds.
bool TurnUntil(EpollLoop& loop, const std::function<bool()>& condition);

class FakeController final : public v1::NodeLink::Service {
 public:
  FakeController(const std::string& cluster_dir, int port = 0);
  ~FakeController() override { Stop(); }
  void Stop();
  std::string target() const { return Cat("127.0.0.1:", port_); }
  int port() const { return port_; }

  void Send(v1::ToNode message);  // to the agent that is connected
  std::vector<v1::FromNode> Received();
  std::size_t Count(const std::function<bool(const v1::FromNode&)>& what);
  bool Connected();

  grpc::Status Connect(grpc::ServerContext* context,
                       grpc::ServerReaderWriter<v1::ToNode, v1::FromNode>* stream) override;
  grpc::Status Vouch(grpc::ServerContext*, const v1::VouchRequest* request, v1::VouchReply* reply) override;

  FakeImages images;
  std::uint64_t epoch = 1;

 private:
  std::mutex mutex_;  // guards what follows
  grpc::ServerReaderWriter<v1::ToNode, v1::FromNode>* stream_ = nullptr;
  std::vector<v1::FromNode> received_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

// A stepd's end of its socket, at RUN_DIR/steps/<STEP>/sock.
class FakeStepd {
 public:
  FakeStepd(EpollLoop& loop, const std::string& run_dir, StepId step);
  ~FakeStepd();
  template <class T>
  void Send(StepFrame kind, const T& payload) {
    std::string bytes = WithLength(EncodeFrame(kind, payload));
    // The agent at the other end may have been killed by the test.
    [[maybe_unused]] auto n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void End(const StepResult& result);  // writes the status file and says so
  std::size_t Count(StepFrame kind) const;
  std::string Last(StepFrame kind) const;  // payload
  bool answers = true;                     // kAttach with kState
  bool ended = false;
  std::string dir;

 private:
  void Read();
  EpollLoop& loop_;
  StepId step_;
  UniqueFd listen_, socket_;
  Loop::WatchId listen_watch_, watch_;
  FrameReader reader_;
  std::vector<std::pair<StepFrame, std::string>> frames_;
  StepResult result_;
};

class FakeBroker {
 public:
  FakeBroker(EpollLoop& loop, const std::string& run_dir, std::string node);
  ~FakeBroker();
  std::string socket() const { return run_dir_ + "/broker.sock"; }
  void Gone(const StepId& step, const std::string& reason = {});
  void Stuck(const StepId& step, const std::string& reason);
  void DropConnections();

  std::string StorePath(const std::string& digest) const { return Cat(run_dir_, "/", digest.substr(7)); }

  std::string image_dir;  // that it says it has; the agent never opens a file of it
  std::set<std::string> images, in_use;
  std::map<std::string, std::uint64_t> sizes;   // of images that nobody admitted
  std::map<std::string, std::string> admitted;  // digest → bytes
  std::map<StepId, bool> steps;                 // running?
  std::map<StepId, std::unique_ptr<FakeStepd>> stepds;
  std::vector<StepSpec> specs;
  std::vector<SignedCredential> credentials;
  std::vector<StepId> killed, forgotten, ended_jobs;
  std::map<StepId, std::uint64_t> leases;  // CLOCK_BOOTTIME in ms, the last one said; not enforced
  std::size_t listed_steps = 0;            // how often it was asked for them
  std::string store_error;                 // not empty: nobody can read which images there are
  std::string refusal;                     // not empty: StartStep fails with it

 private:
  void Serve(int fd);
  void Handle(int fd, Message message);
  void Start(int fd, const StartStep& request, const UniqueFd& memfd);
  template <class T>
  void Answer(int fd, BrokerFrame kind, const T& payload);
  EpollLoop& loop_;
  std::string run_dir_, node_;
  UniqueFd listen_;
  Loop::WatchId listen_watch_;
  std::map<int, std::pair<UniqueFd, Loop::WatchId>> connections_;
};

}  // namespace slipway
