// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/attach.h"

#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <mutex>
#include <thread>

#include "base/os/fd.h"
#include "cli/remote/subcommand.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
constexpr std::size_t kStdinBytesMax = 64 << 10;
constexpr std::chrono::minutes kStreamPatience(10);  // the step runs on without a controller

sigset_t Set() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : kSignals) sigaddset(&set, number);
  return set;
}

using Stream = grpc::ClientReaderWriter<v1::AttachInput, v1::AttachOutput>;

// Our side of the stream, which is a new one when the controller was started again.
class Input {
 public:
  void Use(Stream* stream) {
    std::lock_guard lock(mutex_);
    stream_ = stream;
  }
  bool Send(const v1::AttachInput& message) {
    std::lock_guard lock(mutex_);
    return stream_ != nullptr && stream_->Write(message);
  }

 private:
  std::mutex mutex_;
  Stream* stream_ = nullptr;  // borrowed
};

// In the background of a terminal a read would stop us, as it does every program.
bool MayRead() { return ::isatty(0) != 1 || ::tcgetpgrp(0) == ::getpgrp(); }

void FeedStdin(Input& input, AttachOptions options) {
  std::string buffer(kStdinBytesMax, '\0');
  for (;;) {
    if (!MayRead()) {
      ::poll(nullptr, 0, 200);
      continue;
    }
    ssize_t n = ::read(0, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    v1::AttachInput message;
    message.set_job_id(options.job);
    message.set_step_id(options.step);
    if (n > 0) message.set_stdin(buffer.data(), static_cast<std::size_t>(n));
    message.set_stdin_eof(n <= 0);
    // Between two controllers there is no stream; the bytes wait.
    while (!input.Send(message)) ::poll(nullptr, 0, 50);
    if (n <= 0) return;
  }
}

Result<> Tell(Cluster& cluster, const AttachOptions& options, int signal_number, bool whole_job) {
  v1::CancelRequest request;
  request.set_job_id(options.job);
  request.set_signal(signal_number);
  if (!whole_job) request.set_step_id(options.step);
  TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Cancel, request));
  return {};
}

// Signals do not travel on the stream: stdin that the ranks do not read may block it.
void PassSignals(Cluster cluster, AttachOptions options) {
  sigset_t set = Set();
  unsigned ends = 0;
  for (;;) {
    int number = 0;
    if (::sigwait(&set, &number) != 0) return;
    bool asks_for_end = number != SIGUSR1 && number != SIGUSR2;
    if (asks_for_end && ++ends > 2) FinishAttached(128 + number);
    if (ends < 2 && Tell(cluster, options, number, false)) continue;
    if (!asks_for_end) continue;
    // Asked twice, or nothing runs yet that could get a signal.
    if (auto ended = Tell(cluster, options, 0, options.owns_job);
        !ended && ended.error().code != Code::kFailedPrecondition)
      PrintError(ended.error());
  }
}

class Output {
 public:
  explicit Output(const AttachOptions& options)
      : options_(options), notices_(::isatty(2) == 1 && !options.quiet) {}

  void Take(const v1::AttachOutput& message) {
    if (!message.data().empty()) {
      std::string text =
          options_.label ? labeller_.Take(message.rank(), message.stream(), message.data()) : message.data();
      Write(message.stream(), text);
    }
    if (!message.notice().empty() && notices_)
      PrintError(Error{Code::kOk, 0, Cat("slipway: job ", options_.job, ": ", message.notice())});
  }
  void End(const v1::AttachOutput& last) {
    for (std::uint32_t stream : {1U, 2U}) Write(stream, labeller_.Flush(stream));
    if (last.exit_code() != 0 && !last.reason().empty())
      PrintError(Error{Code::kUnknown, 0, Cat("slipway: job ", options_.job, ": ", last.reason())});
  }

 private:
  void Write(std::uint32_t stream, const std::string& text) {
    if (text.empty()) return;
    if (stream == 2) {
      [[maybe_unused]] auto written = WriteAll(2, text);
    } else {
      Print(text);
    }
  }
  const AttachOptions& options_;
  bool notices_;
  LineLabeller labeller_;
};

}  // namespace

std::string LineLabeller::Take(std::uint32_t rank, std::uint32_t stream, const std::string& data) {
  std::string& line = partial_[{stream, rank}];
  line += data;
  std::string text;
  std::size_t at = 0;
  for (std::size_t end; (end = line.find('\n', at)) != std::string::npos; at = end + 1)
    text += Cat(rank, ": ", std::string_view(line).substr(at, end + 1 - at));
  line.erase(0, at);
  return text;
}

std::string LineLabeller::Flush(std::uint32_t stream) {
  std::string text;
  for (auto& [key, line] : partial_) {
    if (key.first == stream && !line.empty()) text += Cat(key.second, ": ", std::exchange(line, {}), "\n");
  }
  return text;
}

void BlockAttachSignals() {
  sigset_t set = Set();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Result<int> Attach(Cluster& cluster, const AttachOptions& options) {
  // These outlive us: the threads that use them end with the process.
  auto* input = new Input;
  std::thread(FeedStdin, std::ref(*input), options).detach();
  std::thread(PassSignals, cluster, options).detach();
  auto stub = v1::Jobs::NewStub(cluster.channel());
  Output output(options);
  v1::AttachOutput message;
  TRY(cluster.Persist(
      [&]() -> Result<> {
        message.Clear();
        grpc::ClientContext call;
        TRY(cluster.Authorize(call));
        auto stream = stub->Attach(&call);
        v1::AttachInput first;
        first.set_job_id(options.job);
        first.set_step_id(options.step);
        stream->Write(first);
        input->Use(stream.get());
        while (!message.ended() && stream->Read(&message)) output.Take(message);
        input->Use(nullptr);
        if (message.ended()) {
          call.TryCancel();
          return {};
        }
        TRY(cluster.Of(stream->Finish()));
        return Fail(Code::kUnavailable, "the controller let go of job ", options.job);
      },
      kStreamPatience));
  output.End(message);
  return message.exit_code() < 0 || message.exit_code() > 255 ? kOwnFailure : message.exit_code();
}

void FinishAttached(int code) { ::_exit(code); }

}  // namespace slipway::cli
