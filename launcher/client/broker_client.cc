// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/broker_client.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <utility>

namespace slipway {

Result<std::unique_ptr<BrokerClient>> BrokerClient::Connect(Loop& loop, const std::string& socket_path) {
  UniqueFd socket = TRY_CONTEXT(ConnectUnix(socket_path, SOCK_SEQPACKET), "the node's broker");
  return Adopt(loop, std::move(socket));
}

Result<std::unique_ptr<BrokerClient>> BrokerClient::Adopt(Loop& loop, UniqueFd socket) {
  std::unique_ptr<BrokerClient> client(new BrokerClient(loop, std::move(socket)));
  TRY(client->Begin());
  return client;
}

Result<> BrokerClient::Begin() {
  TRY(SetNonblocking(socket_.get()));
  watch_ = TRY(loop_.Watch(socket_.get(), EPOLLIN, [this](std::uint32_t) { OnSocket(); }));
  Queue(EncodeFrame(BrokerFrame::kHello, BrokerHello{}), {});
  return {};
}

BrokerClient::~BrokerClient() {
  *alive_ = false;
  if (socket_) loop_.Unwatch(watch_);
}

void BrokerClient::SetEvents(Events events) { events_ = std::move(events); }

template <class Request>
void BrokerClient::Ask(BrokerFrame kind, Request request, UniqueFd fd, Pending pending) {
  if (lost_) {
    loop_.Post([alive = alive_, pending = std::move(pending)] {
      if (*alive) pending(Fail(Code::kUnavailable, "the connection to the node's broker is lost"));
    });
    return;
  }
  request.id = next_id_++;
  pending_.emplace(request.id, std::move(pending));
  Queue(EncodeFrame(kind, request), std::move(fd));
}

BrokerClient::Pending BrokerClient::Expect(BrokerFrame kind, Done done) {
  return [kind, done = std::move(done)](Result<Reply> reply) {
    if (!reply) return done(Failure(std::move(reply).error()));
    if (reply->kind != kind)
      return done(Fail(Code::kInternal, "the broker answered with frame ", static_cast<int>(reply->kind)));
    done({});
  };
}

void BrokerClient::AdmitImage(const std::string& digest, UniqueFd file, Done done) {
  Ask(BrokerFrame::kAdmitImage, ImageRequest{.digest = digest}, std::move(file),
      Expect(BrokerFrame::kDone, std::move(done)));
}
void BrokerClient::RemoveImage(const std::string& digest, Done done) {
  Ask(BrokerFrame::kRemoveImage, ImageRequest{.digest = digest}, {},
      Expect(BrokerFrame::kDone, std::move(done)));
}
void BrokerClient::StartStep(const SignedCredential& credential, StepDevices devices, Grant grant,
                             UniqueFd step_spec_memfd, Done done) {
  slipway::StartStep request{.credential = credential,
                             .devices = std::move(devices),
                             .room = grant.room,
                             .lease_boot_ms = grant.lease_boot_ms,
                             .pmix = grant.pmix};
  Ask(BrokerFrame::kStartStep, std::move(request), std::move(step_spec_memfd),
      Expect(BrokerFrame::kStarted, std::move(done)));
}

void BrokerClient::AskDone(BrokerFrame kind, StepId step, Done done) {
  Ask(kind, StepRequest{.step = step}, {}, Expect(BrokerFrame::kDone, std::move(done)));
}
void BrokerClient::FreezeStep(StepId step, bool frozen, Done done) {
  AskDone(frozen ? BrokerFrame::kFreezeStep : BrokerFrame::kThawStep, step, std::move(done));
}
void BrokerClient::RenewLease(StepId step, std::uint64_t boot_ms, Done done) {
  Ask(BrokerFrame::kRenewLease, StepLease{.step = step, .boot_ms = boot_ms}, {},
      Expect(BrokerFrame::kDone, std::move(done)));
}
void BrokerClient::KillStep(StepId step, Done done) {
  AskDone(BrokerFrame::kKillStep, step, std::move(done));
}
void BrokerClient::EndJob(StepId step, Done done) { AskDone(BrokerFrame::kEndJob, step, std::move(done)); }
void BrokerClient::ForgetStep(StepId step, Done done) {
  AskDone(BrokerFrame::kForgetStep, step, std::move(done));
}

void BrokerClient::ListImages(std::function<void(Result<std::vector<StoredImage>>)> done) {
  Ask(BrokerFrame::kListImages, PlainRequest{}, {}, [done = std::move(done)](Result<Reply> reply) {
    done([&]() -> Result<std::vector<StoredImage>> {
      Reply taken = TRY(std::move(reply));
      ImageList list = TRY(Decode<ImageList>(taken.payload, "broker's image list"));
      return std::move(list.images);
    }());
  });
}

void BrokerClient::ListSteps(std::function<void(Result<std::vector<StepRecord>>)> done) {
  Ask(BrokerFrame::kListSteps, PlainRequest{}, {}, [done = std::move(done)](Result<Reply> reply) {
    done([&]() -> Result<std::vector<StepRecord>> {
      Reply taken = TRY(std::move(reply));
      StepList list = TRY(Decode<StepList>(taken.payload, "broker's step list"));
      return std::move(list.steps);
    }());
  });
}

void BrokerClient::ImportImage(UniqueFd file, bool as_is, std::function<void(Result<Imported>)> done) {
  Ask(BrokerFrame::kImportImage, ImportRequest{.as_is = as_is}, std::move(file),
      [done = std::move(done)](Result<Reply> reply) {
        done([&]() -> Result<Imported> {
          Reply taken = TRY(std::move(reply));
          Imported imported;
          imported.image = TRY(Decode<ImportedImage>(taken.payload, "broker's import"));
          if (taken.fds.empty() || taken.fds.size() > 2)
            return Fail(Code::kInternal, "the broker's import came with ", taken.fds.size(), " descriptors");
          imported.file = std::move(taken.fds[0]);
          if (taken.fds.size() == 2) imported.content = std::move(taken.fds[1]);
          return imported;
        }());
      });
}

void BrokerClient::Queue(std::string bytes, UniqueFd fd) {
  outgoing_.push_back({std::move(bytes), std::move(fd)});
  Flush();
}

void BrokerClient::Flush() {
  std::size_t sent = 0;
  Result<> outcome;
  for (; sent < outgoing_.size() && outcome; ++sent) {
    const Outgoing& next = outgoing_[sent];
    outcome = SendMessage(socket_.get(), next.bytes,
                          next.fd ? std::vector<int>{next.fd.get()} : std::vector<int>{});
    if (!outcome) break;
  }
  outgoing_.erase(outgoing_.begin(), outgoing_.begin() + static_cast<std::ptrdiff_t>(sent));
  if (!outcome && outcome.error().sys_errno != EAGAIN) {
    // Reported from the loop, not from within the caller's request.
    loop_.Post([this, alive = alive_, error = std::move(outcome).error()]() mutable {
      if (*alive) Lose(std::move(error));
    });
    return;
  }
  bool want_writable = !outgoing_.empty();
  if (want_writable == writable_watched_) return;
  writable_watched_ = want_writable;
  if (auto watched =
          loop_.Rewatch(watch_, EPOLLIN | (want_writable ? static_cast<std::uint32_t>(EPOLLOUT) : 0U));
      !watched) {
    loop_.Post([this, alive = alive_, error = std::move(watched).error()]() mutable {
      if (*alive) Lose(std::move(error));
    });
  }
}

void BrokerClient::OnSocket() {
  std::shared_ptr<bool> alive = alive_;
  if (!outgoing_.empty()) Flush();
  while (*alive && !lost_) {
    auto message = ReceiveMessage(socket_.get());
    if (!message) {
      if (message.error().sys_errno != EAGAIN) Lose(std::move(message).error());
      return;
    }
    auto handled = OnFrame(std::move(*message));
    if (!handled && *alive) return Lose(std::move(handled).error());
  }
}

Result<> BrokerClient::OnFrame(Message message) {
  auto frame = TRY(SplitFrame<BrokerFrame>(message.bytes));
  if (frame.kind == BrokerFrame::kWelcome) {
    auto welcome = TRY(Decode<BrokerWelcome>(frame.payload, "broker's welcome"));
    if (welcome.version != kBrokerProtocolVersion)
      return Fail(Code::kFailedPrecondition, "the broker speaks version ", welcome.version, ", we ",
                  kBrokerProtocolVersion);
    if (auto callback = events_.welcome) callback(welcome);
    return {};
  }
  if (frame.kind == BrokerFrame::kStepGone || frame.kind == BrokerFrame::kStepStuck) {
    auto news = TRY(Decode<StepGone>(frame.payload, "broker's event"));
    auto callback = frame.kind == BrokerFrame::kStepGone ? events_.step_gone : events_.step_stuck;
    if (callback) callback(news);
    return {};
  }
  // Every answer opens with the id of its request.
  if (frame.payload.size() < sizeof(std::uint64_t))
    return Fail(Code::kInternal, "the broker sent an answer without an id");
  auto answer = TRY(Decode<Answer>(frame.payload.substr(0, sizeof(std::uint64_t)), "broker's answer"));
  auto at = pending_.find(answer.id);
  if (at == pending_.end()) {
    if (frame.kind == BrokerFrame::kError && answer.id == 0) {  // of the hello
      auto refused = TRY(Decode<BrokerError>(frame.payload, "broker's error"));
      return Fail(static_cast<Code>(refused.code), "the broker refused us: ", refused.message);
    }
    return Fail(Code::kInternal, "the broker answered request ", answer.id, ", which is not open");
  }
  Pending pending = std::move(at->second);
  pending_.erase(at);
  if (frame.kind == BrokerFrame::kError) {
    auto refused = Decode<BrokerError>(frame.payload, "broker's error");
    pending(refused ? Fail(static_cast<Code>(refused->code), refused->message)
                    : Failure(std::move(refused).error()));
    return {};
  }
  pending(Reply{frame.kind, frame.payload, std::move(message.fds)});
  return {};
}

void BrokerClient::Lose(Error error) {
  if (lost_) return;
  lost_ = true;
  loop_.Unwatch(watch_);
  socket_.reset();
  outgoing_.clear();
  std::shared_ptr<bool> alive = alive_;
  auto pending = std::move(pending_);
  pending_.clear();
  for (auto& [id, callback] : pending) {
    callback(Fail(Code::kUnavailable, "the connection to the node's broker is lost: ", error.message));
    if (!*alive) return;
  }
  if (auto callback = events_.lost) callback(std::move(error));
}

}  // namespace slipway
