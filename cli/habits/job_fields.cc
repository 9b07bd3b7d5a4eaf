// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/job_fields.h"

#include <grp.h>
#include <pwd.h>

#include <algorithm>

#include "base/text/hostlist.h"
#include "cli/habits/words.h"
#include "cli/show/json.h"

namespace slipway::cli {
namespace {

using v1::Job;

std::string OrNull(const std::string& text) { return text.empty() ? "(null)" : text; }
std::string Base(const Job& job) { return Cat(job.array_job_id() != 0 ? job.array_job_id() : job.job_id()); }
std::string Index(const Job& job) {
  std::string id = JobIdText(job);
  auto mark = id.find('_');
  return mark == std::string::npos ? "N/A" : id.substr(mark + 1);
}
std::string Why(const Job& job) { return ReasonWord(job); }
std::string WhereOrWhy(const Job& job) {
  return job.state() == v1::JOB_STATE_PENDING || job.nodes().empty() ? Cat("(", Why(job), ")")
                                                                     : NodeListOf(job);
}
std::int64_t EndMs(const Job& job) {
  if (job.end_ms() != 0 || job.start_ms() == 0 || job.resources().time_limit_s() == 0) return job.end_ms();
  return job.start_ms() + std::int64_t{job.resources().time_limit_s()} * 1000;
}
std::int64_t StartMs(const Job& job) { return job.start_ms() != 0 ? job.start_ms() : job.planned_start_ms(); }
std::string Left(const Job& job) {
  std::uint32_t limit = job.resources().time_limit_s();
  return limit == 0 ? "UNLIMITED" : ShortSpan(std::max<std::int64_t>(0, limit - ElapsedS(job)));
}
std::string Memory(const Job& job) {
  const v1::Resources& resources = job.resources();
  return Megabytes(resources.memory_bytes_per_core() != 0 ? resources.memory_bytes_per_core()
                                                          : resources.memory_bytes_per_node());
}
std::string Gres(const Job& job) {
  const v1::Resources& resources = job.resources();
  std::string type = resources.gpu_type().empty() ? "" : ":" + resources.gpu_type();
  if (resources.gpus_per_node() != 0) return Cat("gres/gpu", type, ":", resources.gpus_per_node());
  if (resources.gpus_per_task() != 0) return Cat("gres/gpu", type, ":", resources.gpus_per_task());
  return resources.gres().empty() ? "N/A"
                                  : Cat("gres/", resources.gres(0).name(), ":", resources.gres(0).count());
}
std::string Planned(const Job& job) {
  return job.planned_nodes().empty() ? "(null)"
                                     : CompressHostlist(std::vector<std::string>(job.planned_nodes().begin(),
                                                                                 job.planned_nodes().end()));
}

constexpr Field<Job> kFields[] = {
    {"Account", 'a', "ACCOUNT", 10, [](const Job& j) { return j.account(); }},
    {"JobID", 'A', "JOBID", 18, [](const Job& j) { return Cat(j.job_id()); }},
    {"tres-per-node", 'b', "TRES_PER_NODE", 14, Gres},
    {"BatchHost", 'B', "EXEC_HOST", 10, [](const Job& j) { return j.nodes().empty() ? "n/a" : j.nodes(0); }},
    {"MinCpus", 'c', "MIN_CPUS", 8,
     [](const Job& j) { return Cat(std::max(1U, j.resources().cores_per_task())); }},
    {"NumCPUs", 'C', "CPUS", 6, [](const Job& j) { return Cat(CoresOf(j)); }},
    {"MinTmpDisk", 'd', "MIN_TMP_DISK", 12, [](const Job&) { return std::string("0"); }},
    {"NumNodes", 'D', "NODES", 6, [](const Job& j) { return Cat(NodesOf(j)); }},
    {"EndTime", 'e', "END_TIME", 20, [](const Job& j) { return MomentOr(EndMs(j), "N/A"); }},
    {"Dependency", 'E', "DEPENDENCY", 20,
     [](const Job& j) {
       return std::string(ReasonWord(j).starts_with("Dependency") ? "(unfulfilled)" : "(null)");
     }},
    {"Feature", 'f', "FEATURES", 20, [](const Job& j) { return OrNull(j.resources().constraint()); }},
    {"ArrayJobID", 'F', "ARRAY_JOB_ID", 18, Base},
    {"GroupName", 'g', "GROUP", 10, GroupOf},
    {"OverSubscribe", 'h', "OVER_SUBSCRIBE", 14,
     [](const Job& j) { return std::string(j.resources().exclusive() ? "NO" : "OK"); }},
    {"JobArrayID", 'i', "JOBID", 18, [](const Job& j) { return JobIdText(j); }},
    {"Name", 'j', "NAME", 8, [](const Job& j) { return j.name(); }},
    {"Comment", 'k', "COMMENT", 20, [](const Job& j) { return OrNull(j.comment()); }},
    {"ArrayTaskID", 'K', "ARRAY_TASK_ID", 14, Index},
    {"TimeLimit", 'l', "TIME_LIMIT", 10, [](const Job& j) { return Limit(j.resources().time_limit_s()); }},
    {"TimeLeft", 'L', "TIME_LEFT", 10, Left},
    {"MinMemory", 'm', "MIN_MEMORY", 10, Memory},
    {"TimeUsed", 'M', "TIME", 10, [](const Job& j) { return ShortSpan(ElapsedS(j)); }},
    {"ReqNodes", 'n', "REQ_NODES", 20, [](const Job&) { return std::string(); }},
    {"NodeList", 'N', "NODELIST", 20, NodeListOf},
    {"Command", 'o', "COMMAND", 20, [](const Job& j) { return OrNull(j.name()); }},
    {"Contiguous", 'O', "CONTIGUOUS", 10,
     [](const Job& j) { return Cat(j.resources().contiguous() ? 1 : 0); }},
    {"Priority", 'p', "PRIORITY", 10, [](const Job& j) { return Cat(j.priority()); }},
    {"Partition", 'P', "PARTITION", 9, [](const Job& j) { return j.resources().partition(); }},
    {"QOS", 'q', "QOS", 10, [](const Job& j) { return j.qos(); }},
    {"PriorityLong", 'Q', "PRIORITY", 10, [](const Job& j) { return Cat(j.priority()); }},
    {"Reason", 'r', "REASON", 20, Why},
    {"ReasonList", 'R', "NODELIST(REASON)", 20, WhereOrWhy},
    {"StartTime", 'S', "START_TIME", 20, [](const Job& j) { return MomentOr(StartMs(j), "N/A"); }},
    {"StateCompact", 't', "ST", 2, [](const Job& j) { return ShortState(j.state()); }},
    {"State", 'T', "STATE", 8, [](const Job& j) { return LongState(j.state()); }},
    {"UserName", 'u', "USER", 8, [](const Job& j) { return j.user(); }},
    {"UserID", 'U', "UID", 6, [](const Job& j) { return Cat(j.uid()); }},
    {"Reservation", 'v', "RESERVATION", 12, [](const Job& j) { return OrNull(j.resources().reservation()); }},
    {"SubmitTime", 'V', "SUBMIT_TIME", 20, [](const Job& j) { return Moment(j.submit_ms()); }},
    {"WCKey", 'w', "WCKEY", 6, [](const Job&) { return std::string("(null)"); }},
    {"Licenses", 'W', "LICENSES", 10,
     [](const Job& j) {
       return j.resources().licences().empty()
                  ? std::string("(null)")
                  : Cat(j.resources().licences(0).name(), ":", j.resources().licences(0).count());
     }},
    {"ExcNodes", 'x', "EXC_NODES", 10, [](const Job&) { return std::string(); }},
    {"CoreSpec", 'X', "CORE_SPEC", 9, [](const Job&) { return std::string("N/A"); }},
    {"Nice", 'y', "NICE", 6, [](const Job&) { return std::string("0"); }},
    {"SchedNodes", 'Y', "SCHEDNODES", 20, Planned},
    {"sct", 'z', "S:C:T", 6, [](const Job&) { return std::string("*:*:*"); }},
    {"WorkDir", 'Z', "WORK_DIR", 20, [](const Job& j) { return j.cwd(); }},
    {"NumTasks", 0, "TASKS", 6, [](const Job& j) { return Cat(std::max(1U, j.resources().tasks())); }},
    {"Image", 0, "IMAGE", 30, [](const Job& j) { return j.image(); }},
    {"STDOUT", 0, "STDOUT", 30, [](const Job& j) { return j.stdout_path(); }},
    {"STDERR", 0, "STDERR", 30, [](const Job& j) { return j.stderr_path(); }},
    {"RestartCnt", 0, "RESTART_COUNT", 13,
     [](const Job& j) { return Cat(j.attempt() > 1 ? j.attempt() - 1 : 0); }},
};

}  // namespace

std::span<const Field<Job>> JobFields() { return kFields; }

std::string NodeListOf(const Job& job) {
  return CompressHostlist(std::vector<std::string>(job.nodes().begin(), job.nodes().end()));
}

std::uint32_t NodesOf(const Job& job) {
  return std::max({static_cast<std::uint32_t>(job.nodes_size()), job.resources().nodes_min(), 1U});
}

std::uint32_t CoresOf(const Job& job) {
  const v1::Resources& resources = job.resources();
  std::uint32_t tasks =
      std::max({resources.tasks(), resources.tasks_per_node() * NodesOf(job), NodesOf(job)});
  return tasks * std::max(1U, resources.cores_per_task());
}

std::int64_t ElapsedS(const Job& job) {
  if (job.start_ms() == 0) return 0;
  return std::max<std::int64_t>(0, (job.end_ms() != 0 ? job.end_ms() : NowMs()) - job.start_ms()) / 1000;
}

std::string GroupOf(const Job& job) {
  const passwd* user = ::getpwuid(job.uid());
  const group* primary = user == nullptr ? nullptr : ::getgrgid(user->pw_gid);
  return primary == nullptr ? "" : primary->gr_name;
}

}  // namespace slipway::cli
