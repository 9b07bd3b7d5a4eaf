// SPDX-License-Identifier: Apache-2.0
#include "agent/meter/step_meter.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/log/log.h"
#include "base/text/text.h"

namespace slipway {

Result<std::unique_ptr<StepMeter>> StepMeter::Make(Loop& loop, MeterOptions options) {
  HostTree host = TRY(HostTree::At(options.host_root)), counters = TRY(HostTree::At(options.host_root));
  return std::unique_ptr<StepMeter>(
      new StepMeter(loop, std::move(options), std::move(host), std::move(counters)));
}

StepMeter::StepMeter(Loop& loop, MeterOptions options, HostTree host, HostTree counters)
    : loop_(loop), options_(std::move(options)), host_(std::move(host)), energy_(std::move(counters)) {
  if (!energy_.why_not().empty()) Log(Level::kInfo, energy_.why_not());
}

StepMeter::~StepMeter() {
  loop_.Cancel(timer_);
  EndProgram();
}

NodeCounters StepMeter::Read() {
  static const auto kTicks = static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  if (!energy_.why_not().empty()) return {};
  return {energy_.Total(), NodeBusy(host_, kTicks)};
}

void StepMeter::Began(const StepId& step, const std::vector<std::string>& gpus) {
  std::vector<std::string> known;
  for (const std::string& gpu : gpus) {
    if (std::ranges::find(options_.gpu_ids, gpu) != options_.gpu_ids.end()) known.push_back(gpu);
  }
  book_.Began(step, std::move(known), Read());
  if (timer_.value == 0) KeepReading();
  WatchGpus();
}

MeteredUse StepMeter::Ended(const StepId& step, std::uint64_t cpu_us) {
  if (book_.empty()) return {};
  MeteredUse use = book_.Ended(step, cpu_us, Read());
  if (book_.empty()) loop_.Cancel(std::exchange(timer_, Loop::TimerId{}));
  if (!book_.any_gpus()) EndProgram();
  return use;
}

void StepMeter::KeepReading() {
  if (!energy_.why_not().empty()) return;
  timer_ = loop_.After(options_.energy_every, [this] {
    Read();
    KeepReading();
  });
}

void StepMeter::WatchGpus() {
  if (!book_.any_gpus() || program_ || options_.gpu_program.empty()) return;
  auto started = StartProgram();
  if (started || std::exchange(gpus_failed_, true)) return;
  Log(Level::kWarn, "the use of GPUs is not counted", {{"error", started.error().message}});
}

Result<> StepMeter::StartProgram() {
  std::vector<std::string> argv = {
      options_.gpu_program, "gpu", "use", "--every-ms", Cat(options_.gpu_every.count()), "--host-root",
      options_.host_root};
  argv.insert(argv.end(), options_.gpu_ids.begin(), options_.gpu_ids.end());
  UniqueFd null_fd = TRY(Open("/dev/null", O_RDWR));
  PipeEnds pipe = TRY(MakePipe());
  TRY(SetNonblocking(pipe.read.get()));
  Process program = TRY(Spawn({.argv = std::move(argv),
                               .env = std::vector<std::string>{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                               .cwd = "/",
                               .fds = {{0, null_fd.get()}, {1, pipe.write.get()}, {2, null_fd.get()}},
                               .new_session = true,
                               .parent_death_signal = SIGKILL}));
  watch_ = TRY(loop_.Watch(pipe.read.get(), EPOLLIN, [this](std::uint32_t) { OnLines(); }));
  program_ = std::move(program);
  lines_ = std::move(pipe.read);
  begun_line_.clear();
  return {};
}

void StepMeter::OnLines() {
  constexpr std::size_t kLineBytesMax = 256;
  char bytes[4096];
  ssize_t got = ::read(lines_.get(), bytes, sizeof bytes);
  if (got < 0) return;  // nothing yet
  begun_line_.append(bytes, static_cast<std::size_t>(got));
  std::size_t end;
  while ((end = begun_line_.find('\n')) != std::string::npos) {
    if (auto use = GpuUseIn(std::string_view(begun_line_).substr(0, end))) book_.Saw(*use, loop_.Now());
    begun_line_.erase(0, end + 1);
  }
  if (got > 0 && begun_line_.size() <= kLineBytesMax) return;
  // The driver's library is away, or crashed. Not again before the next step with GPUs.
  EndProgram();
  if (!std::exchange(gpus_failed_, true))
    Log(Level::kWarn, "the use of GPUs is not counted: the program that asks the driver ended",
        {{"try", "slipway gpu use UUID"}});
}

// One that hangs in the driver is not waited for.
void StepMeter::EndProgram() {
  if (watch_.value != 0) loop_.Unwatch(std::exchange(watch_, Loop::WatchId{}));
  lines_.reset();
  if (!program_) return;
  [[maybe_unused]] auto killed = program_.Signal(SIGKILL);
  auto process = std::make_shared<Process>(std::exchange(program_, Process()));
  auto watch = std::make_shared<Loop::WatchId>();
  auto made = loop_.Watch(process->pidfd(), EPOLLIN, [loop = &loop_, process, watch](std::uint32_t) {
    [[maybe_unused]] auto status = process->Wait();
    loop->Unwatch(*watch);
  });
  if (made) *watch = *made;
}

}  // namespace slipway
