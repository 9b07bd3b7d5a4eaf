// SPDX-License-Identifier: Apache-2.0
#include "cli/show/json.h"

#include <algorithm>

#include "base/result/result.h"
#include "cli/script/array.h"
#include "cli/show/json_lists.h"
#include "launcher/spec/step_id.h"

namespace slipway::cli {
namespace {

Json OfResources(const v1::Resources& r) {
  return {{"nodes_min", r.nodes_min()},
          {"nodes_max", r.nodes_max()},
          {"tasks", r.tasks()},
          {"tasks_per_node", r.tasks_per_node()},
          {"cores_per_task", r.cores_per_task()},
          {"memory_bytes_per_node", r.memory_bytes_per_node()},
          {"memory_bytes_per_core", r.memory_bytes_per_core()},
          {"exclusive", r.exclusive()},
          {"time_limit_s", r.time_limit_s()}};
}

Json OfPart(const v1::StepPart& part) {
  const v1::StepUsage& u = part.usage();
  return {{"node", part.node()},
          {"binding", part.binding()},
          {"cpu_us", u.cpu_us()},
          {"cpu_user_us", u.cpu_user_us()},
          {"cpu_system_us", u.cpu_system_us()},
          {"memory_peak_bytes", u.memory_peak_bytes()},
          {"swap_peak_bytes", u.swap_peak_bytes()},
          {"io_read_bytes", u.io_read_bytes()},
          {"io_write_bytes", u.io_write_bytes()},
          {"pressure_cpu_us", u.pressure_cpu_us()},
          {"pressure_memory_us", u.pressure_memory_us()},
          {"pressure_io_us", u.pressure_io_us()},
          {"energy_mj", u.energy_mj()},
          {"node_energy_mj", u.node_energy_mj()},
          {"gpu_energy_mj", u.gpu_energy_mj()},
          {"gpu_busy_us", u.gpu_busy_us()},
          {"gpu_watched_us", u.gpu_watched_us()},
          {"gpu_memory_peak_bytes", u.gpu_memory_peak_bytes()},
          {"libraries", List(part.libraries())}};
}

Json OfStep(const v1::Step& s) {
  Json parts = Json::array();
  for (const v1::StepPart& part : s.parts()) parts.push_back(OfPart(part));
  Json laps = Json::array();
  for (const v1::Lap& lap : s.laps()) laps.push_back({{"name", lap.name()}, {"us", lap.us()}});
  return {{"step_id", s.step_id()},
          {"state", s.state()},
          {"tasks", s.tasks()},
          {"image_digest", s.image_digest()},
          {"nodes", List(s.nodes())},
          {"exit_code", s.exit_code()},
          {"reason", s.reason()},
          {"start_ms", s.start_ms()},
          {"end_ms", s.end_ms()},
          {"laps", laps},
          {"parts", parts}};
}

Json OfJob(const v1::Job& j) {
  Json steps = Json::array();
  for (const v1::Step& step : j.steps()) steps.push_back(OfStep(step));
  return {{"job_id", j.job_id()},
          {"array_job_id", j.array_job_id()},
          {"array_task_id", j.array_task_id()},
          {"array_tasks", ArrayText(TasksOf(j))},
          {"het_job_id", j.het_job_id()},
          {"het_offset", j.het_offset()},
          {"het_size", j.het_size()},
          {"name", j.name()},
          {"user", j.user()},
          {"uid", j.uid()},
          {"state", StateName(j.state())},
          {"ended", j.ended()},
          {"reason", j.reason()},
          {"exit_code", j.exit_code()},
          {"image", j.image()},
          {"image_digest", j.image_digest()},
          {"resources", OfResources(j.resources())},
          {"nodes", List(j.nodes())},
          {"attempt", j.attempt()},
          {"submit_ms", j.submit_ms()},
          {"start_ms", j.start_ms()},
          {"end_ms", j.end_ms()},
          {"waiting_ms", j.waiting_ms()},
          {"staging_ms", j.staging_ms()},
          {"starting_ms", j.starting_ms()},
          {"wireup_ms", j.wireup_ms()},
          {"running_ms", j.running_ms()},
          {"stdout_path", j.stdout_path()},
          {"stderr_path", j.stderr_path()},
          {"cwd", j.cwd()},
          {"comment", j.comment()},
          {"account", j.account()},
          {"qos", j.qos()},
          {"partition", j.resources().partition()},
          {"reservation", j.resources().reservation()},
          {"gpus", List(j.gpus())},
          {"steps", steps}};
}

template <class All>
Json Amounts(const All& amounts) {
  Json list = Json::array();
  for (const v1::Amount& amount : amounts)
    list.push_back({{"name", amount.name()}, {"count", amount.count()}});
  return list;
}

Json OfNode(const v1::Node& n) {
  return {{"name", n.name()},
          {"state", n.state()},
          {"reason", n.reason()},
          {"cores", n.cores()},
          {"cores_free", n.cores_free()},
          {"memory_bytes", n.memory_bytes()},
          {"memory_bytes_free", n.memory_bytes_free()},
          {"address", n.address()},
          {"jobs", List(n.jobs())},
          {"images", List(n.images())},
          {"cannot", List(n.cannot())},
          {"boot_id", n.boot_id()},
          {"version", n.version()},
          {"sockets", n.sockets()},
          {"numa_nodes", n.numa_nodes()},
          {"arch", n.arch()},
          {"partitions", List(n.partitions())},
          {"features", List(n.features())},
          {"weight", n.weight()},
          {"gpus", Amounts(n.gpus())},
          {"gpus_free", n.gpus_free()},
          {"gres", Amounts(n.gres())},
          {"reservations", List(n.reservations())}};
}

// Names that users chose may be no UTF-8; such bytes are replaced, not thrown about.
std::string Dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

std::string StateName(v1::JobState state) {
  std::string name = v1::JobState_Name(state);
  constexpr std::string_view kPrefix = "JOB_STATE_";
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : Cat("UNKNOWN_", static_cast<int>(state));
}

std::vector<std::uint32_t> TasksOf(const v1::Job& job) {
  constexpr std::size_t kTasksMax = 1'000'000;
  std::vector<std::uint32_t> tasks;
  for (const v1::TaskRange& range : job.array_waiting()) {
    std::uint64_t step = std::max(range.step(), 1U);
    for (std::uint64_t task = range.first(); task <= range.last() && tasks.size() < kTasksMax; task += step)
      tasks.push_back(static_cast<std::uint32_t>(task));
  }
  return tasks;
}

std::string JobIdText(const v1::Job& job) {
  if (job.array_waiting_size() > 0) return Cat(job.array_job_id(), "_[", ArrayText(TasksOf(job)), "]");
  if (job.het_size() > 0) return Cat(job.het_job_id(), "+", job.het_offset());
  return job.array_job_id() == 0 ? Cat(job.job_id()) : Cat(job.array_job_id(), "_", job.array_task_id());
}

std::string StepIdText(std::uint32_t step_id) { return step_id == kBatchStep ? "batch" : Cat(step_id); }

std::string JobJson(const v1::Job& job) { return Dump(OfJob(job)); }

std::string JobsJson(const v1::ListJobsReply& reply) {
  Json list = Json::array();
  for (const v1::Job& job : reply.jobs()) list.push_back(OfJob(job));
  return Dump({{"jobs", list}});
}

std::string NodesJson(const v1::ListNodesReply& reply) {
  Json list = Json::array();
  for (const v1::Node& node : reply.nodes()) list.push_back(OfNode(node));
  return Dump({{"nodes", list}});
}
}  // namespace slipway::cli
