// SPDX-License-Identifier: Apache-2.0
#include "agent/node/facts.h"

#include <sys/utsname.h>

#include "base/os/fd.h"
#include "base/text/text.h"

namespace slipway {
namespace {

std::vector<std::vector<std::uint32_t>> CoreCpus(const Topology& topology) {
  std::vector<std::vector<std::uint32_t>> cores;
  for (const Processor& processor : topology.processors) {
    if (processor.core >= cores.size()) cores.resize(processor.core + 1);
    cores[processor.core].push_back(processor.cpu);
  }
  return cores;
}

std::string DebianArch(const std::string& machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine;
}

}  // namespace

Result<NodeFacts> FindNodeFacts(std::uint32_t cores, std::uint64_t memory_bytes) {
  NodeFacts facts;
  facts.topology = TRY(FindTopology());
  facts.core_cpus = CoreCpus(facts.topology);
  facts.cores = facts.topology.cores;
  facts.sockets = facts.topology.sockets;
  facts.numa_nodes = facts.topology.numa_nodes;
  facts.memory_bytes = facts.topology.memory_bytes;
  if (cores != 0 && cores != facts.cores) {
    facts.cores = cores;
    facts.core_cpus.clear();
    facts.topology.processors.clear();
  }
  if (memory_bytes != 0) facts.memory_bytes = memory_bytes;
  utsname system{};
  if (::uname(&system) < 0) return ErrnoFail("uname");
  facts.arch = DebianArch(system.machine);
  return facts;
}

Result<std::string> FindBootId(const std::string& state_dir) {
  std::string id(Trim(TRY(ReadFile("/proc/sys/kernel/random/boot_id", 256))));
  auto suffix = ReadFile(state_dir + "/boot-suffix", 256);
  if (!suffix && suffix.error().code != Code::kNotFound) return Failure(std::move(suffix).error());
  if (suffix && !Trim(*suffix).empty()) id = Cat(id, "-", Trim(*suffix));
  return id;
}

}  // namespace slipway
