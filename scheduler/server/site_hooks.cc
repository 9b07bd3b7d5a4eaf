// SPDX-License-Identifier: Apache-2.0
#include "scheduler/server/site_hooks.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/log/log.h"
#include "base/os/process.h"

namespace slipway::scheduler {
namespace {

constexpr std::size_t kOutputBytesMax = 1 << 20;
constexpr std::size_t kThreads = 4, kWaitingMax = 10'000;
constexpr std::int64_t kPriorityMax = 1'000'000;

using Clock = std::chrono::steady_clock;

int MsUntil(Clock::time_point end) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(left) + 1;
}

// Both ways at once: a program that answers before it has read all must not stop us, nor one that reads
// nothing. Until its output ends.
Result<std::string> Converse(int to, UniqueFd& input_end, int from, std::string_view input,
                             Clock::time_point end) {
  std::string output;
  for (;;) {
    pollfd fds[2] = {{from, POLLIN, 0}, {input_end ? to : -1, POLLOUT, 0}};
    int ready = ::poll(fds, 2, MsUntil(end));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return ErrnoFail("poll");
    if (ready == 0) return Fail(Code::kDeadlineExceeded, "did not answer in time and was killed");
    if (fds[1].revents != 0) {
      ssize_t sent = ::write(to, input.data(), input.size());
      if (sent > 0) input.remove_prefix(static_cast<std::size_t>(sent));
      if ((sent < 0 && errno != EAGAIN && errno != EINTR) || input.empty()) input_end.reset();
    }
    if (fds[0].revents == 0) continue;
    char piece[4096];
    ssize_t got = ::read(from, piece, sizeof piece);
    if (got == 0) return output;
    if (got < 0 && errno != EAGAIN && errno != EINTR) return ErrnoFail("read");
    if (got > 0) output.append(piece, static_cast<std::size_t>(got));
    if (output.size() > kOutputBytesMax)
      return Fail(Code::kInvalidArgument, "answered with more than ", kOutputBytesMax, " bytes");
  }
}

// Its end, which is waited for until the deadline, and killed after it.
Result<ExitStatus> EndOf(Process& child, Clock::time_point end) {
  pollfd fd{child.pidfd(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&fd, 1, MsUntil(end));
  } while (ready < 0 && errno == EINTR);
  ::kill(-child.pid(), SIGKILL);  // its session: whatever it left
  ExitStatus status = TRY(child.Wait());
  if (ready == 0) return Fail(Code::kDeadlineExceeded, "did not end in time and was killed");
  return status;
}

}  // namespace

Result<std::string> RunHook(const std::string& program, std::string_view input,
                            std::chrono::milliseconds deadline) {
  PipeEnds in = TRY(MakePipe()), out = TRY(MakePipe());
  for (int fd : {in.write.get(), out.read.get()}) {
    if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return ErrnoFail("fcntl");
  }
  const Clock::time_point end = Clock::now() + deadline;
  Process child = TRY(Spawn({.argv = {program},
                             .env = std::vector<std::string>{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                             .cwd = "/",
                             .fds = {{0, in.read.get()}, {1, out.write.get()}},
                             .new_session = true}));
  in.read.reset();
  out.write.reset();
  Result<std::string> output = Converse(in.write.get(), in.write, out.read.get(), input, end);
  Result<ExitStatus> status = EndOf(child, output ? end : Clock::now());
  if (!output) return Failure(std::move(output).error().Context(program));
  if (!status) return Failure(std::move(status).error().Context(program));
  if (status->wait_status != 0)
    return Fail(Code::kInternal, program, status->signaled() ? " was ended by signal " : " ended with code ",
                status->signaled() ? status->signal() : status->exit_code());
  return output;
}

SiteHooks::SiteHooks(HookRules rules) : rules_(std::move(rules)) {
  if (!any()) return;
  for (std::size_t i = 0; i < kThreads; ++i) workers_.push_back(std::make_unique<Worker>());
}

void SiteHooks::Ask(std::vector<v1::HookQuestion> questions, Done done) {
  if (waiting_.fetch_add(1) >= kWaitingMax) {
    --waiting_;
    return done(Fail(Code::kUnavailable, "too many submissions wait for the site's programs; try again"));
  }
  workers_[next_.fetch_add(1) % workers_.size()]->Post(
      [this, questions = std::move(questions), done = std::move(done)] {
        Result<std::vector<v1::JobSpec>> answer = RunAll(questions);
        --waiting_;
        done(std::move(answer));
      });
}

Result<std::vector<v1::JobSpec>> SiteHooks::RunAll(std::vector<v1::HookQuestion> questions) const {
  std::vector<v1::JobSpec> specs;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (questions.size() > 1) {
      questions[i].set_component(static_cast<std::uint32_t>(i));
      questions[i].set_components(static_cast<std::uint32_t>(questions.size()));
    }
    auto spec = Run(std::move(questions[i]));
    if (!spec && questions.size() > 1) return Failure(std::move(spec).error().Context(Cat("component ", i)));
    specs.push_back(TRY(std::move(spec)));
  }
  return specs;
}

Result<v1::HookAnswer> SiteHooks::RunOne(const std::string& program, const v1::HookQuestion& question) const {
  namespace json = google::protobuf::util;
  std::string input;
  json::JsonPrintOptions print;
  print.preserve_proto_field_names = true;
  if (!json::MessageToJsonString(question, &input, print).ok())
    return Fail(Code::kInvalidArgument, "the submission has text that is not UTF-8");
  std::string output = TRY(RunHook(program, input, rules_.deadline));
  v1::HookAnswer answer;
  auto read = json::JsonStringToMessage(output.empty() ? "{}" : output, &answer);
  if (!read.ok())
    return Fail(Code::kInvalidArgument, program,
                " gave a bad answer: ", std::string(read.message()).substr(0, 200));
  if (answer.priority() < -kPriorityMax || answer.priority() > kPriorityMax)
    return Fail(Code::kInvalidArgument, program, " gave a bad answer: priority ", answer.priority());
  return answer;
}

Result<v1::JobSpec> SiteHooks::Run(v1::HookQuestion question) const {
  for (const std::string* program : {&rules_.submit_filter, &rules_.priority}) {
    if (program->empty()) continue;
    Result<v1::HookAnswer> answer = RunOne(*program, question);
    if (!answer) {
      Log(Level::kWarn, "a program of the site failed", {{"what", answer.error().message}});
      if (rules_.failure_refuses)
        return Fail(Code::kUnavailable, "the site's program for submissions failed; tell an administrator (",
                    answer.error().message, ")");
      continue;
    }
    bool filters = program == &rules_.submit_filter;
    if (filters && !answer->refuse().empty())
      return Fail(Code::kFailedPrecondition, "refused by the site: ", answer->refuse());
    if (filters && answer->has_spec()) *question.mutable_spec() = answer->spec();
    if (answer->has_priority())
      question.mutable_spec()->set_priority(
          static_cast<std::uint32_t>(std::max<std::int32_t>(answer->priority(), 0)));
  }
  return question.spec();
}

}  // namespace slipway::scheduler
