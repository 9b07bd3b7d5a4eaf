// SPDX-License-Identifier: Apache-2.0
// The way into a step. Everything here is undone by Made's destructor unless the step is kept at the end.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "launcher/broker/host_rules.h"
#include "launcher/broker/image_mount.h"
#include "launcher/broker/job_folder.h"
#include "launcher/broker/stepd_birth.h"
#include "launcher/broker/steps.h"

namespace slipway {
namespace {

constexpr std::string_view kMakingContainer = "making the container's namespaces";
constexpr std::string_view kStartingStepd = "starting slipway-stepd";
constexpr std::uint32_t kGraceSeconds = 30;  // stepd ends its step at the limit; we only if it did not

std::string JobKey(const StepId& step) { return Cat("job-", step.job, ".", step.attempt); }

}  // namespace

struct StepKeeper::Made {
  Made(StepKeeper& keeper, const LaunchCredential& of, const slipway::StartStep& request)
      : keeper(keeper), step(of.step), identity{of.uid, of.gid, of.groups}, request(request) {}
  ~Made() {
    if (kept) return;
    stepd.reset();  // kills and reaps, so that the cgroup is empty
    init.reset();
    EndStepCgroup(cgroup.path);
    if (folder_made) [[maybe_unused]]
      auto removed = RemoveTree(keeper.Folder(step));
    keeper.world_.images.Release(step);
    if (new_job) {
      RemoveJobFolder(keeper.world_.conf, step);
      keeper.jobs_.erase(JobKey(step));
      if (keeper.world_.holder != nullptr) [[maybe_unused]]
        auto dropped = keeper.world_.holder->Drop(JobKey(step));
    }
  }
  StepKeeper& keeper;
  const StepId step;
  const UserIds identity;
  const slipway::StartStep& request;
  bool kept = false, folder_made = false, new_job = false;
  StepCgroup cgroup;
  std::string image_path;
  UniqueFd listen, status, log;
  std::optional<HalfBorn> init, stepd;
};

Result<> StepKeeper::Start(const slipway::StartStep& request, UniqueFd spec) {
  LaunchCredential credential = TRY(VerifyByController(request.credential, world_.conf));
  TRY(JudgeCredential(credential, world_.conf, ::geteuid()));
  if (request.devices.of_tasks.size() > kDeviceTasksMax)
    return Fail(Code::kInvalidArgument, "devices of ", request.devices.of_tasks.size(), " ranks");
  if (!spec) return Fail(Code::kInvalidArgument, "a start without a step spec");
  // It goes to the user's stepd unread; only that it cannot change any more is ours to ask.
  TRY_CONTEXT(CheckSealed(spec.get()), "the step spec");
  // A missing image is the agent's to bring and costs no mark: it may come back with the same credential.
  TRY(OpenStoreImage(world_.conf, credential.image_digest));
  TRY(world_.marks.Use({credential.epoch, credential.step, credential.oldest_live_job}));
  Made made(*this, credential, request);
  TRY_CONTEXT(Make(credential, spec.get(), made), Cat("step ", ToString(credential.step)));
  return {};
}

Result<> StepKeeper::Make(const LaunchCredential& credential, int spec_fd, Made& made) {
  made.image_path = TRY(world_.images.Use(credential.image_digest, credential.step,
                                          credential.changes_image ? &made.identity : nullptr));
  TRY(MakeFolder(credential, made));
  made.cgroup =
      TRY(world_.cgroups.Make(credential.step, credential.limits, made.request.devices, credential.uid));
  TRY(BearBoth(credential, spec_fd, made));
  RunRecord record = RecordOf(credential, made);
  record.init = TRY(NameOf(made.init->pid()));
  record.stepd = TRY(NameOf(made.stepd->pid()));
  TRY(WriteRecord(Folder(credential.step), record));
  // On record: from here on the next broker would know them.
  TRY(made.init->Tell(HalfBorn::kGo));
  TRY(made.stepd->Tell(HalfBorn::kGo));
  TRY(made.stepd->HearItClose());
  auto [at, added] = steps_.insert_or_assign(credential.step, Step{});
  at->second.record = std::move(record);
  at->second.lease_boot_ms = made.request.lease_boot_ms;
  at->second.init = Watched{made.init->Release(), {}, true};
  at->second.stepd = Watched{made.stepd->Release(), {}, true};
  made.kept = true;
  return WatchStep(at);
}

Result<> StepKeeper::MakeFolder(const LaunchCredential& credential, Made& made) {
  std::string folder = Folder(credential.step);
  if (::mkdir(folder.c_str(), 0755) < 0) return ErrnoFail("mkdir", folder);
  made.folder_made = true;
  made.listen = TRY(ListenUnix(folder + "/sock", SOCK_STREAM, 0666));
  // The agent reads the result of a stepd that died after writing it; nobody else has business with it.
  made.status = TRY(Open(folder + "/status", O_RDWR | O_CREAT | O_EXCL, 0600));
  made.log = TRY(Open(folder + "/stepd.log", O_WRONLY | O_APPEND | O_CREAT | O_EXCL, 0600));
  if (world_.conf.rootless) return {};
  for (int fd : {made.status.get(), made.log.get()}) {
    if (::fchown(fd, credential.uid, world_.conf.agent_gid) < 0) return ErrnoFail("fchown in", folder);
  }
  if (::fchmod(made.status.get(), 0640) < 0) return ErrnoFail("fchmod", folder + "/status");
  return {};
}

Result<const JobNamespaces*> StepKeeper::JoinableNamespaces(const StepId& step) {
  const JobNamespaces* none = nullptr;
  std::string key = JobKey(step);
  if (auto at = jobs_.find(key); at != jobs_.end()) return &at->second;
  auto kept = world_.holder->Get(key);
  if (!kept && kept.error().code == Code::kNotFound) return none;
  if (!kept) return Failure(std::move(kept).error());
  if (kept->size() != 2)
    return Fail(Code::kInternal, "slipway-holder keeps ", kept->size(), " descriptors as ", key, ", not 2");
  return &(jobs_[key] = JobNamespaces{std::move((*kept)[0]), std::move((*kept)[1])});
}

Result<> StepKeeper::BearBoth(const LaunchCredential& credential, int spec_fd, Made& made) {
  SocketEnds control = TRY(MakeSocketPair(SOCK_SEQPACKET));
  BirthPlan plan{.identity = made.identity,
                 .birth = {.control_fd = control.a.get(),
                           .image_path = made.image_path,
                           .proc_masked = world_.proc_masked,
                           .rules = RulesOfThisHost(),
                           .policy = PolicyForJobs(world_.conf)},
                 .cgroup_fd = made.cgroup.tasks.get(),
                 .log_fd = made.log.get()};
  for (const UniqueFd& own : made.cgroup.of_tasks) plan.birth.task_cgroups.push_back(own.get());
  if (!world_.conf.rootless) {
    plan.join = TRY(JoinableNamespaces(credential.step));
    made.new_job = plan.join == nullptr;
    // Of the job's user namespace, so born with it: who joins one makes his own later, in a child.
    plan.birth.pid_namespace = made.new_job && !world_.proc_masked;
    TRY_CONTEXT(MakeJobFolder(world_.conf, credential.step, made.identity, made.request.room),
                "the job's folder");
  }
  StepdPlan stepd{.program = world_.conf.stepd_program(made.request.pmix),
                  .identity = made.identity,
                  .agent_uid = world_.conf.agent_uid,
                  .rootless = world_.conf.rootless,
                  .cgroup_fd = made.cgroup.stepd.get(),
                  .host_mounts_fd = world_.host_mounts_fd,
                  .spec_fd = spec_fd,
                  .listen_fd = made.listen.get(),
                  .control_fd = control.b.get(),
                  .status_fd = made.status.get(),
                  .log_fd = made.log.get()};
  // At once one after the other: each page that we write after a birth is copied for it.
  made.stepd = TRY_CONTEXT(BearStepd(stepd), kStartingStepd);
  made.init =
      TRY_CONTEXT(world_.conf.rootless ? BearRootless(plan, world_.entry) : BearContainer(plan, world_.entry),
                  kMakingContainer);
  if (made.new_job) {
    JobNamespaces& job = jobs_[JobKey(credential.step)] = TRY(NamespacesOf(made.init->pid()));
    TRY(world_.holder->Put(JobKey(credential.step), {job.user.get(), job.ipc.get()}));
  }
  // Both prepare themselves at the same time.
  TRY_CONTEXT(made.init->HearReady(), kMakingContainer);
  TRY_CONTEXT(made.stepd->HearReady(), kStartingStepd);
  return {};
}

RunRecord StepKeeper::RecordOf(const LaunchCredential& credential, const Made& made) const {
  RunRecord record;
  record.boot_id = boot_id_;
  record.step = credential.step;
  record.uid = credential.uid;
  record.gid = credential.gid;
  record.image_digest = credential.image_digest;
  record.cgroup = made.cgroup.path;
  std::uint64_t limit_s = credential.limits.time_limit_s;
  if (limit_s != 0) record.deadline_boot_ms = BootMilliseconds() + (limit_s + kGraceSeconds) * 1000;
  return record;
}

Result<> StepKeeper::EndJob(const StepId& job) {
  std::string key = JobKey(job);
  jobs_.erase(key);
  if (world_.holder != nullptr) TRY(world_.holder->Drop(key));
  world_.cgroups.RemoveJob(job);
  RemoveJobFolder(world_.conf, job);
  return {};
}

}  // namespace slipway
