// SPDX-License-Identifier: Apache-2.0
// slipway alloc, salloc by name: an allocation for a command or a shell that runs here. The job's batch
// program is a holder, a shell of the image that reads its input until we close it; we are attached to it, so
// the allocation ends with us whatever becomes of us. Steps are started in it by `slipway launch`.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/os/process.h"
#include "base/os/signals.h"
#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/remote/alloc_environment.h"
#include "cli/remote/attach.h"
#include "cli/remote/job_options.h"
#include "cli/remote/job_wait.h"
#include "cli/remote/site_options.h"
#include "cli/remote/step_stream.h"
#include "cli/remote/subcommand.h"
#include "cli/remote/wanted_image.h"
#include "launcher/spec/step_id.h"

namespace slipway::cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD};
constexpr const char* kHolder = "#!/bin/sh\nread -r end\nexit 0\n";
// How long a command that was told to end, and then the controller, may take about it.
constexpr std::chrono::seconds kLeaveWithin(5);

Command Declare() {
  Command command{
      .name = "slipway alloc",
      .summary =
          "hold an allocation while a command, or a shell, runs here; steps go there by slipway launch",
      .examples = {{"slipway alloc -N2 --image mpi", "a shell; in it: slipway launch -n 8 ./solver"},
                   {"slipway alloc -n4 -t 10m --image tiny -- make check", "a command that launches steps"}},
      .options = ResourceOptions(),
      .positionals = {{.name = "COMMAND", .arity = Positional::kOptional, .help = "default: your shell"},
                      {.name = "ARG", .arity = Positional::kMany}},
      .stop_at_first_positional = true,
      .notes = "The exit code is the command's. The allocation ends with it, and with this program.\n"};
  std::erase_if(command.options, [](const Option& option) {
    return option.name == "output" || option.name == "error" || option.name == "input";
  });
  command.options.push_back({.name = "no-shell", .hidden = true});
  command.options.push_back(ContextOption());
  return command;
}

std::string Caller() {
  const char* called_as = ::getenv("SLIPWAY_CALLED_AS");
  return called_as == nullptr ? "slipway" : called_as;
}
void Say(const std::string& text) { PrintError(Error{Code::kOk, 0, Cat("slipway: ", text)}); }

Result<v1::SubmitRequest> RequestOf(const Parsed& options) {
  v1::SubmitRequest request;
  v1::JobSpec& spec = *request.mutable_spec();
  *spec.mutable_resources() = TRY(ResourcesOf(options));
  v1::Program& program = *spec.mutable_program();
  TRY(DescribeProgram(options, program));
  program.set_script(kHolder);
  program.clear_stdin_path();
  spec.set_name(options.Value("job-name", "interactive"));
  spec.set_attended(true);
  TRY(ReadSiteJob(options, spec));
  request.set_request_id(NewRequestId());
  return request;
}

// The command as a child of ours, on our terminal and in our session; signals as a shell expects them.
Result<pid_t> Start(std::vector<std::string> words, const std::vector<std::string>& env) {
  if (words.empty()) {
    const char* shell = ::getenv("SHELL");
    words = {shell != nullptr && *shell == '/' ? shell : "/bin/sh"};
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = ::fork();
  if (child < 0) return ErrnoFail("fork");
  if (child > 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGHUP);  // without us there is no allocation either
  UnblockSignals();
  for (const std::string& entry : env) ::putenv(const_cast<char*>(entry.c_str()));
  ::execvp(argv[0], argv.data());
  int missing = errno;
  PrintError(ErrnoErrorOf(missing, "cannot run", words[0]));
  ::_exit(missing == ENOENT ? 127 : 126);
}

// What happens to the allocation comes over a pipe from the thread that is attached; what happens to the
// command and to us comes as signals. One loop decides.
class Holder {
 public:
  Holder(Cluster cluster, const Parsed& options, std::uint64_t job)
      : cluster_(std::move(cluster)), options_(options), job_(job), stream_(cluster_, job, kBatchStep) {}

  Result<int> Run() {
    sigset_t set;
    sigemptyset(&set);
    for (int number : kSignals) sigaddset(&set, number);
    signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return ErrnoFail("signalfd");
    PipeEnds pipe = TRY(MakePipe());
    events_ = std::move(pipe.read);
    told_ = std::move(pipe.write);
    std::thread([this] { Follow(); }).detach();
    while (!done_) TRY(Step());
    Release();
    return code_;
  }

 private:
  void Follow() {
    bool running = false;
    auto last = stream_.Run([&](const v1::AttachOutput& message) {
      if (!message.notice().empty() && !message.running() && ::isatty(2) == 1)
        Say(Cat("job ", job_, ": ", message.notice()));
      if (message.running() && !std::exchange(running, true)) Tell('R');
    });
    reason_ = last ? last->reason() : last.error().message;
    Tell('E');
  }
  void Tell(char what) { [[maybe_unused]] auto told = WriteAll(told_.get(), {&what, 1}); }

  Result<> Step() {
    pollfd two[] = {{signals_.get(), POLLIN, 0}, {ended_ ? -1 : events_.get(), POLLIN, 0}};
    int wait_ms = leaving_ ? static_cast<int>(std::chrono::milliseconds(kLeaveWithin).count()) : -1;
    int ready = ::poll(two, 2, wait_ms);
    if (ready == 0) done_ = true;  // the command does not go; the allocation does
    if (ready <= 0) return {};
    if (two[1].revents != 0) TRY(OnEvent());
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info)
      OnSignal(static_cast<int>(info.ssi_signo));
    return {};
  }

  Result<> OnEvent() {
    char what = 0;
    if (::read(events_.get(), &what, 1) != 1) return {};
    if (what == 'R' && child_ == 0 && !leaving_) {
      Say(Cat("Granted job allocation ", job_));
      v1::Job job = TRY(FindJob(cluster_, Cat(job_)));
      child_ = TRY(Start(options_.positionals(), AllocEnvironment(job, cluster_.context().name, Caller())));
    }
    if (what != 'E') return {};
    ended_ = true;
    Say(Cat("Job allocation ", job_, " has been revoked", reason_.empty() ? "" : ": ", reason_));
    if (child_ > 0) {
      ::kill(child_, ::isatty(0) == 1 ? SIGHUP : SIGTERM);
    } else {
      done_ = true;
      code_ = 1;
    }
    return {};
  }

  void OnSignal(int number) {
    if (number == SIGCHLD) return Reap();
    // The terminal has told the command as well; it is for that to decide.
    if (child_ > 0 && (number == SIGINT || number == SIGQUIT)) return;
    code_ = 128 + number;
    if (child_ == 0) {
      done_ = true;
      return;
    }
    leaving_ = true;
    ::kill(child_, number);
    if (number == SIGTERM) ::kill(child_, SIGHUP);  // a shell on a terminal ignores the other
  }

  void Reap() {
    int status = 0;
    if (child_ <= 0 || ::waitpid(child_, &status, WNOHANG) != child_) return;
    if (!leaving_) code_ = ExitStatus{status}.exit_code();
    done_ = true;
  }

  // The holder reads the end of its input, and the job is COMPLETED. One that waits still is cancelled.
  void Release() {
    if (ended_) return;
    Say(Cat("Relinquishing job allocation ", job_));
    if (child_ > 0) {
      v1::AttachInput end;
      end.set_stdin_eof(true);
      bool sent = stream_.Send(end);
      pollfd events{events_.get(), POLLIN, 0};
      char what = 0;
      auto ms = static_cast<int>(std::chrono::milliseconds(kLeaveWithin).count());
      while (sent && ::poll(&events, 1, ms) == 1 && ::read(events_.get(), &what, 1) == 1) {
        if (what == 'E') return;
      }
    }
    v1::CancelRequest request;
    request.set_job_id(job_);
    auto cancelled = cluster_.Call<v1::Jobs>(&v1::Jobs::Stub::Cancel, request);
    if (!cancelled && cancelled.error().code != Code::kFailedPrecondition) PrintError(cancelled.error());
  }

  Cluster cluster_;
  const Parsed& options_;
  const std::uint64_t job_;
  StepStream stream_;
  UniqueFd signals_, events_, told_;
  std::string reason_;  // written before 'E' is told
  pid_t child_ = 0;
  bool ended_ = false, leaving_ = false, done_ = false;
  int code_ = 0;
};

Result<int> Hold(const Parsed& given) {
  Parsed options = given;
  TRY(TakeFromEnvironment(Declare(), {"PYXIS_"}, OwnEnvironment(), options));
  if (options.Has("no-shell"))
    return UsageExit(
        Error{Code::kInvalidArgument, 0,
              "slipway alloc: --no-shell: an allocation lives with who holds it; for one that stays: "
              "slipway submit --wrap 'sleep infinity'"});
  auto word = ImageWordOf(options);
  if (!word) return UsageExit(word.error());
  if (word->empty())
    return UsageExit(
        Error{Code::kInvalidArgument, 0,
              "slipway alloc: no image; give --image: steps run in it unless they name another"});
  auto request = RequestOf(options);
  if (!request) return UsageExit(request.error());
  WantedImage image = TRY(Bring(*word));
  sigset_t set;
  sigemptyset(&set);
  for (int number : kSignals) sigaddset(&set, number);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  Cluster cluster = TRY(Cluster::Of(options));
  request->mutable_spec()->set_image(TRY(ReferenceOf(cluster, image)));
  auto reply = TRY(cluster.Call<v1::Jobs>(&v1::Jobs::Stub::Submit, *request));
  for (const std::string& warning : reply.warnings()) Say(Cat("warning: ", warning));
  // Its thread uses it until the process has gone.
  auto* holder = new Holder(cluster, *new Parsed(options), reply.job_id());
  FinishAttached(TRY(holder->Run()));
}

Result<int> RunToTheEnd(const Parsed& options) {
  auto code = Hold(options);
  if (code) return code;
  PrintError(code.error());
  FinishAttached(kOwnFailure);
}

}  // namespace

const Subcommand kAlloc{{"alloc"}, Declare, RunToTheEnd, kOwnFailure};

}  // namespace slipway::cli
