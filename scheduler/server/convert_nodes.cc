// SPDX-License-Identifier: Apache-2.0
// What nodes say, and what they are told. A node is trusted with its own steps and with nothing else:
// whatever it claims of others is refused here or by the core.
#include <algorithm>
#include <map>
#include <set>

#include "base/crypto/crypto.h"
#include "base/text/text.h"
#include "launcher/spec/task_binding.h"
#include "scheduler/core/placement.h"
#include "scheduler/server/convert.h"
#include "slipway/v1/node.pb.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kCoresMax = 65536;
constexpr std::uint64_t kMemoryBytesMax = std::uint64_t{1} << 50;
constexpr std::size_t kLineBytesMax = 1024, kGpuIdBytesMax = 128;
constexpr int kGpusMax = 1024, kCannotMax = 64, kProcessorsMax = 8192;

std::string Line(const std::string& text) {
  std::string line = text.substr(0, kLineBytesMax);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

// A node that does not say why (end is not set) has at least said it in words.
EndReason EndReasonOf(const v1::StepReport& in) {
  switch (in.end()) {
    case v1::StepReport::EXITED:
      return EndReason::kExited;
    case v1::StepReport::KILLED:
      return EndReason::kKilled;
    case v1::StepReport::TIME_LIMIT:
      return EndReason::kTimeLimit;
    case v1::StepReport::OUT_OF_MEMORY:
      return EndReason::kOutOfMemory;
    case v1::StepReport::LAUNCH_FAILED:
      return EndReason::kLaunchFailed;
    case v1::StepReport::NODE_UNFIT:
      return EndReason::kNodeUnfit;
    case v1::StepReport::LEASE_OVER:
      return EndReason::kNodeFailed;
    default:
      break;
  }
  const std::string& words = in.reason();
  if (in.kind() == v1::StepReport::REFUSED) return EndReason::kLaunchFailed;
  if (words.starts_with("CANCELLED") || words.starts_with("KILLED")) return EndReason::kKilled;
  if (words.starts_with("TIMEOUT") || words.find("time limit") != std::string::npos)
    return EndReason::kTimeLimit;
  if (words.starts_with("OUT_OF_MEMORY") || words.find("out of memory") != std::string::npos)
    return EndReason::kOutOfMemory;
  return EndReason::kExited;
}

// Agent, broker, stepd and container each name their laps; users want four figures. What one of them says
// about the inside of another's lap ("of these: …") is in that lap already.
Timings TimingsOf(const v1::StepReport& in) {
  Timings out;
  for (const v1::Lap& lap : in.laps()) {
    const std::string& name = lap.name();
    if (name.starts_with("of these: ")) continue;
    if (name == "stage") {
      out.stage_us += lap.us();
    } else if (name == "first rank connected" || name == "all ranks connected" || name == "wired up") {
      out.wireup_us += lap.us();
    } else if (name == "all ranks ended" || name == "output written") {
      out.run_us += lap.us();
    } else {
      out.start_us += lap.us();
    }
  }
  return out;
}

void ToProto(const Command& in, const LaunchStep& launch, const PathNames& names, v1::Program* out) {
  for (const std::string& argument : in.argv) out->add_argv(argument);
  out->set_script(in.script);
  for (const std::string& variable : in.env) out->add_env(variable);
  out->set_cwd(in.cwd);
  out->set_umask(in.umask);
  out->set_mpi(in.mpi == MpiKind::kPmix   ? v1::MPI_PMIX
               : in.mpi == MpiKind::kPmi  ? v1::MPI_PMI
               : in.mpi == MpiKind::kAuto ? v1::MPI_UNSPECIFIED
                                          : v1::MPI_NONE);
  for (const std::string& mount : in.mounts) out->add_binds(mount);
  for (const std::string& device : in.devices) out->add_devices(device);
  out->set_writable_tmpfs(in.writable_tmpfs);
  out->set_stdin_path(ExpandPath(in.stdin_path, *launch.job, in.cwd, names));
  out->set_stdout_path(ExpandPath(in.stdout_path, *launch.job, in.cwd, names));
  out->set_stderr_path(ExpandPath(in.stderr_path, *launch.job, in.cwd, names));
  out->set_append_output(in.append_output);
  out->set_interactive_stdin(in.stream);
  out->set_keep_on_bad_exit(!in.kill_on_bad_exit);
}

// Cores to the kernel's processors; none where the node only counts its cores.
std::vector<std::uint32_t> CpusOf(const LaunchStep& launch, const Node* node) {
  std::vector<std::uint32_t> cpus;
  if (node == nullptr) return cpus;
  for (std::uint32_t core : launch.allocation.cores.Numbers()) {
    if (core >= node->facts.core_cpus.size()) return {};
    cpus.insert(cpus.end(), node->facts.core_cpus[core].begin(), node->facts.core_cpus[core].end());
  }
  return cpus;
}

// Memory of other nodes is a last resort of the kernel's; that there is none is for the user to say: his job
// then ends when the memory beside its cores, which others may use as well, is used up.
bool WantsLocalMemory(const std::vector<std::string>& env) {
  return StepVariable(env, kMemBindVariable) == "local";
}

std::vector<std::uint32_t> MemoryNodesOf(const v1::Node& facts, const std::vector<std::uint32_t>& cpus) {
  std::vector<std::uint32_t> nodes;
  for (const v1::Processor& processor : facts.processors()) {
    if (std::ranges::find(cpus, processor.cpu()) != cpus.end()) nodes.push_back(processor.numa());
  }
  return nodes;
}

// The job's GPUs here: as the agent named them, or by their CDI names where the site gives these; and by
// number for those who look.
void AddGpus(const LaunchStep& launch, const NodeTraits& traits, v1::LaunchStep* out) {
  std::vector<std::string> numbers;
  v1::Program* program = out->mutable_program();
  for (std::uint32_t gpu : launch.allocation.gpus.Numbers()) {
    numbers.push_back(Cat(gpu));
    if (gpu < traits.gpu_ids.size())
      out->add_gpu_ids(traits.gpu_ids[gpu]);
    else if (!traits.gpu_devices.empty())
      program->add_devices(Cat(traits.gpu_devices, '=', gpu));
  }
  if (out->gpu_ids_size() != 0) out->set_gpus_per_task(launch.job->resources.gpus_per_task);
  if (!numbers.empty()) program->add_env(Cat("SLIPWAY_GPUS=", Join(numbers, ",")));
}

bool IsTypeName(std::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") == std::string_view::npos;
}

}  // namespace

Result<std::vector<DiscoveredGpu>> GpusOf(const v1::Node& facts) {
  std::vector<DiscoveredGpu> gpus;
  std::set<std::string> ids;
  if (facts.gpu_units_size() > kGpusMax)
    return Fail(Code::kInvalidArgument, "register: ", facts.gpu_units_size(), " GPUs");
  for (const v1::GpuUnit& unit : facts.gpu_units()) {
    if (unit.id().empty() || unit.id().size() > kGpuIdBytesMax || !ids.insert(unit.id()).second)
      return Fail(Code::kInvalidArgument, "register: a GPU without an id of its own");
    gpus.push_back({Line(unit.id()), IsTypeName(unit.type()) ? unit.type() : "gpu"});
  }
  return gpus;
}

NodeLocality LocalityOf(const v1::Node& facts) {
  NodeLocality locality;
  if (facts.processors_size() > kProcessorsMax) return locality;
  std::map<std::uint32_t, std::set<std::uint32_t>> cores;
  for (const v1::Processor& processor : facts.processors()) {
    if (processor.core() < facts.cores()) cores[processor.numa()].insert(processor.core());
  }
  for (const auto& [domain, numbers] : cores) {
    for (std::uint32_t number : numbers) {
      CoreSet one = CoreSet::FirstN(number + 1);
      one.Remove(CoreSet::FirstN(number));
      locality.cores[domain].Insert(one);
    }
  }
  for (const v1::GpuUnit& unit : facts.gpu_units()) {
    if (unit.numa_node() >= 0) locality.gpus[Line(unit.id())] = static_cast<std::uint32_t>(unit.numa_node());
  }
  return locality;
}

StepId StepIdOf(const v1::StepKey& key) { return {{key.job()}, key.attempt(), key.step()}; }
void ToProto(const StepId& id, v1::StepKey* out) {
  out->set_job(id.job.value);
  out->set_attempt(id.attempt);
  out->set_step(id.step);
}

Result<RegisterNode> RegisterOf(const v1::Register& in) {
  if (in.protocol() != 1)
    return Fail(Code::kFailedPrecondition, "the node speaks protocol ", in.protocol(), ", the controller 1");
  const v1::Node& facts = in.facts();
  if (facts.cores() == 0 || facts.cores() > kCoresMax)
    return Fail(Code::kInvalidArgument, "register: ", facts.cores(), " cores");
  if (facts.memory_bytes() > kMemoryBytesMax)
    return Fail(Code::kInvalidArgument, "register: ", facts.memory_bytes(), " bytes of memory");
  RegisterNode out;
  out.node = in.node();
  out.boot_id = Line(in.boot_id());
  out.address = Line(facts.address());
  out.facts.sockets = std::max(facts.sockets(), 1u);
  out.facts.cores = facts.cores();
  out.facts.memory_bytes = facts.memory_bytes();
  out.facts.architecture = Line(facts.arch());
  out.facts.agent_version = Line(facts.version());
  if (static_cast<std::uint32_t>(facts.core_cpus_size()) == facts.cores()) {
    for (const v1::CpuList& core : facts.core_cpus())
      out.facts.core_cpus.emplace_back(core.cpus().begin(), core.cpus().end());
  }
  for (const std::string& digest : facts.images()) {
    if (IsDigest(digest)) out.images.push_back(digest);
  }
  for (const v1::StepReport& step : in.steps()) out.steps.push_back(StepIdOf(step.step()));
  return out;
}

static StepMetered MeteredOf(const v1::StepReport& in) {
  constexpr std::size_t kLibrariesBytesMax = 16 << 10;
  const v1::StepUsage& usage = in.usage();
  StepMetered metered{usage.energy_mj(),
                      usage.node_energy_mj(),
                      usage.gpu_energy_mj(),
                      usage.gpu_busy_us(),
                      usage.gpu_watched_us(),
                      usage.gpu_memory_peak_bytes(),
                      {}};
  for (const std::string& name : in.libraries()) {
    if (metered.libraries.size() + name.size() >= kLibrariesBytesMax) break;
    if (name.empty() || name.find(' ') != name.npos) continue;  // no name of a library
    if (!metered.libraries.empty()) metered.libraries += ' ';
    metered.libraries += Line(name);
  }
  return metered;
}

static StepFacts FactsOf(const v1::StepReport& in) {
  const v1::StepUsage& usage = in.usage();
  return {{usage.cpu_us(), usage.cpu_user_us(), usage.cpu_system_us(), usage.memory_peak_bytes(),
           usage.swap_peak_bytes(), usage.io_read_bytes(), usage.io_write_bytes(), usage.pressure_cpu_us(),
           usage.pressure_memory_us(), usage.pressure_io_us()},
          Line(in.binding()),
          MeteredOf(in)};
}

ReportCondition ConditionOf(const v1::NodeCondition& in) {
  return {.node = {}, .session = 0, .reason = Line(in.reason()), .keep = in.keep()};
}

std::optional<StepReport> ReportOf(const v1::StepReport& in) {
  StepReport out;
  out.facts = FactsOf(in);
  out.step = StepIdOf(in.step());
  out.timings = TimingsOf(in);
  switch (in.kind()) {
    case v1::StepReport::STARTED:
      out.kind = ReportKind::kStarted;
      out.at = {in.time_ms() * 1000};
      return out;
    case v1::StepReport::ENDED:
    case v1::StepReport::REFUSED:
      out.kind = ReportKind::kEnded;
      out.exit_code = in.exit_code() & 255;
      out.reason = EndReasonOf(in);
      out.message = Line(in.reason());
      out.at = {(in.first_failure_ms() != 0 ? in.first_failure_ms() : in.time_ms()) * 1000};
      return out;
    default:
      return std::nullopt;
  }
}

std::shared_ptr<const v1::Node> PresentFactsOf(const v1::Register& in) {
  auto out = std::make_shared<v1::Node>();
  for (const std::string& what : in.facts().cannot()) {
    if (out->cannot_size() < kCannotMax) out->add_cannot(Line(what));
  }
  out->set_numa_nodes(in.facts().numa_nodes());
  if (in.facts().processors_size() <= kProcessorsMax) *out->mutable_processors() = in.facts().processors();
  return out;
}

void AddPresentFacts(const v1::Node& facts, v1::Node* out) { out->MergeFrom(facts); }

Result<LaunchCredential> CredentialOf(const LaunchStep& launch, const CredentialTerms& terms) {
  const User& user = launch.job->user;
  LaunchCredential out;
  out.cluster = terms.cluster_id;
  out.node = launch.nodes.at(launch.node_index).node;
  out.epoch = launch.epoch;
  out.step = {launch.step.job.value, launch.step.attempt, launch.step.step};
  out.oldest_live_job = launch.oldest_live_job.value;
  out.uid = user.uid;
  out.gid = user.gid;
  out.groups = user.groups;
  if (std::find(out.groups.begin(), out.groups.end(), user.gid) == out.groups.end())
    out.groups.insert(out.groups.begin(), user.gid);
  out.user = user.name;
  out.image_digest = launch.image_digest;
  out.changes_image = launch.command->writable_tmpfs;
  out.limits.time_limit_s = launch.time_limit_s;
  CgroupShare share{.cores = launch.allocation.cores.count(),
                    .memory_bytes = launch.allocation.memory_bytes,
                    .cpus = CpusOf(launch, terms.node),
                    .site = terms.job_cgroup};
  share.processes_max = share.cores * terms.processes_per_core_max;
  if (terms.present != nullptr && WantsLocalMemory(launch.command->env))
    share.memory_nodes = MemoryNodesOf(*terms.present, share.cpus);
  out.limits.cgroup = TRY_CONTEXT(CgroupSettingsOf(share), "controller.job_cgroup");
  return out;
}

// The batch step runs on the job's first node.
static void AddRendezvous(const LaunchStep& launch, const scheduler::State& state, v1::LaunchStep* out) {
  const Job* job = state.FindJob(launch.step.job);
  if (job == nullptr || job->spec->interactive) return;
  std::size_t count = launch.step.step == kBatchStep ? job->nodes.size() : 1;
  for (const NodeAllocation& allocated : job->nodes) {
    if (static_cast<std::size_t>(out->job_nodes_size()) == count) return;
    const Node* facts = state.FindNode(allocated.node);
    out->add_job_nodes(allocated.node);
    out->add_job_node_addresses(facts != nullptr ? facts->address : std::string());
  }
}

void ToProto(const LaunchStep& launch, const LaunchContext& context, const SignedCredential& credential,
             v1::ToNode* message) {
  v1::LaunchStep* out = message->mutable_launch();
  ToProto(launch.step, out->mutable_step());
  out->set_credential_body(credential.body);
  out->set_credential_signature(credential.signature);
  out->set_image_digest(launch.image_digest);
  const ImageRef& image =
      launch.command->image.digest == launch.image_digest ? launch.command->image : launch.job->command.image;
  out->set_image_bytes(image.bytes);
  for (const StepNode& node : launch.nodes) {
    out->add_nodes(node.node);
    const Node* facts = context.state->FindNode(node.node);
    out->add_node_addresses(facts != nullptr ? facts->address : std::string());
  }
  out->set_node_index(launch.node_index);
  AddRendezvous(launch, *context.state, out);
  std::vector<std::uint32_t> tasks;
  for (const StepNode& node : launch.nodes) tasks.push_back(node.tasks);
  auto map = DealRanks(tasks, DistributionOf(launch.command->env));
  for (const auto& ranks : map) {
    v1::RankList* list = out->add_ranks();
    for (std::uint32_t rank : ranks) list->add_ranks(rank);
  }
  const StepNode& mine = launch.nodes.at(launch.node_index);
  PathNames names{launch.step.job, launch.array, launch.array_task, mine.node, std::nullopt};
  if (mine.tasks == 1) names.rank = map[launch.node_index].front();
  ToProto(*launch.command, launch, names, out->mutable_program());
  AddGpus(launch, context.site->TraitsOf(mine.node), out);
  out->set_cores_per_task(launch.cores_per_task);
  out->set_cores(static_cast<std::uint32_t>(launch.allocation.cores.Numbers().size()));
  out->set_memory_bytes(launch.allocation.memory_bytes);
  for (std::uint32_t cpu : CpusOf(launch, context.state->FindNode(mine.node))) out->add_cpus(cpu);
  out->set_time_limit_s(launch.time_limit_s);
  out->set_lease_s(launch.lease_s);
  out->set_job_name(launch.job->name);
  const User& user = launch.job->user;
  out->set_user(user.name);
  out->set_home(user.home);
  out->set_shell(user.shell);
  out->set_uid(user.uid);
  out->set_gid(user.gid);
  out->set_cluster(context.cluster_name);
  out->set_array_job(launch.array.value);
  out->set_array_task(launch.array_task);
  out->set_stream_output(launch.command->stream);
}

}  // namespace slipway::scheduler
