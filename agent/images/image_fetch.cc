// SPDX-License-Identifier: Apache-2.0
#include "agent/images/image_fetch.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "agent/images/chunk_choice.h"
#include "agent/images/image_calls.h"
#include "api/status.h"
#include "base/crypto/crypto.h"
#include "base/log/log.h"

namespace slipway {
namespace {

using Source = ChunkChoice::Source;
using Outcome = ChunkChoice::Outcome;
using Stopped = std::unique_lock<std::mutex>;

constexpr int kCorruptTries = 3;  // of one chunk, by the controller
constexpr std::chrono::milliseconds kControllerPatience{120'000}, kPeerPatience{20'000};
constexpr std::chrono::milliseconds kSourcesPatience{3000}, kHavePatience{1000};
constexpr std::chrono::milliseconds kHaveEvery{150}, kSourcesEvery{2000}, kSourcesSoon{300};
constexpr int kSourcesSoonTimes = 5;  // at the start everybody is new to everybody
constexpr std::size_t kPeersMax = 16;

// Errors that asking the controller again may cure.
bool MayPass(Code code) {
  return code == Code::kUnavailable || code == Code::kDeadlineExceeded || code == Code::kResourceExhausted ||
         code == Code::kCancelled || code == Code::kAborted || code == Code::kDataLoss;
}

MonotonicTime Now() { return std::chrono::steady_clock::now(); }

struct FetchPeer {
  std::string node, address;
  std::unique_ptr<v1::ImagePeer::Stub> stub;
  Source source = 0;
  bool whole = false;
};

class Fetch {
 public:
  Fetch(const FetchSources& sources, const FetchRequirements& wanted, FetchCancel& cancel)
      : sources_(sources),
        wanted_(wanted),
        cancel_(cancel),
        controller_(v1::ImageSource::NewStub(sources.controller)) {}
  Result<FetchedImage> Run();

 private:
  Result<store::ChunkManifest> GetManifest();
  void Work();
  Outcome Get(const ChunkChoice::Task& task, v1::ImagePeer::Stub* peer, Error* error);
  void Count(const ChunkChoice::Task& task, Outcome outcome, const Error& error);
  void LookForPeers();
  void AskSources();
  void AskPeers();
  void GiveUp(Error error);  // under mutex_
  bool Over() const { return choice_->Complete() || error_.has_value() || cancel_.cancelled(); }

  const FetchSources& sources_;
  const FetchRequirements& wanted_;
  FetchCancel& cancel_;
  FetchCancel looking_;  // LookForPeers' calls, which need not be waited for at the end
  std::unique_ptr<v1::ImageSource::Stub> controller_;
  std::shared_ptr<PartialImage> image_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::unique_ptr<ChunkChoice> choice_;
  std::map<Source, std::shared_ptr<FetchPeer>> peers_;
  std::map<std::uint32_t, int> corrupt_;  // chunk → how often the controller gave it wrongly
  FetchCounts counts_;
  MonotonicTime progress_{};  // when the last chunk came
  std::optional<Error> error_, last_failure_;
};

Result<store::ChunkManifest> Fetch::GetManifest() {
  int corrupt = 0;
  MonotonicTime begin = Now();
  for (;;) {
    auto manifest = AskManifest(*controller_, wanted_, cancel_);
    if (cancel_.cancelled()) return Fail(Code::kCancelled, "the fetch was cancelled");
    if (manifest) return manifest;
    const Error& error = manifest.error();
    bool again =
        MayPass(error.code) &&
        (error.code == Code::kDataLoss ? ++corrupt < kCorruptTries : Now() - begin < wanted_.give_up_after);
    if (!again) return manifest;
    Log(Level::kWarn, "image fetch: asking for the manifest again", {{"error", error.message}});
    Stopped lock(mutex_);
    for (MonotonicTime next = Now() + std::chrono::seconds(1); Now() < next && !cancel_.cancelled();)
      changed_.wait_for(lock, std::chrono::milliseconds(100));
  }
}

Outcome Fetch::Get(const ChunkChoice::Task& task, v1::ImagePeer::Stub* peer, Error* error) {
  ChunkRequest request{wanted_.digest, task.chunk, static_cast<std::uint32_t>(image_->manifest().chunk_bytes),
                       image_->BytesOf(task.chunk)};
  auto bytes = peer != nullptr ? AskChunk(*peer, request, kPeerPatience, cancel_)
                               : AskChunk(*controller_, request, kControllerPatience, cancel_);
  if (!bytes) {
    *error = bytes.error();
    if (error->code == Code::kResourceExhausted) return Outcome::kBusy;
    if (error->code == Code::kNotFound && peer != nullptr) return Outcome::kLacks;
    if (error->code == Code::kDataLoss) return peer != nullptr ? Outcome::kUnusable : Outcome::kWrong;
    return MayPass(error->code) ? Outcome::kFailed : Outcome::kUnusable;
  }
  auto put = image_->Put(task.chunk, *bytes);
  if (put) return Outcome::kCame;
  *error = put.error();
  return error->code == Code::kDataLoss && peer == nullptr ? Outcome::kWrong : Outcome::kUnusable;
}

void Fetch::Count(const ChunkChoice::Task& task, Outcome outcome, const Error& error) {
  bool controller = task.source == ChunkChoice::kController;
  if (outcome == Outcome::kCame) {
    ++(controller ? counts_.from_controller : counts_.from_peers);
    progress_ = Now();
    return;
  }
  if (outcome != Outcome::kLacks && outcome != Outcome::kBusy) {
    ++counts_.again;
    if (!cancel_.cancelled())
      Log(Level::kWarn, "image fetch: asking again",
          {{"chunk", task.chunk},
           {"source", controller ? "controller" : peers_.at(task.source)->node},
           {"error", error.message}});
  }
  last_failure_ = error;
  if (controller && Now() - progress_ > wanted_.give_up_after) GiveUp(error);
  if (controller && error.code == Code::kDataLoss && ++corrupt_[task.chunk] >= kCorruptTries) GiveUp(error);
  // Of the disk, not of a source.
  if (error.sys_errno != 0) GiveUp(error);
}

void Fetch::GiveUp(Error error) {
  if (!error_) error_ = std::move(error);
}

void Fetch::Work() {
  Stopped lock(mutex_);
  while (!Over()) {
    auto task = choice_->Next(Now());
    if (!task) {
      if (choice_->in_flight() == 0 && choice_->AllUnusable()) GiveUp(*last_failure_);
      if (Now() - progress_ > wanted_.give_up_after && choice_->in_flight() == 0)
        GiveUp(last_failure_.value_or(Error{Code::kUnavailable, 0, "nobody gave anything"}));
      changed_.wait_for(lock, std::chrono::milliseconds(50));
      continue;
    }
    std::shared_ptr<FetchPeer> peer;
    if (task->source != ChunkChoice::kController) peer = peers_.at(task->source);
    lock.unlock();
    Error error;
    Outcome outcome = Get(*task, peer ? peer->stub.get() : nullptr, &error);
    lock.lock();
    choice_->Ended(*task, outcome, Now());
    if (outcome == Outcome::kLacks && peer->whole) {  // it had: what it has now, it is asked anew
      peer->whole = false;
      choice_->SetHas(task->source, false, {});
    }
    Count(*task, outcome, error);
    changed_.notify_all();
  }
  changed_.notify_all();
}

// What the controller says of others; who is known already stays known.
void Fetch::AskSources() {
  CancellableCall call(looking_, kSourcesPatience);
  v1::SourcesRequest request;
  request.set_digest(wanted_.digest);
  v1::SourcesReply reply;
  if (!controller_->Sources(&call.context, request, &reply).ok())
    return;  // chunks are asked for all the same
  {
    Stopped lock(mutex_);
    choice_->SetShare(reply.askers(), reply.place());
  }
  for (const v1::ImageHolder& holder : reply.holders()) {
    {
      Stopped lock(mutex_);
      if (peers_.size() >= kPeersMax) return;
      if (std::any_of(peers_.begin(), peers_.end(), [&](auto& known) {
            return known.second->node == holder.node() && known.second->address == holder.address();
          }))
        continue;
    }
    auto channel = sources_.dial(holder.node(), holder.address());
    if (!channel) continue;
    Stopped lock(mutex_);
    Source source = choice_->AddPeer();
    peers_[source] = std::make_shared<FetchPeer>(
        FetchPeer{holder.node(), holder.address(), v1::ImagePeer::NewStub(*channel), source});
  }
}

void Fetch::AskPeers() {
  std::vector<std::shared_ptr<FetchPeer>> peers;
  {
    Stopped lock(mutex_);
    for (auto& [source, peer] : peers_)
      if (!peer->whole && choice_->Usable(source, Now())) peers.push_back(peer);
  }
  MonotonicTime begin = Now();
  for (auto& peer : peers) {
    if (Now() - begin > kHavePatience) return;  // the others' turn comes
    CancellableCall call(looking_, kHavePatience);
    v1::HaveRequest request;
    request.set_digest(wanted_.digest);
    request.set_chunk_bytes(static_cast<std::uint32_t>(image_->manifest().chunk_bytes));
    v1::HaveReply reply;
    grpc::Status status = peer->stub->Have(&call.context, request, &reply);
    Stopped lock(mutex_);
    if (Over()) return;
    if (status.ok()) {
      peer->whole = reply.whole();
      choice_->SetHas(peer->source, reply.whole(), reply.chunks());
    } else if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
      choice_->SetHas(peer->source, false, {});
    } else {
      choice_->SourceFailed(peer->source, Now());
    }
    changed_.notify_all();
  }
}

void Fetch::LookForPeers() {
  MonotonicTime next{};
  int times = 0;
  Stopped lock(mutex_);
  while (!Over()) {
    bool due = Now() >= next;
    lock.unlock();
    if (due) {
      AskSources();
      next = Now() + (++times < kSourcesSoonTimes ? kSourcesSoon : kSourcesEvery);
    }
    AskPeers();
    lock.lock();
    MonotonicTime wake = Now() + kHaveEvery;
    while (!Over() && Now() < wake) changed_.wait_until(lock, wake);
  }
}

Result<FetchedImage> Fetch::Run() {
  store::ChunkManifest manifest = TRY(GetManifest());
  if (wanted_.make_room) TRY(wanted_.make_room(manifest.size));
  std::string path = PartialPath(wanted_.folder, wanted_.digest);
  image_ = TRY(PartialImage::Open(path, std::move(manifest)));
  if (sources_.offers) sources_.offers->Put(wanted_.digest, {image_->file(), image_});
  std::string chance = RandomBytes(8);
  std::uint64_t seed = 0;
  for (char c : chance) seed = seed << 8 | static_cast<unsigned char>(c);
  choice_ = std::make_unique<ChunkChoice>(image_->chunks(), seed);
  counts_.chunks = image_->chunks();
  for (std::uint32_t chunk = 0; chunk < image_->chunks(); ++chunk) {
    if (!image_->Has(chunk, 1)) continue;
    choice_->Have(chunk);
    ++counts_.resumed;
  }
  progress_ = Now();

  // Asked first, so that the controller gives only what no other has; a peer that stalls does not hold us up.
  if (sources_.dial) {
    AskSources();
    AskPeers();
  }
  std::thread lookout;
  if (sources_.dial) lookout = std::thread([this] { LookForPeers(); });
  std::vector<std::thread> workers;
  unsigned threads = std::clamp<unsigned>(wanted_.chunks_in_flight, 1, 32);
  for (unsigned i = 1; i < threads; ++i) workers.emplace_back([this] { Work(); });
  Work();
  for (std::thread& worker : workers) worker.join();
  looking_.Cancel();
  if (lookout.joinable()) lookout.join();

  image_->Seal();
  if (cancel_.cancelled()) return Fail(Code::kCancelled, "the fetch was cancelled");
  if (error_) return Failure(std::move(*error_));
  return FetchedImage{image_->file(), path, counts_};
}

}  // namespace

std::string PartialPath(const std::string& folder, const std::string& digest) {
  return Cat(folder, "/", digest.substr(digest.find(':') + 1), ".part");
}

Result<FetchedImage> FetchImage(const FetchSources& sources, const FetchRequirements& wanted,
                                FetchCancel& cancel) {
  if (!IsDigest(wanted.digest))
    return Fail(Code::kInvalidArgument, "not a digest: ", wanted.digest.substr(0, 80));
  auto fetched = Fetch(sources, wanted, cancel).Run();
  if (fetched) return fetched;
  if (sources.offers) sources.offers->Remove(wanted.digest);
  if (fetched.error().code == Code::kNotFound) ::unlink(PartialPath(wanted.folder, wanted.digest).c_str());
  return Failure(std::move(fetched).error().Context(Cat("fetching image ", wanted.digest)));
}

}  // namespace slipway
