// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/attach.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "base/os/fd.h"
#include "cli/remote/callers_terminal.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/step_stream.h"
#include "cli/remote/subcommand.h"

namespace slipway::cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
constexpr std::size_t kStdinBytesMax = 64 << 10;

sigset_t Set() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : kSignals) sigaddset(&set, number);
  return set;
}

void FeedStdin(StepStream& input, AttachOptions options) {
  std::string buffer(kStdinBytesMax, '\0');
  // What is typed until then is ours, Ctrl-C above all; the terminal keeps the rest for the ranks.
  if (options.terminal) CallersTerminal::Instance().WaitForBegin();
  for (;;) {
    ssize_t n = CallersTerminal::Instance().Read(buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    v1::AttachInput message;
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

// To the step, of several components to all of them; true: it went to one at least.
bool TellAll(Cluster& cluster, const AttachOptions& options, int signal_number) {
  bool told = Tell(cluster, options, signal_number, false).has_value();
  for (std::uint64_t job : options.others) {
    AttachOptions other = options;
    other.job = job;
    told = Tell(cluster, other, signal_number, false).has_value() || told;
  }
  return told;
}

void TellSize(StepStream& input) {
  v1::AttachInput message;
  *message.mutable_terminal() = CallersTerminal::Instance().Size();
  input.Send(message);
}

// Signals do not travel on the stream: stdin that the ranks do not read may block it.
void PassSignals(StepStream& input, Cluster cluster, AttachOptions options) {
  sigset_t set = Set();
  // A shell on a terminal ignores most of them: who sends one to us there means the whole step.
  unsigned ends = options.terminal ? 1 : 0;
  for (;;) {
    int number = 0;
    if (::sigwait(&set, &number) != 0) return;
    if (number == SIGWINCH) {
      if (options.terminal) TellSize(input);
      continue;
    }
    options.step = input.WaitForStep();
    bool asks_for_end = number != SIGUSR1 && number != SIGUSR2;
    if (asks_for_end && ++ends > 2) FinishAttached(128 + number);
    if (ends < 2 && TellAll(cluster, options, number)) continue;
    if (!asks_for_end) continue;
    // Asked twice, or nothing runs yet that could get a signal.
    if (auto ended = Tell(cluster, options, 0, options.owns_job);
        !ended && ended.error().code != Code::kFailedPrecondition)
      PrintError(ended.error());
  }
}

class Output {
 public:
  Output(const AttachOptions& options, std::string label_prefix)
      : options_(options), notices_(::isatty(2) == 1 && !options.quiet), labeller_(std::move(label_prefix)) {}

  void Take(const v1::AttachOutput& message) {
    if (options_.terminal && (message.running() || !message.data().empty()))
      CallersTerminal::Instance().Begin();
    if (!message.data().empty()) {
      std::string text =
          options_.label ? labeller_.Take(message.rank(), message.stream(), message.data()) : message.data();
      Write(message.stream(), text);
    }
    if (!message.notice().empty() && notices_)
      PrintError(Error{Code::kOk, 0, Cat("slipway: job ", options_.job, ": ", message.notice())});
  }
  void End(const v1::AttachOutput& last) {
    CallersTerminal::Instance().End();
    for (std::uint32_t stream : {1U, 2U}) Write(stream, labeller_.Flush(stream));
    if (last.exit_code() != 0 && !last.reason().empty())
      PrintError(Error{Code::kUnknown, 0, Cat("slipway: job ", options_.job, ": ", last.reason())});
  }

 private:
  void Write(std::uint32_t stream, const std::string& text) {
    if (text.empty()) return;
    if (stream == 2) {
      [[maybe_unused]] auto written =
          WriteAll(2, options_.terminal ? CallersTerminal::Instance().Lines(text) : text);
    } else {
      Print(text);
    }
  }
  const AttachOptions& options_;
  bool notices_;
  LineLabeller labeller_;
};

// What the step says, until it has ended; its exit code.
Result<int> Follow(StepStream& stream, const AttachOptions& options, std::string label_prefix) {
  Output output(options, std::move(label_prefix));
  // The terminal may have changed while we waited.
  auto connected = [&] {
    if (options.terminal) TellSize(stream);
  };
  v1::AttachOutput last =
      TRY(stream.Run([&](const v1::AttachOutput& piece) { output.Take(piece); }, connected));
  output.Take(last);
  output.End(last);
  return last.exit_code() < 0 || last.exit_code() > 255 ? kOwnFailure : last.exit_code();
}

}  // namespace

std::string LineLabeller::Take(std::uint32_t rank, std::uint32_t stream, const std::string& data) {
  std::string& line = partial_[{stream, rank}];
  line += data;
  std::string text;
  std::size_t at = 0;
  for (std::size_t end; (end = line.find('\n', at)) != std::string::npos; at = end + 1)
    text += Cat(prefix_, rank, ": ", std::string_view(line).substr(at, end + 1 - at));
  line.erase(0, at);
  return text;
}

std::string LineLabeller::Flush(std::uint32_t stream) {
  std::string text;
  for (auto& [key, line] : partial_) {
    if (key.first == stream && !line.empty())
      text += Cat(prefix_, key.second, ": ", std::exchange(line, {}), "\n");
  }
  return text;
}

void BlockAttachSignals() {
  sigset_t set = Set();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Result<int> Attach(Cluster& cluster, const AttachOptions& options) {
  // These outlive us: the threads that use them end with the process.
  auto* stream = options.create ? new StepStream(cluster, *options.create)
                                : new StepStream(cluster, options.job, options.step);
  std::thread(FeedStdin, std::ref(*stream), options).detach();
  std::thread(PassSignals, std::ref(*stream), cluster, options).detach();
  if (options.others.empty()) return Follow(*stream, options, "");
  std::vector<Result<int>> codes(options.others.size(), 0);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < options.others.size(); ++i) {
    AttachOptions other = options;
    other.job = options.others[i];
    threads.emplace_back([cluster, other, i, &codes] {
      StepStream silent(cluster, other.job, other.step);
      codes[i] = Follow(silent, other, Cat(i + 1, "."));
    });
  }
  Result<int> first = Follow(*stream, options, "0.");
  for (std::thread& thread : threads) thread.join();
  TRY(std::move(first));
  for (Result<int>& code : codes) TRY(std::move(code));
  return ExitCodeOf(TRY(WaitForEnd(cluster, options.job, {})));
}

void FinishAttached(int code) {
  CallersTerminal::Instance().End();
  ::_exit(code);
}

}  // namespace slipway::cli
