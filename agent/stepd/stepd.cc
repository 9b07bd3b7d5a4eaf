// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/stepd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>

#include "agent/stepd/launch_plan.h"
#include "agent/stepd/usage.h"
#include "launcher/spec/cgroup_settings.h"

namespace slipway {
namespace {

constexpr std::size_t kWarningsWaitingMax = 100;
constexpr auto kExchangeTick = std::chrono::milliseconds(500);

std::string InCwd(const StepSpec& spec, const std::string& path) {
  return path.starts_with('/') ? path : Cat(spec.cwd.empty() ? "/" : spec.cwd, "/", path);
}

// Several nodes write one file: each appends, and only the first empties it, before the others begin.
Result<UniqueFd> OpenOutput(const StepSpec& spec, const std::string& path) {
  int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY;
  if (!spec.append_output && spec.node_index == 0) flags |= O_TRUNC;
  auto file = Open(InCwd(spec, path), flags, 0666);
  if (!file) return Failure(std::move(file).error().Context("the output file cannot be opened"));
  return file;
}

// Of a bound Unix socket; /tmp where its name does not say (a path too long for a socket's name).
std::string FolderOf(int socket_fd) {
  sockaddr_un address{};
  socklen_t size = sizeof address - 1;  // a NUL stays behind the longest name
  if (::getsockname(socket_fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) return "/tmp";
  std::string path = address.sun_path;
  if (!path.starts_with('/') || path.starts_with("/proc/")) return "/tmp";
  return path.substr(0, std::max<std::size_t>(1, path.rfind('/')));
}

}  // namespace

Stepd::Stepd(Loop& loop, StepSpec spec, StepdFds fds, uid_t agent_uid)
    : loop_(loop),
      spec_(std::move(spec)),
      run_dir_(FolderOf(fds.listener.get())),
      status_file_(std::move(fds.status)),
      outcome_(spec_),
      output_(loop, [this](StepOutput piece) { agent_.Send(StepFrame::kOutput, piece); }),
      input_(loop),
      terminal_(loop, output_, input_),
      agent_(loop, AgentEvents()),
      init_(loop, std::move(fds.control), InitEvents()),
      visitors_(loop, init_),
      door_(loop, std::move(fds.listener), AgentLink::kFrameBytesMax, DoorEvents(agent_uid)),
      exchange_(spec_.node_index, spec_.nodes, ExchangeEvents()),
      ranks_cgroup_(RanksCgroup(ReadFile("/proc/self/cgroup").value_or(""),
                                ReadFile("/proc/self/mountinfo").value_or(""))),
      pmi_sockets_(loop, {.received = [this](std::uint32_t rank,
                                             std::string_view bytes) { pmi_->Receive(rank, bytes); },
                          .closed = [this](std::uint32_t rank) { pmi_->Gone(rank); }}),
      spare_(ByCore(spec_.cpus, "/sys"), spec_.rank_cpus),
      spawner_(loop, SpawnHost()),
      fence_watch_(loop, FenceHost()),
      folder_probe_(loop),
      local_fences_(loop, LocalFenceHost()),
      meeting_(loop, spec_, MeetingHost()),
      last_lap_(loop.Now()) {
  output_.on_drained = [this] { MaybeFinish(); };
}

Stepd::~Stepd() {
  if (!private_dir_.empty()) (void)RemoveTree(private_dir_);
}

void Stepd::MarkLap(std::string name) {
  MonotonicTime now = loop_.Now();
  auto us = std::chrono::duration_cast<std::chrono::microseconds>(now - last_lap_).count();
  laps_.push_back({.name = std::move(name), .us = static_cast<std::uint32_t>(us)});
  last_lap_ = now;
}

void Stepd::EnterPhase(StepPhase phase) {
  phase_ = phase;
  agent_.Send(StepFrame::kState,
              StepState{.step = spec_.step, .phase = phase_, .laps = laps_, .binding = spec_.binding});
}

const UniqueFd& Stepd::FileOf(bool of_stderr) const {
  return of_stderr && !spec_.stderr_path.empty() ? stderr_file_ : stdout_file_;
}

// A line for the user, where the ranks' stderr goes.
void Stepd::Warn(std::string_view text) {
  std::string line = Cat("slipway: ", text, "\n");
  if (const UniqueFd& file = FileOf(true)) {
    (void)WriteAll(file.get(), line);
  } else if (agent_.attached()) {
    agent_.Send(StepFrame::kOutput,
                StepOutput{.rank = LocalRanks().empty() ? 0 : LocalRanks()[0], .stream = 2, .bytes = line});
  } else if (warnings_waiting_.size() < kWarningsWaitingMax) {
    warnings_waiting_.emplace_back(text);
  }
}

Result<> Stepd::Begin() {
  TRY(door_.Start());
  TRY(init_.Start());
  return folder_probe_.Begin(FoldersOf(spec_), std::chrono::seconds(spec_.folder_timeout_s),
                             [this](const std::string& silent) { OnFoldersSeen(silent); });
}

void Stepd::OnFoldersSeen(const std::string& silent) {
  if (outcome_.failed()) return;  // it was ended meanwhile
  if (!silent.empty()) {
    return FailStep(
        125, Cat(silent, " does not answer on node ", spec_.nodes[spec_.node_index], ": nothing came within ",
                 spec_.folder_timeout_s, " s; is its file server (NFS, FUSE) alive?"));
  }
  if (auto prepared = Prepare(); !prepared) return FailStep(125, prepared.error().message);
  JoinParent(StartWordOf(spec_));
}

Result<> Stepd::Prepare() {
  TRY(OpenFiles());
  terminal_size_ = TRY(TerminalOf(spec_.env));
  if (!spec_.script.empty()) TRY(CheckScript(spec_.script));
  if (mpi()) TRY(StartMpi());
  return {};
}

Result<> Stepd::OpenFiles() {
  if (!spec_.stdout_path.empty()) stdout_file_ = TRY(OpenOutput(spec_, spec_.stdout_path));
  if (!spec_.stderr_path.empty()) stderr_file_ = TRY(OpenOutput(spec_, spec_.stderr_path));
  const auto& ranks = LocalRanks();
  bool has_rank_0 = std::find(ranks.begin(), ranks.end(), 0U) != ranks.end();
  if (!spec_.stdin_path.empty() && has_rank_0) {
    auto file = Open(InCwd(spec_, spec_.stdin_path), O_RDONLY | O_NOCTTY);
    if (!file) return Failure(std::move(file).error().Context("the input file cannot be opened"));
    stdin_file_ = std::move(*file);
  }
  return {};
}

Result<> Stepd::Launch() {
  LaunchSpec launch = TRY(PlanLaunch(spec_));
  std::vector<UniqueFd> fds;
  TRY(GiveImage(launch, fds));
  TRY(GiveStreams(launch, fds));
  if (mpi()) TRY(GiveMpi(launch, fds));
  if (spec_.tell_binding) TellBinding();
  launch.fd_count = static_cast<std::uint32_t>(fds.size());
  launched_ = true;
  TRY(init_.Launch(launch, std::move(fds)));
  MarkLap("launch sent");
  if (spec_.time_limit_s > 0) ArmLimit(std::chrono::seconds(spec_.time_limit_s));
  return {};
}

void Stepd::ArmLimit(std::chrono::nanoseconds left) {
  limit_at_ = loop_.Now() + left;
  limit_timer_ = loop_.After(left, [this] {
    Terminate(Cat("TIMEOUT: the step ran longer than its limit of ", spec_.time_limit_s, " s"),
              std::chrono::seconds(spec_.kill_grace_s));
  });
}

void Stepd::Suspend(bool suspended) {
  if (suspended == suspended_ || !launched_ || taking_down_ || ranks_ended_) return;
  suspended_ = suspended;
  init_.Signal(-1, suspended ? SIGSTOP : SIGCONT);
  if (spec_.time_limit_s == 0) return;
  if (suspended) {
    limit_left_ = limit_at_ - loop_.Now();
    loop_.Cancel(limit_timer_);
  } else {
    ArmLimit(std::max<std::chrono::nanoseconds>(limit_left_, std::chrono::seconds(1)));
  }
}

void Stepd::SignalBeforeLimit(const StepLimitSignal& order) {
  if (!ready_ || std::exchange(limit_signal_sent_, true)) return;
  if (!order.rank_alone) return init_.Signal(-1, order.signal_number);
  for (std::size_t task = 0; task < LocalRanks().size(); ++task)
    init_.Signal(static_cast<std::int32_t>(task), order.signal_number);
}

void Stepd::TellBinding() {
  const std::string& node = spec_.nodes[spec_.node_index];
  if (spec_.rank_cpus.empty()) return Warn(Cat("cpu-bind: ", node, ": ", spec_.binding));
  for (std::size_t local = 0; local < spec_.rank_cpus.size(); ++local)
    Warn(Cat("cpu-bind: ", node, ", rank ", LocalRanks()[local], " (", local, " here): processors ",
             NumberList(spec_.rank_cpus[local])));
}

Result<> Stepd::GiveImage(LaunchSpec& launch, std::vector<UniqueFd>& fds) {
  if (spec_.image_path.empty()) return {};  // the privileged half has attached it
  UniqueFd image = TRY_CONTEXT(Open(spec_.image_path, O_RDONLY), "image");
  struct stat status {};
  if (::fstat(image.get(), &status) < 0) return ErrnoFail("fstat", spec_.image_path);
  if (S_ISDIR(status.st_mode)) {
    launch.image = {.kind = ImageKind::kDirectory, .path = spec_.image_path};
    return {};
  }
  launch.image = {.kind = ImageKind::kSquashfuse,
                  .path = spec_.image_path,
                  .fd = static_cast<std::int32_t>(fds.size()),
                  .size = static_cast<std::uint64_t>(status.st_size)};
  fds.push_back(std::move(image));
  return {};
}

Result<> Stepd::GiveStreams(LaunchSpec& launch, std::vector<UniqueFd>& fds) {
  if (terminal_size_) return GiveTerminal(launch, fds);
  auto give = [&](UniqueFd fd) {
    fds.push_back(std::move(fd));
    return static_cast<std::int32_t>(fds.size()) - 1;
  };
  std::int32_t out = -1, err = -1;
  if (stdout_file_) out = give(TRY(Dup(stdout_file_.get())));
  if (stderr_file_) err = give(TRY(Dup(stderr_file_.get())));
  if (stdout_file_ && spec_.stderr_path.empty()) err = out;
  for (Task& task : launch.tasks) {
    task.stdout_fd = out >= 0 ? out : give(TRY(output_.Add(task.rank, 1)));
    task.stderr_fd = err >= 0 ? err : give(TRY(output_.Add(task.rank, 2)));
    if (task.rank != 0) continue;
    if (stdin_file_) {
      task.stdin_fd = give(std::move(stdin_file_));
    } else if (spec_.interactive_stdin) {
      task.stdin_fd = give(TRY(input_.Open()));
    }
  }
  return {};
}

// What other ranks say would run over the screen of a program that draws on it.
Result<> Stepd::GiveTerminal(LaunchSpec& launch, std::vector<UniqueFd>& fds) {
  fds.push_back(TRY(Open("/dev/null", O_RDWR | O_NOCTTY)));
  auto null = static_cast<std::int32_t>(fds.size()) - 1;
  for (Task& task : launch.tasks) {
    if (task.rank != 0) {
      task.stdout_fd = task.stderr_fd = null;
      continue;
    }
    task.own_terminal = true;
    task.terminal_size = *terminal_size_;
    fds.push_back(TRY(terminal_.Expect(task.rank)));
    task.stdin_fd = static_cast<std::int32_t>(fds.size()) - 1;
  }
  return {};
}

void Stepd::ArmExchangeTick() {
  if (exchange_timer_.value != 0 || !exchange_.wants_tick()) return;
  exchange_timer_ = loop_.After(kExchangeTick, [this] {
    exchange_timer_ = {};
    exchange_.Tick();
    ArmExchangeTick();
  });
}

}  // namespace slipway
