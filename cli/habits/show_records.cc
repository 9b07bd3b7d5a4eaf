// SPDX-License-Identifier: Apache-2.0
#include "cli/habits/show_records.h"

#include <algorithm>

#include "base/text/hostlist.h"
#include "base/text/text.h"
#include "cli/habits/job_fields.h"
#include "cli/habits/words.h"
#include "cli/show/json.h"
#include "cli/show/table.h"

namespace slipway::cli {
namespace {

std::string OrNull(const std::string& text) { return text.empty() ? "(null)" : text; }
template <class Names>
std::string Listed(const Names& names, const char* none) {
  std::string text;
  for (const auto& name : names) text += Cat(text.empty() ? "" : ",", name);
  return text.empty() ? none : text;
}
template <class Names>
std::string Hosts(const Names& names) {
  std::string text = CompressHostlist(std::vector<std::string>(names.begin(), names.end()));
  return text.empty() ? "(null)" : text;
}
std::string Upper(std::string text) {
  std::ranges::transform(text, text.begin(), ::toupper);
  return text;
}
std::string Mib(std::uint64_t bytes) { return Cat(bytes >> 20); }
std::string SpanOr(std::uint32_t seconds, const char* none) { return seconds == 0 ? none : Span(seconds); }

KeyValues ArrayOf(const v1::Job& job) {
  KeyValues line = {{"JobId", Cat(job.job_id())}};
  if (job.array_job_id() != 0) {
    std::string id = JobIdText(job);
    line.insert(line.end(),
                {{"ArrayJobId", Cat(job.array_job_id())}, {"ArrayTaskId", id.substr(id.find('_') + 1)}});
  }
  line.emplace_back("JobName", job.name());
  return line;
}

std::string Code(int code) { return code > 128 && code < 193 ? Cat("0:", code - 128) : Cat(code, ":0"); }

std::string Output(const v1::Job& job, const std::string& path) {
  return path.empty() ? "(null)" : path[0] == '/' ? path : Cat(job.cwd(), "/", path);
}

}  // namespace

Record RecordOf(const v1::Job& job) {
  const v1::Resources& resources = job.resources();
  std::uint32_t limit = resources.time_limit_s();
  std::int64_t end = job.end_ms() != 0 || job.start_ms() == 0 || limit == 0
                         ? job.end_ms()
                         : job.start_ms() + std::int64_t{limit} * 1000;
  std::int64_t start = job.start_ms() != 0 ? job.start_ms() : job.planned_start_ms();
  std::string memory = resources.memory_bytes_per_core() != 0 ? "MinMemoryCPU" : "MinMemoryNode";
  std::uint64_t bytes = std::max(resources.memory_bytes_per_core(), resources.memory_bytes_per_node());
  bool waits = ReasonWord(job).starts_with("Dependency");
  return {ArrayOf(job),
          {{"UserId", Cat(job.user(), "(", job.uid(), ")")}, {"GroupId", OrNull(GroupOf(job))}},
          {{"Priority", Cat(job.priority())}, {"Account", OrNull(job.account())}, {"QOS", OrNull(job.qos())}},
          {{"JobState", LongState(job.state())},
           {"Reason", ReasonWord(job)},
           {"Dependency", waits ? "(unfulfilled)" : "(null)"}},
          {{"Restarts", Cat(job.attempt() > 1 ? job.attempt() - 1 : 0)}, {"ExitCode", Code(job.exit_code())}},
          {{"RunTime", Span(ElapsedS(job))},
           {"TimeLimit", SpanOr(limit, "UNLIMITED")},
           {"TimeMin", SpanOr(resources.time_min_s(), "N/A")}},
          {{"SubmitTime", Moment(job.submit_ms())}, {"EligibleTime", Moment(job.submit_ms())}},
          {{"StartTime", Moment(start)}, {"EndTime", Moment(end)}, {"Deadline", "N/A"}},
          {{"Partition", OrNull(resources.partition())}},
          {{"NodeList", OrNull(NodeListOf(job))}, {"SchedNodeList", Hosts(job.planned_nodes())}},
          {{"BatchHost", job.nodes().empty() ? "(null)" : job.nodes(0)}},
          {{"NumNodes", Cat(NodesOf(job))},
           {"NumCPUs", Cat(CoresOf(job))},
           {"NumTasks", Cat(std::max(1U, resources.tasks()))},
           {"CPUs/Task", Cat(std::max(1U, resources.cores_per_task()))}},
          {{memory, Megabytes(bytes)}},
          {{"Features", OrNull(resources.constraint())}, {"Reservation", OrNull(resources.reservation())}},
          {{"Container", OrNull(job.image())}},
          {{"Comment", OrNull(job.comment())}},
          {{"WorkDir", OrNull(job.cwd())}},
          {{"StdErr", Output(job, job.stderr_path().empty() ? job.stdout_path() : job.stderr_path())}},
          {{"StdOut", Output(job, job.stdout_path())}}};
}

Record RecordOf(const v1::Node& node) {
  std::vector<std::string> gres;
  for (const v1::Amount& gpu : node.gpus())
    gres.push_back(Cat("gpu:", gpu.name(), gpu.name().empty() ? "" : ":", gpu.count()));
  for (const v1::Amount& one : node.gres()) gres.push_back(Cat(one.name(), ":", one.count()));
  std::uint32_t sockets = std::max(1U, node.sockets());
  std::string state = Upper(StateOf(node).full);
  // An administrator's word is a flag beside what the node does.
  if (node.state() == "DRAINED") state = "IDLE+DRAIN";
  if (node.state() == "DRAINING") state = "MIXED+DRAIN";
  Record record = {
      {{"NodeName", node.name()}, {"Arch", node.arch()}, {"CoresPerSocket", Cat(node.cores() / sockets)}},
      {{"CPUAlloc", Cat(node.cores() - std::min(node.cores(), node.cores_free()))},
       {"CPUEfctv", Cat(node.cores())},
       {"CPUTot", Cat(node.cores())},
       {"CPULoad", "N/A"}},
      {{"AvailableFeatures", Listed(node.features(), "(null)")}},
      {{"ActiveFeatures", Listed(node.features(), "(null)")}},
      {{"Gres", Listed(gres, "(null)")}},
      {{"NodeAddr", node.address().substr(0, node.address().rfind(':'))},
       {"NodeHostName", node.name()},
       {"Version", node.version()}},
      {{"RealMemory", Mib(node.memory_bytes())},
       {"AllocMem", Mib(node.memory_bytes() - std::min(node.memory_bytes(), node.memory_bytes_free()))},
       {"FreeMem", Mib(node.memory_bytes_free())},
       {"Sockets", Cat(sockets)},
       {"Boards", "1"}},
      {{"State", state}, {"ThreadsPerCore", "1"}, {"TmpDisk", "0"}, {"Weight", Cat(node.weight())}},
      {{"Partitions", Listed(node.partitions(), "(null)")}},
      {{"BootId", node.boot_id()}}};
  if (!node.reason().empty()) record.push_back({{"Reason", node.reason()}});
  return record;
}

Record RecordOf(const v1::Partition& partition) {
  return {{{"PartitionName", partition.name()}},
          {{"AllowGroups", Listed(partition.allow_groups(), "ALL")},
           {"AllowAccounts", Listed(partition.allow_accounts(), "ALL")},
           {"AllowQos", Listed(partition.allow_qos(), "ALL")}},
          {{"Default", partition.is_default() ? "YES" : "NO"}},
          {{"DefaultTime", SpanOr(partition.default_time_s(), "NONE")}, {"ExclusiveUser", "NO"}},
          {{"MaxNodes", partition.max_nodes() == 0 ? "UNLIMITED" : Cat(partition.max_nodes())},
           {"MaxTime", SpanOr(partition.max_time_s(), "UNLIMITED")},
           {"MinNodes", Cat(partition.min_nodes())}},
          {{"Nodes", Hosts(partition.nodes())}},
          {{"PriorityTier", Cat(partition.tier())},
           {"OverSubscribe", partition.exclusive() ? "EXCLUSIVE" : "NO"}},
          {{"State", partition.state()},
           {"TotalCPUs", Cat(partition.cores())},
           {"TotalNodes", Cat(partition.nodes_size())}}};
}

Record RecordOf(const v1::Reservation& reservation) {
  std::vector<std::string> flags;
  if (reservation.maintenance()) flags.push_back("MAINT");
  if (reservation.flex()) flags.push_back("FLEX");
  if (reservation.period_s() == 86400) flags.push_back("DAILY");
  if (reservation.period_s() == 7 * 86400) flags.push_back("WEEKLY");
  return {{{"ReservationName", reservation.name()},
           {"StartTime", Moment(reservation.start_ms())},
           {"EndTime", Moment(reservation.end_ms())},
           {"Duration", Span((reservation.end_ms() - reservation.start_ms()) / 1000)}},
          {{"Nodes", Hosts(reservation.nodes())},
           {"NodeCnt", Cat(reservation.nodes_size())},
           {"Flags", Listed(flags, "")}},
          {{"Users", Listed(reservation.users(), "(null)")},
           {"Accounts", Listed(reservation.accounts(), "(null)")},
           {"State", reservation.state()}}};
}

std::string Text(const Record& record, bool one_line) {
  std::string text;
  for (const KeyValues& line : record) {
    if (!text.empty()) text += one_line ? " " : "\n   ";
    for (std::size_t i = 0; i < line.size(); ++i)
      text += Cat(i == 0 ? "" : " ", line[i].first, "=", Printable(line[i].second));
  }
  return text + (one_line ? "\n" : "\n\n");
}

}  // namespace slipway::cli
