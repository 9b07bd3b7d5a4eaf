// SPDX-License-Identifier: Apache-2.0
#include "agent/health/job_gate.h"

#include <algorithm>

#include "base/log/log.h"
#include "base/wire/wire.h"

namespace slipway {
namespace {

constexpr std::size_t kOutputsKept = 100;
constexpr std::size_t kHeldMax = 1024;  // messages to a step that waits

struct EnteredFile {
  std::uint32_t version = 1;
  std::string boot_id;
  EnteringJob who;
};
void Fields(auto& archive, IsA<EnteredFile> auto& v) {
  archive(v.version, v.boot_id, v.who.job, v.who.attempt, v.who.uid, v.who.gid, v.who.user, v.who.cluster);
}

}  // namespace

JobGate::JobGate(Loop& loop, GateOptions options, Events events)
    : options_(std::move(options)), events_(std::move(events)), programs_(loop) {
  std::string folder = options_.state_dir + "/jobs";
  if (auto made = MakeDirectories(folder, 0700); !made)
    Log(Level::kError, "the folder of jobs that have entered", {{"error", made.error().message}});
  for (const std::string& name : NamesIn(folder).value_or(std::vector<std::string>())) {
    auto bytes = ReadFile(Cat(folder, "/", name), 1 << 16);
    auto file = bytes ? Decode<EnteredFile>(*bytes, "job that has entered") : Failure(bytes.error());
    if (!file || file->version != 1 || file->boot_id != options_.boot_id) {
      ::unlink(Cat(folder, "/", name).c_str());
      continue;
    }
    jobs_[{file->who.job, file->who.attempt}] = Job{Job::kInside, file->who, {}, {}};
  }
}

std::string JobGate::FileOf(const Attempt& attempt) const {
  return Cat(options_.state_dir, "/jobs/", attempt.first, ".", attempt.second);
}

void JobGate::Found(const StepId& step) {
  Job& job = jobs_[{step.job, step.attempt}];
  job.who.job = step.job;
  job.who.attempt = step.attempt;
  if (job.where == Job::kBefore) job.where = Job::kInside;
}

void JobGate::Enter(const EnteringJob& who, const StepId& step, std::function<void()> start) {
  Attempt attempt{who.job, who.attempt};
  auto [at, is_new] = jobs_.try_emplace(attempt);
  Job& job = at->second;
  if (job.where == Job::kInside) return start();
  if (job.where == Job::kLeaving) return;  // too late: its end is asked for already
  if (!job.waiting.try_emplace(step, 1, std::move(start)).second || !is_new) return;
  job.who = who;
  events_.look([this, attempt](const std::string& reason) { Looked(attempt, reason); });
}

void JobGate::Looked(const Attempt& attempt, const std::string& reason) {
  auto at = jobs_.find(attempt);
  if (at == jobs_.end()) return;
  if (!reason.empty()) return Refuse(attempt, Cat("the node is unfit: ", reason));
  if (at->second.waiting.empty()) return Refuse(attempt, {});  // nobody is left to be refused
  RunFor(attempt, "prolog", options_.prolog, [this, attempt](const std::string& failure) {
    if (failure.empty()) return Entered(attempt);
    events_.drain(failure);
    Refuse(attempt, failure);
  });
}

void JobGate::Entered(const Attempt& attempt) {
  Job& job = jobs_.at(attempt);
  job.where = Job::kInside;
  // Before anything of it starts: its epilog shall not be forgotten.
  if (auto kept =
          WriteFileForThisBoot(FileOf(attempt), Encode(EnteredFile{1, options_.boot_id, job.who}), 0600);
      !kept)
    return Refuse(attempt, Cat("the node cannot note a job: ", kept.error().message));
  auto waiting = std::exchange(job.waiting, {});
  for (auto& [step, calls] : waiting) {
    for (auto& call : calls) call();
  }
  if (job.left) Leave(attempt.first, attempt.second, std::move(job.left));
}

void JobGate::Refuse(const Attempt& attempt, const std::string& reason) {
  auto node = jobs_.extract(attempt);
  for (auto& [step, calls] : node.mapped().waiting) events_.refuse(step, reason);
  if (node.mapped().left) node.mapped().left();
}

bool JobGate::Hold(const StepId& step, std::function<void()> later) {
  auto at = jobs_.find({step.job, step.attempt});
  if (at == jobs_.end()) return false;
  auto waits = at->second.waiting.find(step);
  if (waits == at->second.waiting.end()) return false;
  waits->second.push_back(std::move(later));
  if (waits->second.size() <= kHeldMax) return true;
  at->second.waiting.erase(waits);
  events_.refuse(step, "more input than this node keeps came before the step could start");
  return true;
}

void JobGate::DropHeld() {
  for (auto& [attempt, job] : jobs_) {
    for (auto& [step, calls] : job.waiting) calls.resize(1);
  }
}

void JobGate::Drop(const StepId& step) {
  auto at = jobs_.find({step.job, step.attempt});
  if (at != jobs_.end()) at->second.waiting.erase(step);
}

void JobGate::Leave(std::uint64_t number, std::uint32_t attempt_number, std::function<void()> left) {
  Attempt attempt{number, attempt_number};
  auto at = jobs_.find(attempt);
  if (at == jobs_.end()) return left();
  Job& job = at->second;
  job.waiting.clear();
  job.left = std::move(left);
  if (job.where != Job::kInside) return;  // its prolog, or its epilog, runs to its end first
  job.where = Job::kLeaving;
  RunFor(attempt, "epilog", options_.epilog, [this, attempt](const std::string& failure) {
    if (!failure.empty()) events_.drain(failure);
    Left(attempt);
  });
}

void JobGate::Left(const Attempt& attempt) {
  ::unlink(FileOf(attempt).c_str());
  auto node = jobs_.extract(attempt);
  events_.look([](const std::string&) {});
  node.mapped().left();
}

void JobGate::RunFor(const Attempt& attempt, const char* what, const std::string& program,
                     std::function<void(const std::string&)> done) {
  if (program.empty()) return done({});
  const EnteringJob& who = jobs_.at(attempt).who;
  std::vector<std::string> env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                  Cat("SLIPWAY_JOB_ID=", who.job),
                                  Cat("SLIPWAY_ATTEMPT=", who.attempt),
                                  Cat("SLIPWAY_JOB_UID=", who.uid),
                                  Cat("SLIPWAY_JOB_GID=", who.gid),
                                  Cat("SLIPWAY_JOB_USER=", who.user),
                                  Cat("SLIPWAY_CLUSTER=", who.cluster),
                                  Cat("SLIPWAY_NODE=", options_.node),
                                  Cat("SLIPWAY_HOOK=", what)};
  programs_.Run({program}, std::move(env), options_.timeout,
                [this, attempt, what, done = std::move(done)](const ProgramEnd& end) {
                  KeepOutput(attempt, what, end.output);
                  if (end.good()) return done({});
                  std::string failure =
                      Cat(what, " of job ", attempt.first, ": ", Describe(end, options_.timeout));
                  Log(Level::kError, failure, {{"node", options_.node}});
                  done(failure);
                });
}

// Of the newest ones; their names are of one length, so that the oldest come first.
void JobGate::KeepOutput(const Attempt& attempt, const char* what, const std::string& output) const {
  std::string folder = options_.state_dir + "/output", job = std::to_string(attempt.first);
  if (output.empty() || !MakeDirectories(folder, 0700)) return;
  job.insert(0, job.size() < 20 ? 20 - job.size() : 0, '0');
  std::string file = Cat(folder, "/", job, ".", attempt.second, ".", what);
  if (auto kept = WriteFileAtomically(file, output, 0600); !kept)
    Log(Level::kWarn, "output cannot be kept", {{"error", kept.error().message}});
  auto names = NamesIn(folder).value_or(std::vector<std::string>());
  std::sort(names.begin(), names.end());
  for (std::size_t i = 0; i + kOutputsKept < names.size(); ++i) ::unlink(Cat(folder, "/", names[i]).c_str());
}

}  // namespace slipway
