// SPDX-License-Identifier: Apache-2.0
#include "agent/node/fakes_test.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/crypto/crypto.h"

namespace slipway {

bool TurnUntil(EpollLoop& loop, const std::function<bool()>& condition) {
  MonotonicTime end = loop.Now() + std::chrono::seconds(10);
  bool held = false;
  std::function<void()> look = [&] {
    held = condition();
    if (held || loop.Now() >= end) return loop.Stop();
    loop.After(std::chrono::milliseconds(2), look);
  };
  loop.Post(look);
  loop.Run();
  return held;
}

// ---- controller

FakeController::FakeController(const std::string& cluster_dir, int port) {
  auto credentials = MakeServerCredentials(
      {cluster_dir + "/ca.pem", cluster_dir + "/controller.crt", cluster_dir + "/controller.key"},
      ClientCertificate::kOptional);
  CHECK(credentials.has_value());
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(Cat("127.0.0.1:", port), *credentials, &port_);
  builder.RegisterService(this);
  builder.RegisterService(&images);
  server_ = builder.BuildAndStart();
  CHECK(server_ != nullptr && port_ != 0);
}

void FakeController::Stop() {
  if (!server_) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

grpc::Status FakeController::Connect(grpc::ServerContext* context,
                                     grpc::ServerReaderWriter<v1::ToNode, v1::FromNode>* stream) {
  auto node = PeerNode(*context->auth_context());
  if (!node) return {grpc::StatusCode::UNAUTHENTICATED, node.error().message};
  v1::FromNode message;
  while (stream->Read(&message)) {
    std::lock_guard lock(mutex_);
    received_.push_back(message);
    if (!message.has_register_()) continue;
    CHECK(message.register_().node() == *node);
    v1::ToNode registered;
    registered.set_epoch(epoch);
    registered.mutable_registered()->set_heartbeat_interval_ms(200);
    registered.mutable_registered()->set_cluster("test");
    stream->Write(registered);
    stream_ = stream;
  }
  std::lock_guard lock(mutex_);
  if (stream_ == stream) stream_ = nullptr;
  return grpc::Status::OK;
}

grpc::Status FakeController::Vouch(grpc::ServerContext*, const v1::VouchRequest* request,
                                   v1::VouchReply* reply) {
  reply->set_token(Cat("token-of-", request->uid()));
  return grpc::Status::OK;
}

void FakeController::Send(v1::ToNode message) {
  std::lock_guard lock(mutex_);
  CHECK(stream_ != nullptr);
  if (message.epoch() == 0) message.set_epoch(epoch);
  stream_->Write(message);
}

bool FakeController::Connected() {
  std::lock_guard lock(mutex_);
  return stream_ != nullptr;
}

std::vector<v1::FromNode> FakeController::Received() {
  std::lock_guard lock(mutex_);
  return received_;
}

std::size_t FakeController::Count(const std::function<bool(const v1::FromNode&)>& what) {
  std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(received_.begin(), received_.end(), what));
}

// ---- stepd

FakeStepd::FakeStepd(EpollLoop& loop, const std::string& run_dir, StepId step)
    : dir(Cat(run_dir, "/steps/", ToString(step))), loop_(loop), step_(step) {
  CHECK(MakeDirectories(dir).has_value());
  listen_ = std::move(*ListenUnix(dir + "/sock", SOCK_STREAM, 0666));
  listen_watch_ = *loop.Watch(listen_.get(), EPOLLIN, [this](std::uint32_t) {
    if (socket_) loop_.Unwatch(watch_);
    socket_ = std::move(*AcceptUnix(listen_.get()));  // the new connection replaces the old one
    reader_ = FrameReader();
    watch_ = *loop_.Watch(socket_.get(), EPOLLIN, [this](std::uint32_t) { Read(); });
  });
}

FakeStepd::~FakeStepd() {
  if (socket_) loop_.Unwatch(watch_);
  loop_.Unwatch(listen_watch_);
}

void FakeStepd::Read() {
  char buffer[65536];
  ssize_t n = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (n <= 0) {
    loop_.Unwatch(watch_);
    socket_.reset();
    return;
  }
  reader_.Feed({buffer, static_cast<std::size_t>(n)});
  for (;;) {
    auto next = reader_.Next();
    CHECK(next.has_value());
    if (!*next) return;
    auto frame = SplitFrame<StepFrame>(**next);
    frames_.emplace_back(frame->kind, std::string(frame->payload));
    if (frame->kind != StepFrame::kAttach || !answers) continue;
    Send(StepFrame::kState,
         StepState{step_, ended ? StepPhase::kEnded : StepPhase::kRunning, {{"mount", 120}}});
    if (ended) Send(StepFrame::kEnded, result_);
  }
}

void FakeStepd::End(const StepResult& result) {
  ended = true;
  result_ = result;
  CHECK(WriteFileAtomically(dir + "/status", Encode(result)).has_value());
  if (socket_) Send(StepFrame::kEnded, result);
}

std::size_t FakeStepd::Count(StepFrame kind) const {
  return static_cast<std::size_t>(
      std::count_if(frames_.begin(), frames_.end(), [&](auto& f) { return f.first == kind; }));
}

std::string FakeStepd::Last(StepFrame kind) const {
  std::string last;
  for (const auto& [k, payload] : frames_) {
    if (k == kind) last = payload;
  }
  return last;
}

// ---- broker

FakeBroker::FakeBroker(EpollLoop& loop, const std::string& run_dir, std::string node)
    : loop_(loop), run_dir_(run_dir), node_(std::move(node)) {
  CHECK(MakeDirectories(run_dir).has_value());
  listen_ = std::move(*ListenUnix(socket(), SOCK_SEQPACKET, 0600));
  listen_watch_ = *loop.Watch(listen_.get(), EPOLLIN, [this](std::uint32_t) {
    UniqueFd connection = std::move(*AcceptUnix(listen_.get()));
    CHECK(SetNonblocking(connection.get()).has_value());
    int fd = connection.get();
    auto watch = *loop_.Watch(fd, EPOLLIN, [this, fd](std::uint32_t) { Serve(fd); });
    connections_[fd] = {std::move(connection), watch};
  });
}

FakeBroker::~FakeBroker() {
  DropConnections();
  loop_.Unwatch(listen_watch_);
}

void FakeBroker::DropConnections() {
  for (auto& [fd, connection] : connections_) loop_.Unwatch(connection.second);
  connections_.clear();
}

void FakeBroker::Serve(int fd) {
  auto message = ReceiveMessage(fd);
  if (message) return Handle(fd, std::move(*message));
  if (message.error().sys_errno == EAGAIN) return;
  loop_.Unwatch(connections_.at(fd).second);
  connections_.erase(fd);
}

template <class T>
void FakeBroker::Answer(int fd, BrokerFrame kind, const T& payload) {
  CHECK(SendMessage(fd, EncodeFrame(kind, payload)).has_value());
}

void FakeBroker::Handle(int fd, Message message) {
  auto frame = *SplitFrame<BrokerFrame>(message.bytes);
  auto step = [&] { return *Decode<StepRequest>(frame.payload, "step"); };
  auto plain = [&] { return *Decode<PlainRequest>(frame.payload, "plain"); };
  auto image = [&] { return *Decode<ImageRequest>(frame.payload, "image"); };
  switch (frame.kind) {
    case BrokerFrame::kHello: {
      BrokerWelcome welcome;
      welcome.node = node_;
      welcome.run_dir = run_dir_;
      welcome.cannot = {"memory: no cgroup v2 controller"};
      welcome.image_dir = image_dir;
      return Answer(fd, BrokerFrame::kWelcome, welcome);
    }
    case BrokerFrame::kListImages: {
      if (!store_error.empty())
        return Answer(fd, BrokerFrame::kError,
                      BrokerError{plain().id, static_cast<int>(Code::kUnavailable), store_error});
      ImageList list{plain().id, {}};
      for (const std::string& digest : images) {
        auto known = admitted.find(digest);
        list.images.push_back({digest, known == admitted.end() ? sizes[digest] : known->second.size(), 0});
      }
      return Answer(fd, BrokerFrame::kImages, list);
    }
    case BrokerFrame::kListSteps: {
      ++listed_steps;
      StepList list{plain().id, {}};
      for (auto& [id, running] : steps) list.steps.push_back({id, 20001, running});
      return Answer(fd, BrokerFrame::kSteps, list);
    }
    case BrokerFrame::kAdmitImage: {
      CHECK(message.fds.size() == 1);
      CHECK((::fcntl(message.fds[0].get(), F_GETFL) & O_ACCMODE) == O_RDONLY);
      CHECK(::fcntl(message.fds[0].get(), F_SETLEASE, F_RDLCK) == 0);  // nobody can write it
      CHECK(::fcntl(message.fds[0].get(), F_SETLEASE, F_UNLCK) == 0);
      CHECK(*DigestOfFile(message.fds[0].get()) == image().digest);
      images.insert(image().digest);
      // As the real one does: the agent's file gets a second name.
      CHECK(::linkat(AT_FDCWD, Cat("/proc/self/fd/", message.fds[0].get()).c_str(), AT_FDCWD,
                     StorePath(image().digest).c_str(), AT_SYMLINK_FOLLOW) == 0 ||
            errno == EEXIST);
      admitted[image().digest] = *ReadAll(message.fds[0].get(), 64 << 20);
      return Answer(fd, BrokerFrame::kDone, slipway::Answer{image().id});
    }
    case BrokerFrame::kRemoveImage:
      if (in_use.contains(image().digest))
        return Answer(fd, BrokerFrame::kError,
                      BrokerError{image().id, static_cast<int>(Code::kFailedPrecondition), "a step uses it"});
      ::unlink(StorePath(image().digest).c_str());
      images.erase(image().digest);
      return Answer(fd, BrokerFrame::kDone, slipway::Answer{image().id});
    case BrokerFrame::kStartStep:
      CHECK(message.fds.size() == 1);
      return Start(fd, *Decode<StartStep>(frame.payload, "start"), message.fds[0]);
    case BrokerFrame::kRenewLease: {
      auto lease = *Decode<StepLease>(frame.payload, "lease");
      leases[lease.step] = lease.boot_ms;
      return Answer(fd, BrokerFrame::kDone, slipway::Answer{lease.id});
    }
    case BrokerFrame::kKillStep:
      killed.push_back(step().step);
      steps[step().step] = false;
      return Answer(fd, BrokerFrame::kDone, slipway::Answer{step().id});
    case BrokerFrame::kEndJob:
      ended_jobs.push_back(step().step);
      return Answer(fd, BrokerFrame::kDone, slipway::Answer{step().id});
    case BrokerFrame::kForgetStep:
      forgotten.push_back(step().step);
      steps.erase(step().step);
      return Answer(fd, BrokerFrame::kDone, slipway::Answer{step().id});
    default:
      CHECK(false);
  }
}

void FakeBroker::Start(int fd, const StartStep& request, const UniqueFd& memfd) {
  if (!refusal.empty())
    return Answer(fd, BrokerFrame::kError,
                  BrokerError{request.id, static_cast<int>(Code::kPermissionDenied), refusal});
  StepSpec spec = *DecodeStepSpec(*ReadSealedMemfd(memfd.get(), kStepSpecBytesMax));
  credentials.push_back(request.credential);
  steps[spec.step] = true;
  if (request.lease_boot_ms != 0) leases[spec.step] = request.lease_boot_ms;
  CHECK(request.pmix == OffersPmix(spec.mpi));
  stepds[spec.step] = std::make_unique<FakeStepd>(loop_, run_dir_, spec.step);
  specs.push_back(std::move(spec));
  Answer(fd, BrokerFrame::kStarted, slipway::Answer{request.id});
}

void FakeBroker::Stuck(const StepId& step, const std::string& reason) {
  for (auto& [fd, connection] : connections_) Answer(fd, BrokerFrame::kStepStuck, StepGone{step, 0, reason});
}

void FakeBroker::Gone(const StepId& step, const std::string& reason) {
  steps[step] = false;
  stepds.erase(step);
  for (auto& [fd, connection] : connections_) Answer(fd, BrokerFrame::kStepGone, StepGone{step, 0, reason});
}

}  // namespace slipway
