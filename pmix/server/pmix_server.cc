// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/pmix_server.h"

#include <cstdlib>
#include <cstring>

#include "pmix/server/guard.h"
#include "pmix/server/library.h"
#include "pmix/server/upcalls.h"
#include "pmix/server/values.h"

namespace slipway {

struct PmixServer::Impl {
  const PmixLibrary* library = nullptr;
  UpcallTarget target;
  Topology topology;
  pmix_topology_t pmix_topology{};
  pmix_nspace_t nspace{};  // libpmix reads all 256 bytes
};

namespace {

Result<> Check(const PmixLibrary& library, pmix_status_t status, std::string_view what) {
  if (status == PMIX_SUCCESS || status == PMIX_OPERATION_SUCCEEDED) return {};
  return Fail(Code::kInternal, what, ": ", library.error_string(status));
}

// Each of these was measured: without them server_init takes 16–18 ms, with them 1.5. `hash` needs no
// directory that must be visible in the container; `native` is what every image has.
void PrepareEnvironment() {
  ::setenv("PMIX_MCA_gds", "hash", 1);
  ::setenv("PMIX_MCA_psec", "native", 1);
  ::setenv("PMIX_MCA_pmix_hwloc_hole_kind", "none", 1);
  ::setenv("HWLOC_PLUGINS_PATH", "/nonexistent", 1);
}

std::string NodeList(const PmixStep& step) {
  std::string names;
  for (std::size_t node = 0; node < step.nodes.size(); ++node) {
    if (!step.ranks[node].empty()) names += Cat(names.empty() ? "" : ",", step.nodes[node]);
  }
  return names;
}

std::string RankList(const PmixStep& step) {
  std::string text;
  for (const auto& ranks : step.ranks) {
    if (ranks.empty()) continue;
    if (!text.empty()) text += ';';
    for (std::size_t i = 0; i < ranks.size(); ++i) text += Cat(i > 0 ? "," : "", ranks[i]);
  }
  return text;
}

RankPlaces PlacesOf(const PmixStep& step) {
  RankPlaces places{.nspace = step.nspace,
                    .node_index = step.node_index,
                    .node_count = static_cast<std::uint32_t>(step.nodes.size())};
  std::size_t count = 0;
  for (const auto& ranks : step.ranks) count += ranks.size();
  places.node_of.resize(count);
  for (std::uint32_t node = 0; node < step.ranks.size(); ++node) {
    for (std::uint32_t rank : step.ranks[node]) {
      CHECK(rank < count);
      places.node_of[rank] = node;
    }
  }
  return places;
}

}  // namespace

PmixServer::PmixServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

PmixServer::~PmixServer() {
  impl_->library->server_finalize();
  SetUpcallTarget(nullptr);
}

Result<std::unique_ptr<PmixServer>> PmixServer::Start(Loop& loop, const std::string& private_dir,
                                                      const std::string& host, uid_t uid,
                                                      PmixCallbacks callbacks) {
  PrepareEnvironment();
  auto impl = std::make_unique<Impl>();
  impl->library = TRY(LoadPmixLibrary());
  impl->target.loop = &loop;
  impl->target.callbacks = std::move(callbacks);
  impl->topology = DiscoverTopology();
  GuardAcceptedConnections(uid);
  SetUpcallTarget(&impl->target);

  InfoArray infos;
  infos.Text(PMIX_SERVER_TMPDIR, private_dir);
  infos.Text(PMIX_SYSTEM_TMPDIR, private_dir);
  infos.Text(PMIX_HOSTNAME, host);
  if (impl->topology.handle != nullptr) {
    impl->pmix_topology.source = impl->topology.source.data();
    impl->pmix_topology.topology = static_cast<decltype(impl->pmix_topology.topology)>(impl->topology.handle);
    infos.Add(PMIX_TOPOLOGY2, &impl->pmix_topology, PMIX_TOPO);
  }
  TRY(Check(*impl->library, impl->library->server_init(UpcallModule(), infos.data(), infos.size()),
            "PMIx_server_init"));
  return std::unique_ptr<PmixServer>(new PmixServer(std::move(impl)));
}

Result<> PmixServer::Register(PmixStep step) {
  const PmixLibrary& library = *impl_->library;
  if (step.nspace.empty() || step.nspace.size() > PMIX_MAX_NSLEN)
    return Fail(Code::kInvalidArgument, "PMIx namespace: ", step.nspace.size(), " bytes");
  std::memcpy(impl_->nspace, step.nspace.data(), step.nspace.size());
  impl_->target.places = PlacesOf(step);

  char* node_map = nullptr;
  char* proc_map = nullptr;
  TRY(Check(library, library.generate_regex(NodeList(step).c_str(), &node_map), "PMIx_generate_regex"));
  TRY(Check(library, library.generate_ppn(RankList(step).c_str(), &proc_map), "PMIx_generate_ppn"));
  InfoArray infos;
  infos.Add(PMIX_NODE_MAP, node_map, PMIX_REGEX);
  infos.Add(PMIX_PROC_MAP, proc_map, PMIX_REGEX);
  auto size = static_cast<std::uint32_t>(impl_->target.places.node_of.size());
  infos.Number(PMIX_JOB_SIZE, size);
  infos.Number(PMIX_UNIV_SIZE, size);
  if (!step.session_dir.empty()) {
    infos.Text(PMIX_TMPDIR, step.session_dir);
    infos.Text(PMIX_NSDIR, step.session_dir);
    infos.True(PMIX_TDIR_RMCLEAN);
  }
  if (!impl_->topology.xml.empty()) {
    infos.Text(PMIX_LOCAL_TOPO, impl_->topology.xml);
    infos.Text(PMIX_HWLOC_XML_V2, impl_->topology.xml);
  }
  const auto& local = step.ranks.at(step.node_index);
  pmix_status_t status = library.register_nspace(impl_->nspace, static_cast<int>(local.size()), infos.data(),
                                                 infos.size(), nullptr, nullptr);
  std::free(node_map);
  std::free(proc_map);
  TRY(Check(library, status, "PMIx_server_register_nspace"));
  for (std::uint32_t rank : local) {
    pmix_proc_t proc{};
    std::memcpy(proc.nspace, impl_->nspace, sizeof proc.nspace);
    proc.rank = rank;
    TRY(Check(library, library.register_client(&proc, step.uid, step.gid, nullptr, nullptr, nullptr),
              "PMIx_server_register_client"));
  }
  return {};
}

Result<std::vector<std::string>> PmixServer::EnvironmentOf(std::uint32_t rank) {
  pmix_proc_t proc{};
  std::memcpy(proc.nspace, impl_->nspace, sizeof proc.nspace);
  proc.rank = rank;
  char** env = nullptr;
  TRY(Check(*impl_->library, impl_->library->setup_fork(&proc, &env), "PMIx_server_setup_fork"));
  std::vector<std::string> lines;
  for (char** at = env; at != nullptr && *at != nullptr; ++at) {
    lines.emplace_back(*at);
    std::free(*at);
  }
  std::free(env);
  return lines;
}

void PmixServer::ServeModex(std::uint32_t rank, Exchange::Reply reply) {
  const RankPlaces& places = impl_->target.places;
  if (rank >= places.node_of.size() || places.node_of[rank] != places.node_index) {
    return reply(Fail(Code::kNotFound, "rank ", rank, " is not here"));
  }
  pmix_proc_t proc{};
  std::memcpy(proc.nspace, impl_->nspace, sizeof proc.nspace);
  proc.rank = rank;
  struct Waiting {
    Loop* loop;
    Exchange::Reply reply;
  };
  auto* waiting = new Waiting{impl_->target.loop, std::move(reply)};
  auto answer = [](pmix_status_t status, char* data, std::size_t size, void* context) {
    auto* asked = static_cast<Waiting*>(context);
    std::string bytes = data == nullptr ? std::string() : std::string(data, size);
    asked->loop->Post([asked, status, bytes = std::move(bytes)]() mutable {
      if (status == PMIX_SUCCESS) {
        asked->reply(std::move(bytes));
      } else {
        asked->reply(Fail(Code::kNotFound, "no data (PMIx status ", status, ")"));
      }
      delete asked;
    });
  };
  pmix_status_t status = impl_->library->dmodex_request(&proc, answer, waiting);
  if (status == PMIX_SUCCESS) return;
  waiting->reply(Fail(Code::kNotFound, "PMIx_server_dmodex_request: ", impl_->library->error_string(status)));
  delete waiting;
}

Result<> PmixServer::DeliverEvent(std::string_view word) {
  return slipway::DeliverEvent(*impl_->library, word);
}

std::string PmixServer::version() const { return impl_->library->get_version(); }

}  // namespace slipway
