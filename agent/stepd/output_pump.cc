// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/output_pump.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

namespace slipway {
namespace {
constexpr std::size_t kPieceBytesMax = 64 << 10;
}

OutputPump::~OutputPump() {
  for (auto& [id, source] : sources_) {
    if (source.watched) loop_.Unwatch(source.watch);
  }
}

Result<UniqueFd> OutputPump::Add(std::uint32_t rank, std::uint8_t stream) {
  PipeEnds pipe = TRY(MakePipe());
  TRY(SetNonblocking(pipe.read.get()));
  sources_.emplace(next_id_++, Source{.rank = rank, .stream = stream, .pipe = std::move(pipe.read)});
  Update();
  return std::move(pipe.write);
}

std::uint64_t OutputPump::Expect(std::uint32_t rank, std::uint8_t stream) {
  sources_.emplace(next_id_, Source{.rank = rank, .stream = stream});
  return next_id_++;
}

void OutputPump::Settle(std::uint64_t number, UniqueFd fd) {
  auto at = sources_.find(number);
  if (at == sources_.end()) return;
  if (!fd || !SetNonblocking(fd.get())) return End(number);
  at->second.pipe = std::move(fd);
  Update();
  if (last_call_) LastCall();
}

bool OutputPump::Say(StepOutput piece) {
  if (piece.bytes.empty()) return true;  // that would be a stream's end
  if (!attached_ || credit_ < piece.bytes.size()) return false;
  credit_ -= piece.bytes.size();
  send_(std::move(piece));
  if (credit_ == 0) Update();
  return true;
}

void OutputPump::Attach() {
  attached_ = true;
  credit_ = kInitialCreditBytes;
  Update();
}

void OutputPump::Detach() {
  attached_ = false;
  Update();
}

void OutputPump::Grant(std::uint64_t bytes) {
  credit_ += bytes;
  Update();
}

void OutputPump::LastCall() {
  last_call_ = true;
  if (attached_ && credit_ > 0) {
    std::vector<std::uint64_t> ids;
    for (auto& [id, source] : sources_) {
      if (source.pipe) ids.push_back(id);
    }
    for (std::uint64_t id : ids) OnReadable(id);
  }
}

// A hung-up pipe is always "ready": one that may not be read must not be watched at all.
void OutputPump::Update() {
  bool wanted = attached_ && credit_ > 0;
  for (auto& [id, source] : sources_) {
    if (source.watched == wanted || !source.pipe) continue;
    if (wanted) {
      auto watch =
          loop_.Watch(source.pipe.get(), EPOLLIN, [this, id = id](std::uint32_t) { OnReadable(id); });
      if (!watch) continue;
      source.watch = *watch;
    } else {
      loop_.Unwatch(source.watch);
    }
    source.watched = wanted;
  }
}

void OutputPump::OnReadable(std::uint64_t id) {
  auto at = sources_.find(id);
  if (at == sources_.end()) return;
  char buffer[kPieceBytesMax];
  for (;;) {
    std::size_t most = static_cast<std::size_t>(std::min<std::uint64_t>(sizeof buffer, credit_));
    if (most == 0) return Update();
    ssize_t got = ::read(at->second.pipe.get(), buffer, most);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      if (last_call_) return End(id);
      return;
    }
    if (got <= 0) return End(id);
    credit_ -= static_cast<std::uint64_t>(got);
    send_({.rank = at->second.rank,
           .stream = at->second.stream,
           .bytes = std::string(buffer, static_cast<std::size_t>(got))});
    if (!last_call_) return credit_ == 0 ? Update() : void();
  }
}

void OutputPump::End(std::uint64_t id) {
  Source source = std::move(sources_.at(id));
  sources_.erase(id);
  if (source.watched) loop_.Unwatch(source.watch);
  send_({.rank = source.rank, .stream = source.stream});
  if (sources_.empty() && on_drained) on_drained();
}

Result<UniqueFd> InputPump::Open() {
  PipeEnds pipe = TRY(MakePipe());
  TRY(SetNonblocking(pipe.write.get()));
  pipe_ = std::move(pipe.write);
  opened_ = true;
  Flush();
  return std::move(pipe.read);
}

void InputPump::Settle(UniqueFd fd) {
  opened_ = true;
  pipe_ = std::move(fd);
  if (!pipe_ || !SetNonblocking(pipe_.get())) return Close();
  Flush();
}

bool InputPump::Write(std::string_view bytes, bool eof) {
  if ((opened_ && !pipe_) || eof_) return true;
  bool fits = waiting_.size() + bytes.size() <= kWaitingBytesMax;
  if (fits) waiting_ += bytes;
  eof_ = eof || !fits;
  Flush();
  return fits;
}

void InputPump::Flush() {
  if (!pipe_) return;  // not opened yet
  while (!waiting_.empty()) {
    ssize_t wrote = ::write(pipe_.get(), waiting_.data(), waiting_.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno != EAGAIN) return Close();  // the rank has closed its stdin
    if (wrote < 0) break;
    waiting_.erase(0, static_cast<std::size_t>(wrote));
  }
  if (waiting_.empty() && eof_) return Close();
  bool wanted = !waiting_.empty();
  if (wanted == watched_) return;
  if (wanted) {
    auto watch = loop_.Watch(pipe_.get(), EPOLLOUT, [this](std::uint32_t) { Flush(); });
    if (!watch) return Close();
    watch_ = *watch;
  } else {
    loop_.Unwatch(watch_);
  }
  watched_ = wanted;
}

void InputPump::Close() {
  if (watched_) loop_.Unwatch(watch_);
  watched_ = false;
  pipe_.reset();
  waiting_.clear();
}

}  // namespace slipway
