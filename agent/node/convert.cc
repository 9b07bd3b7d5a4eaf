// SPDX-License-Identifier: Apache-2.0
#include "agent/node/convert.h"

#include "api/mpi.h"
#include "base/crypto/crypto.h"
#include "hooks/edits/edits.h"

namespace slipway {
namespace {

template <class T, class Repeated>
std::vector<T> VectorOf(const Repeated& repeated) {
  return {repeated.begin(), repeated.end()};
}

Result<> CopyPlacement(const v1::LaunchStep& launch, StepSpec& spec) {
  spec.nodes = VectorOf<std::string>(launch.nodes());
  spec.node_index = launch.node_index();
  for (const v1::RankList& ranks : launch.ranks()) {
    spec.ranks.push_back(VectorOf<std::uint32_t>(ranks.ranks()));
    spec.tasks_per_node.push_back(static_cast<std::uint32_t>(ranks.ranks_size()));
  }
  if (launch.node_addresses_size() != launch.nodes_size())
    return Fail(Code::kInvalidArgument, "launch: ", launch.nodes_size(), " nodes, but ",
                launch.node_addresses_size(), " addresses");
  spec.cores_per_task = std::max(1U, launch.cores_per_task());
  spec.cores = launch.cores();
  spec.memory_bytes = launch.memory_bytes();
  spec.cpus = VectorOf<std::uint32_t>(launch.cpus());
  return {};
}

Result<MpiKind> MpiOf(const v1::LaunchStep& launch) {
  std::size_t tasks = 0;
  for (const v1::RankList& ranks : launch.ranks()) tasks += static_cast<std::size_t>(ranks.ranks_size());
  return MpiKindOf<MpiKind>(launch.program().mpi(), tasks);
}

Result<> CopyProgram(const v1::LaunchStep& launch, StepSpec& spec) {
  const v1::Program& program = launch.program();
  spec.argv = VectorOf<std::string>(program.argv());
  spec.script = program.script();
  spec.env = VectorOf<std::string>(program.env());
  spec.cwd = program.cwd();
  spec.umask = program.umask() & 0777;
  spec.mpi = TRY(MpiOf(launch));
  spec.writable_tmpfs = program.writable_tmpfs();
  spec.stdin_path = program.stdin_path();
  spec.stdout_path = program.stdout_path();
  spec.stderr_path = program.stderr_path();
  spec.append_output = program.append_output();
  spec.interactive_stdin = program.interactive_stdin();
  spec.kill_on_bad_exit = !program.keep_on_bad_exit();
  ContainerEdits binds = TRY(EditsOfBinds(VectorOf<std::string>(program.binds())));
  spec.mounts.insert(spec.mounts.end(), binds.mounts.begin(), binds.mounts.end());
  return {};
}

}  // namespace

StepId FromProto(const v1::StepKey& key) { return {key.job(), key.attempt(), key.step()}; }

StepStdin StdinOf(const v1::StepInput& input) {
  auto size = [](std::uint32_t n) { return static_cast<std::uint16_t>(std::min(n, 65535U)); };
  return {
      .bytes = input.data(),
      .eof = input.eof(),
      .resized = input.has_terminal(),
      .terminal_size = {.rows = size(input.terminal().rows()), .columns = size(input.terminal().columns())}};
}

v1::StepKey ToProto(const StepId& step) {
  v1::StepKey key;
  key.set_job(step.job);
  key.set_attempt(step.attempt);
  key.set_step(step.step);
  return key;
}

static v1::StepUsage ToProto(const StepUsage& usage) {
  v1::StepUsage out;
  out.set_cpu_us(usage.cpu_us);
  out.set_cpu_user_us(usage.cpu_user_us);
  out.set_cpu_system_us(usage.cpu_system_us);
  out.set_memory_peak_bytes(usage.memory_peak_bytes);
  out.set_swap_peak_bytes(usage.swap_peak_bytes);
  out.set_io_read_bytes(usage.io_read_bytes);
  out.set_io_write_bytes(usage.io_write_bytes);
  out.set_pressure_cpu_us(usage.pressure_cpu_us);
  out.set_pressure_memory_us(usage.pressure_memory_us);
  out.set_pressure_io_us(usage.pressure_io_us);
  return out;
}

static void AddMetered(const StepNews& news, v1::StepReport& report) {
  for (const std::string& library : news.libraries) report.add_libraries(library);
  if (news.metered == MeteredUse()) return;
  v1::StepUsage& out = *report.mutable_usage();
  out.set_energy_mj(news.metered.energy_mj);
  out.set_node_energy_mj(news.metered.node_energy_mj);
  out.set_gpu_energy_mj(news.metered.gpu_energy_mj);
  out.set_gpu_busy_us(news.metered.gpu_busy_us);
  out.set_gpu_watched_us(news.metered.gpu_watched_us);
  out.set_gpu_memory_peak_bytes(news.metered.gpu_memory_peak_bytes);
}

v1::StepReport ToProto(const StepNews& news) {
  v1::StepReport report;
  *report.mutable_step() = ToProto(news.step);
  report.set_sequence(news.sequence());
  switch (news.kind) {
    case StepNews::kStaging:
      report.set_kind(v1::StepReport::STAGING);
      break;
    case StepNews::kStarted:
      report.set_kind(v1::StepReport::STARTED);
      break;
    case StepNews::kEnded:
      report.set_kind(v1::StepReport::ENDED);
      break;
    case StepNews::kRefused:
      report.set_kind(v1::StepReport::REFUSED);
      break;
  }
  report.set_end(static_cast<v1::StepReport::End>(news.end));
  report.set_exit_code(news.exit_code);
  report.set_reason(news.reason);
  for (const Lap& lap : news.laps) {
    v1::Lap* to = report.add_laps();
    to->set_name(lap.name);
    to->set_us(lap.us);
  }
  report.set_time_ms(news.time_ms);
  report.set_first_failure_ms(news.first_failure_ms);
  if (news.usage != StepUsage()) *report.mutable_usage() = ToProto(news.usage);
  if (news.last()) AddMetered(news, report);
  report.set_binding(news.binding);
  return report;
}

void AddTaskPrograms(const std::string& prolog, const std::string& epilog, StepSpec& spec) {
  for (auto [name, program] : {std::pair("PROLOG", &prolog), {"EPILOG", &epilog}}) {
    if (program->empty()) continue;
    std::string target = Cat("/run/slipway/site-task-", name);
    spec.mounts.push_back({.type = Mount::kBind, .source = *program, .target = target, .read_only = true});
    spec.env.push_back(Cat("SLIPWAY_SITE_TASK_", name, "=", target));
  }
}

Result<LaunchPlan> PlanOf(const v1::LaunchStep& launch, const NodeSide& node) {
  LaunchPlan plan;
  plan.credential = {launch.credential_body(), launch.credential_signature()};
  plan.addresses = VectorOf<std::string>(launch.node_addresses());
  plan.image_bytes = launch.image_bytes();
  plan.stream_output = launch.stream_output();
  plan.lease_s = launch.lease_s();
  plan.job_nodes = VectorOf<std::string>(launch.job_nodes());
  plan.job_addresses = VectorOf<std::string>(launch.job_node_addresses());
  if (plan.job_nodes.size() != plan.job_addresses.size())
    return Fail(Code::kInvalidArgument, "launch: ", plan.job_nodes.size(), " nodes of the job, but ",
                plan.job_addresses.size(), " addresses");
  StepSpec& spec = plan.spec;
  spec.step = FromProto(launch.step());
  spec.cluster = launch.cluster();
  spec.job_name = launch.job_name();
  spec.user = launch.user();
  spec.home = launch.home();
  spec.shell = launch.shell();
  spec.uid = launch.uid();
  spec.gid = launch.gid();
  spec.time_limit_s = launch.time_limit_s();
  spec.agent_uid = node.agent_uid;
  spec.private_shm = node.private_shm;
  spec.private_tmp_bytes = node.private_tmp_bytes;
  spec.folder_timeout_s = node.folder_timeout_s;
  if (!IsDigest(launch.image_digest()))
    return Fail(Code::kInvalidArgument, "launch: not an image digest: ", launch.image_digest().substr(0, 80));
  spec.image_digest = launch.image_digest();
  if (!node.image_dir.empty())
    spec.image_path =
        Cat(node.image_dir, "/sha256-", spec.image_digest.substr(std::string_view("sha256:").size()));
  TRY(CopyPlacement(launch, spec));
  TRY(CopyProgram(launch, spec));
  spec.rendezvous = !plan.job_nodes.empty();
  // Only a batch script starts steps of its own.
  if (spec.step.step == kBatchStep) spec.client_dir = node.client_dir;
  if (launch.array_job() != 0) {
    ApplyEdits({.env = {Cat("SLIPWAY_ARRAY_JOB_ID=", launch.array_job()),
                        Cat("SLIPWAY_ARRAY_TASK_ID=", launch.array_task()),
                        Cat("SLURM_ARRAY_JOB_ID=", launch.array_job()),
                        Cat("SLURM_ARRAY_TASK_ID=", launch.array_task())}},
               spec);
  }
  return plan;
}

v1::Node ToProto(const NodeFacts& facts) {
  v1::Node node;
  node.set_cores(facts.cores);
  node.set_sockets(facts.sockets);
  node.set_numa_nodes(facts.numa_nodes);
  node.set_memory_bytes(facts.memory_bytes);
  node.set_arch(facts.arch);
  for (const Processor& processor : facts.topology.processors) {
    v1::Processor* to = node.add_processors();
    to->set_cpu(processor.cpu);
    to->set_core(processor.core);
    to->set_socket(processor.socket);
    to->set_numa(processor.numa);
  }
  for (const auto& cpus : facts.core_cpus) {
    v1::CpuList* list = node.add_core_cpus();
    for (std::uint32_t cpu : cpus) list->add_cpus(cpu);
  }
  return node;
}

}  // namespace slipway
