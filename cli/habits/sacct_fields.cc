// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/sacct_fields.h"

#include <algorithm>
#include <cstdio>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "cli/habits/job_fields.h"
#include "cli/habits/words.h"
#include "cli/show/json.h"

namespace slipway::cli {
namespace {

using Row = JobLine;

std::string Suffix(const Row& row) {
  return row.step == nullptr ? "" : "." + StepIdText(row.step->step_id());
}

std::string State(const Row& row) {
  if (row.step == nullptr) return LongState(row.job->state());
  // A step's state is the same words, without the prefix.
  v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  bool known = v1::JobState_Parse("JOB_STATE_" + row.step->state(), &state);
  return known ? LongState(state) : row.step->state();
}

// code:signal
std::string ExitCode(const Row& row) {
  int code = row.step != nullptr ? row.step->exit_code() : row.job->exit_code();
  return code > 128 && code < 128 + 65 ? Cat("0:", code - 128) : Cat(code, ":0");
}

std::int64_t StartMs(const Row& row) {
  return row.step != nullptr ? row.step->start_ms() : row.job->start_ms();
}
std::int64_t EndMs(const Row& row) { return row.step != nullptr ? row.step->end_ms() : row.job->end_ms(); }
std::int64_t Elapsed(const Row& row) {
  if (row.step == nullptr) return ElapsedS(*row.job);
  if (StartMs(row) == 0) return 0;
  return std::max<std::int64_t>(0, (EndMs(row) != 0 ? EndMs(row) : NowMs()) - StartMs(row)) / 1000;
}

std::uint32_t Tasks(const Row& row) { return row.step != nullptr ? row.step->tasks() : 0; }
std::uint32_t Cores(const Row& row) {
  if (row.step == nullptr) return row.job->nodes().empty() ? 0 : CoresOf(*row.job);
  return Tasks(row) * std::max(1U, row.job->resources().cores_per_task());
}
std::string Nodes(const Row& row) {
  const auto& nodes = row.step != nullptr ? row.step->nodes() : row.job->nodes();
  return nodes.empty() ? "None assigned"
                       : CompressHostlist(std::vector<std::string>(nodes.begin(), nodes.end()));
}

// The worst node's memory is an upper bound of any task's; processor time is the sum.
std::string MaxRss(const Row& row) {
  if (row.step == nullptr) return "";
  std::uint64_t most = 0;
  for (const v1::StepPart& part : row.step->parts())
    most = std::max<std::uint64_t>(most, part.usage().memory_peak_bytes());
  return most == 0 ? "" : Cat((most + 1023) / 1024, "K");
}
std::string CpuTime(const v1::Step& step, std::uint64_t (v1::StepUsage::*of)() const) {
  std::uint64_t us = 0;
  for (const v1::StepPart& part : step.parts()) us += (part.usage().*of)();
  char text[48];
  std::snprintf(text, sizeof text, "%02d:%02d.%03d", static_cast<int>(us / 60'000'000),
                static_cast<int>(us / 1'000'000 % 60), static_cast<int>(us / 1000 % 1000));
  return us >= 3'600'000'000 ? Span(static_cast<std::int64_t>(us / 1'000'000)) : text;
}
std::string OfSteps(const Row& row, std::uint64_t (v1::StepUsage::*of)() const) {
  if (row.step != nullptr) return CpuTime(*row.step, of);
  v1::Step all;
  for (const v1::Step& step : row.job->steps()) all.mutable_parts()->MergeFrom(step.parts());
  return CpuTime(all, of);
}

// The steps of a row: one, or all of the job's.
std::vector<const v1::Step*> StepsOf(const Row& row) {
  if (row.step != nullptr) return {row.step};
  std::vector<const v1::Step*> steps;
  for (const v1::Step& step : row.job->steps()) steps.push_back(&step);
  return steps;
}

// Joules, of processors, memory and GPUs; as Slurm shows them to people ("1.23K") or to programs.
std::string Energy(const Row& row, bool raw) {
  std::uint64_t mj = 0;
  for (const v1::Step* step : StepsOf(row)) {
    for (const v1::StepPart& part : step->parts())
      mj += part.usage().energy_mj() + part.usage().gpu_energy_mj();
  }
  if (mj == 0) return raw ? "0" : "";
  double joules = static_cast<double>(mj) / 1000;
  if (raw || joules < 1000) return Cat(std::max<std::uint64_t>(1, (mj + 500) / 1000));
  constexpr const char* kUnits[] = {"", "K", "M", "G", "T"};
  std::size_t unit = 0;
  for (; joules >= 1000 && unit + 1 < std::size(kUnits); ++unit) joules /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, "%.2f%s", joules, kUnits[unit]);
  return text;
}

// What a step took in. Of it all, of a task on the average, or of the node that took most: the finest that is
// known here.
enum class Share : std::uint8_t { kTotal, kAverage, kMost };
struct TakenIn {
  std::uint64_t cpu_us = 0, energy_mj = 0, read = 0, memory = 0, gpu_memory = 0, gpu_busy_us = 0,
                gpu_watched_us = 0;
};
TakenIn TakenBy(const v1::Step& step, Share share) {
  TakenIn all;
  for (const v1::StepPart& part : step.parts()) {
    const v1::StepUsage& used = part.usage();
    auto add = [&](std::uint64_t& to, std::uint64_t more) {
      to = share == Share::kMost ? std::max(to, more) : to + more;
    };
    add(all.cpu_us, used.cpu_us());
    add(all.energy_mj, used.energy_mj() + used.gpu_energy_mj());
    add(all.read, used.io_read_bytes());
    add(all.memory, used.memory_peak_bytes());
    add(all.gpu_memory, used.gpu_memory_peak_bytes());
    all.gpu_busy_us += used.gpu_busy_us();
    all.gpu_watched_us += used.gpu_watched_us();
  }
  if (share != Share::kAverage || step.tasks() == 0) return all;
  for (std::uint64_t* value : {&all.cpu_us, &all.energy_mj, &all.read, &all.memory, &all.gpu_memory})
    *value /= step.tasks();
  return all;
}

std::string TresUsageIn(const Row& row, Share share) {
  if (row.step == nullptr || row.step->parts().empty()) return "";
  TakenIn taken = TakenBy(*row.step, share);
  std::string text = Cat("cpu=", Span(static_cast<std::int64_t>(taken.cpu_us / 1'000'000)),
                         ",energy=", taken.energy_mj / 1000, ",fs/disk=", taken.read);
  if (taken.gpu_watched_us != 0)
    text +=
        Cat(",gres/gpumem=", taken.gpu_memory >> 20,
            "M,gres/gpuutil=", (taken.gpu_busy_us * 100 + taken.gpu_watched_us / 2) / taken.gpu_watched_us);
  return taken.memory == 0 ? text : text + Cat(",mem=", (taken.memory + 1023) / 1024, "K");
}

std::string Tres(const Row& row, bool allocated) {
  if (allocated && row.job->nodes().empty()) return "";
  const v1::Resources& resources = row.job->resources();
  std::string text = Cat("billing=", CoresOf(*row.job), ",cpu=", CoresOf(*row.job));
  std::uint32_t gpus =
      resources.gpus_per_node() * NodesOf(*row.job) + resources.gpus_per_task() * resources.tasks();
  if (gpus != 0) text += Cat(",gres/gpu=", gpus);
  if (resources.memory_bytes_per_node() != 0)
    text += Cat(",mem=", Megabytes(resources.memory_bytes_per_node() * NodesOf(*row.job)));
  return text + Cat(",node=", NodesOf(*row.job));
}

std::string OfJob(const Row& row, std::string text) { return row.step == nullptr ? std::move(text) : ""; }
std::string Name(const Row& row) {
  return row.step == nullptr ? row.job->name() : StepIdText(row.step->step_id());
}

constexpr Field<Row> kFields[] = {
    {"JobID", 0, "JobID", 12, [](const Row& r) { return JobIdText(*r.job) + Suffix(r); }},
    {"JobIDRaw", 0, "JobIDRaw", 12, [](const Row& r) { return Cat(r.job->job_id(), Suffix(r)); }},
    {"JobName", 0, "JobName", 10, Name},
    {"Cluster", 0, "Cluster", 10, [](const Row&) { return std::string("slipway"); }},
    {"Partition", 0, "Partition", 10, [](const Row& r) { return OfJob(r, r.job->resources().partition()); }},
    {"Account", 0, "Account", 10, [](const Row& r) { return r.job->account(); }},
    {"AllocCPUS", 0, "AllocCPUS", 10, [](const Row& r) { return Cat(Cores(r)); }},
    {"NCPUS", 0, "NCPUS", 10, [](const Row& r) { return Cat(Cores(r)); }},
    {"ReqCPUS", 0, "ReqCPUS", 8, [](const Row& r) { return Cat(CoresOf(*r.job)); }},
    {"State", 0, "State", 10, State},
    {"ExitCode", 0, "ExitCode", 8, ExitCode},
    {"DerivedExitCode", 0, "DerivedExitCode", 15, [](const Row& r) { return OfJob(r, ExitCode(r)); }},
    {"User", 0, "User", 9, [](const Row& r) { return OfJob(r, r.job->user()); }},
    {"UID", 0, "UID", 6, [](const Row& r) { return OfJob(r, Cat(r.job->uid())); }},
    {"Group", 0, "Group", 9, [](const Row& r) { return OfJob(r, GroupOf(*r.job)); }},
    {"Submit", 0, "Submit", 19, [](const Row& r) { return Moment(r.job->submit_ms()); }},
    {"Eligible", 0, "Eligible", 19, [](const Row& r) { return Moment(r.job->submit_ms()); }},
    {"Start", 0, "Start", 19, [](const Row& r) { return Moment(StartMs(r)); }},
    {"End", 0, "End", 19, [](const Row& r) { return Moment(EndMs(r)); }},
    {"Elapsed", 0, "Elapsed", 10, [](const Row& r) { return Span(Elapsed(r)); }},
    {"ElapsedRaw", 0, "ElapsedRaw", 10, [](const Row& r) { return Cat(Elapsed(r)); }},
    {"CPUTime", 0, "CPUTime", 10, [](const Row& r) { return Span(Elapsed(r) * Cores(r)); }},
    {"CPUTimeRAW", 0, "CPUTimeRAW", 10, [](const Row& r) { return Cat(Elapsed(r) * Cores(r)); }},
    {"TotalCPU", 0, "TotalCPU", 10, [](const Row& r) { return OfSteps(r, &v1::StepUsage::cpu_us); }},
    {"UserCPU", 0, "UserCPU", 10, [](const Row& r) { return OfSteps(r, &v1::StepUsage::cpu_user_us); }},
    {"SystemCPU", 0, "SystemCPU", 10, [](const Row& r) { return OfSteps(r, &v1::StepUsage::cpu_system_us); }},
    {"MaxRSS", 0, "MaxRSS", 10, MaxRss},
    {"Timelimit", 0, "Timelimit", 10,
     [](const Row& r) {
       std::uint32_t limit = r.job->resources().time_limit_s();
       return OfJob(r, limit == 0 ? "UNLIMITED" : Span(limit));
     }},
    {"TimelimitRaw", 0, "TimelimitRaw", 12,
     [](const Row& r) { return OfJob(r, Cat(r.job->resources().time_limit_s() / 60)); }},
    {"NNodes", 0, "NNodes", 8,
     [](const Row& r) {
       return Cat(r.step != nullptr ? static_cast<unsigned>(r.step->nodes_size()) : NodesOf(*r.job));
     }},
    {"NTasks", 0, "NTasks", 8, [](const Row& r) { return r.step == nullptr ? "" : Cat(Tasks(r)); }},
    {"NodeList", 0, "NodeList", 15, Nodes},
    {"QOS", 0, "QOS", 10, [](const Row& r) { return OfJob(r, r.job->qos()); }},
    {"Priority", 0, "Priority", 10, [](const Row& r) { return OfJob(r, Cat(r.job->priority())); }},
    {"ReqMem", 0, "ReqMem", 10,
     [](const Row& r) { return OfJob(r, Megabytes(r.job->resources().memory_bytes_per_node())); }},
    {"ReqTRES", 0, "ReqTRES", 10, [](const Row& r) { return OfJob(r, Tres(r, false)); }},
    {"AllocTRES", 0, "AllocTRES", 10, [](const Row& r) { return Tres(r, true); }},
    {"ConsumedEnergy", 0, "ConsumedEnergy", 14, [](const Row& r) { return Energy(r, false); }},
    {"ConsumedEnergyRaw", 0, "ConsumedEnergyRaw", 17, [](const Row& r) { return Energy(r, true); }},
    {"TRESUsageInAve", 0, "TRESUsageInAve", 15, [](const Row& r) { return TresUsageIn(r, Share::kAverage); }},
    {"TRESUsageInMax", 0, "TRESUsageInMax", 15, [](const Row& r) { return TresUsageIn(r, Share::kMost); }},
    {"TRESUsageInTot", 0, "TRESUsageInTot", 15, [](const Row& r) { return TresUsageIn(r, Share::kTotal); }},
    {"Reservation", 0, "Reservation", 20,
     [](const Row& r) { return OfJob(r, r.job->resources().reservation()); }},
    {"Reason", 0, "Reason", 22, [](const Row& r) { return OfJob(r, ReasonWord(*r.job)); }},
    {"Comment", 0, "Comment", 14, [](const Row& r) { return OfJob(r, r.job->comment()); }},
    {"WorkDir", 0, "WorkDir", 20, [](const Row& r) { return OfJob(r, r.job->cwd()); }},
    {"Container", 0, "Container", 20, [](const Row& r) { return OfJob(r, r.job->image()); }},
};

}  // namespace

std::span<const Field<Row>> JobLineFields() { return kFields; }

}  // namespace slipway::cli
