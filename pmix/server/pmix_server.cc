// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/pmix_server.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "pmix/server/client_tap.h"
#include "pmix/server/guard.h"
#include "pmix/server/key_waits.h"
#include "pmix/server/topology.h"
#include "pmix/server/upcalls.h"
#include "pmix/server/values.h"

namespace slipway {

struct PmixServer::Impl {
  UpcallTarget target;
  std::atomic<pmix_status_t> refused = PMIX_SUCCESS;  // of any rank that was to be registered
  std::unique_ptr<ClientTap> clients;
  std::unique_ptr<KeyWaits> key_waits;
  LoadedTopology topology;
  pmix_topology_t pmix_topology{};
};

namespace {

constexpr auto kLocalKeyWait = std::chrono::seconds(2);  // libpmix 4.2's own, pmix_server_get.c
constexpr std::string_view kReservedKeys = "pmix";       // no rank's to put

Result<> Check(pmix_status_t status, std::string_view what) {
  if (status == PMIX_SUCCESS || status == PMIX_OPERATION_SUCCEEDED) return {};
  return Fail(Code::kInternal, what, ": ", PMIx_Error_string(status));
}

// Each of these was measured: without them server_init takes 16–18 ms, with them 1.5. `hash` needs no
// directory that must be visible in the container; `native` is what every image has.
void PrepareEnvironment() {
  ::setenv("PMIX_MCA_gds", "hash", 1);
  ::setenv("PMIX_MCA_psec", "native", 1);
  ::setenv("PMIX_MCA_pmix_hwloc_hole_kind", "none", 1);
  ::setenv("HWLOC_PLUGINS_PATH", "/nonexistent", 1);
  // Settings and plugins of the user's would be looked for there, and a home that does not answer waited for.
  ::setenv("HOME", "/nonexistent", 1);
  // A rank that claims to send more is let go of before that is allocated; 0 would be without a bound.
  ::setenv("PMIX_MCA_ptl_base_max_msg_size", "64", 1);     // MiB
  ::setenv("PMIX_MCA_pmix_event_caching_window", "0", 1);  // a lost rank is told of at once, not after 1 s
}

std::string NodeList(const PmixWorld& world) {
  std::string names;
  for (std::size_t node = 0; node < world.nodes.size(); ++node) {
    if (!world.ranks[node].empty()) names += Cat(names.empty() ? "" : ",", world.nodes[node]);
  }
  return names;
}

std::string RankList(const PmixWorld& world) {
  std::string text;
  for (const auto& ranks : world.ranks) {
    if (ranks.empty()) continue;
    if (!text.empty()) text += ';';
    for (std::size_t i = 0; i < ranks.size(); ++i) text += Cat(i > 0 ? "," : "", ranks[i]);
  }
  return text;
}

Places::NodeOfRank NodeOfRanks(const PmixWorld& world) {
  std::size_t count = 0;
  for (const auto& ranks : world.ranks) count += ranks.size();
  Places::NodeOfRank node_of(count);
  for (std::uint32_t node = 0; node < world.ranks.size(); ++node) {
    for (std::uint32_t rank : world.ranks[node]) {
      CHECK(rank < count);
      node_of[rank] = node;
    }
  }
  return node_of;
}

pmix_proc_t ProcOf(const std::string& nspace, std::uint32_t rank) {
  pmix_proc_t proc{};  // libpmix reads all 256 bytes of the name
  std::memcpy(proc.nspace, nspace.data(), std::min<std::size_t>(nspace.size(), PMIX_MAX_NSLEN));
  proc.rank = rank;
  return proc;
}

// A rank's own number of its program cannot be told by maps. libpmix derives no other place of a rank once it
// has been given this, so all of them are given.
void AddProgramNumbers(const PmixWorld& world, InfoArray& infos) {
  std::uint32_t rank = 0;
  std::vector<std::uint16_t> next_here(world.nodes.size());
  Places::NodeOfRank node_of = NodeOfRanks(world);
  for (std::uint32_t program = 0; program < world.programs.size(); ++program) {
    for (std::uint32_t i = 0; i < world.programs[program] && rank < node_of.size(); ++i, ++rank) {
      std::uint32_t node = node_of[rank];
      std::uint16_t local = next_here[node]++;
      InfoArray about;
      about.Add(PMIX_RANK, &rank, PMIX_PROC_RANK);
      about.Number(PMIX_APPNUM, program);
      about.Add(PMIX_APP_RANK, &i, PMIX_PROC_RANK);
      about.Add(PMIX_LOCAL_RANK, &local, PMIX_UINT16);
      about.Add(PMIX_NODE_RANK, &local, PMIX_UINT16);
      about.Number(PMIX_NODEID, node);
      about.Text(PMIX_HOSTNAME, world.nodes[node]);
      pmix_data_array_t array{.type = PMIX_INFO, .size = about.size(), .array = about.data()};
      infos.Add(PMIX_PROC_DATA, &array, PMIX_DATA_ARRAY);
    }
  }
  std::uint32_t programs = static_cast<std::uint32_t>(world.programs.size());
  infos.Number(PMIX_JOB_NUM_APPS, programs);
}

void AddParent(const PmixPeer& parent, InfoArray& infos) {
  pmix_proc_t proc = ProcOf(parent.nspace, parent.rank);
  infos.Add(PMIX_PARENT_ID, &proc, PMIX_PROC);
  infos.True(PMIX_SPAWNED);
}

// Among what local ranks have committed; a question to libpmix's thread, which does not ask on.
bool HasCommitted(const PmixPeer& peer, const std::string& key) {
  pmix_proc_t proc = ProcOf(peer.nspace, peer.rank);
  InfoArray here_alone;
  here_alone.True(PMIX_OPTIONAL);
  pmix_value_t* value = nullptr;
  if (PMIx_Get(&proc, key.c_str(), here_alone.data(), here_alone.size(), &value) != PMIX_SUCCESS)
    return false;
  if (value != nullptr) PMIx_Value_destruct(value);
  std::free(value);
  return true;
}

}  // namespace

PmixServer::PmixServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

PmixServer::~PmixServer() {
  impl_->key_waits.reset();
  PMIx_server_finalize();
  TapAcceptedConnections(nullptr);
  SetUpcallTarget(nullptr);
}

Result<std::unique_ptr<PmixServer>> PmixServer::Start(Loop& loop, const std::string& private_dir,
                                                      const std::string& host, uid_t uid,
                                                      PmixCallbacks callbacks, const std::string& topology) {
  PrepareEnvironment();
  auto impl = std::make_unique<Impl>();
  impl->target.loop = &loop;
  impl->target.callbacks = std::move(callbacks);
  impl->topology = LoadTopology(topology);
  auto release = ReleaseIn(PMIx_Get_version());
  impl->clients = std::make_unique<ClientTap>(
      loop,
      ClientTap::Events{impl->target.callbacks.fence_entered, impl->target.callbacks.fence_left,
                        impl->target.callbacks.lost},
      release && *release < kGroupsNameMembers);
  impl->target.clients = impl->clients.get();
  TapAcceptedConnections(impl->clients.get());
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
  TRY(Check(PMIx_server_init(UpcallModule(), infos.data(), infos.size()), "PMIx_server_init"));
  WatchForLostConnections();
  impl->key_waits = std::make_unique<KeyWaits>(
      loop, [](const PmixPeer& peer, const std::string& key) { return HasCommitted(peer, key); });
  return std::unique_ptr<PmixServer>(new PmixServer(std::move(impl)));
}

Result<> PmixServer::Register(const PmixWorld& world) {
  if (world.nspace.empty() || world.nspace.size() > PMIX_MAX_NSLEN)
    return Fail(Code::kInvalidArgument, "PMIx namespace: ", world.nspace.size(), " bytes");
  Places& places = impl_->target.places;
  Places::NodeOfRank node_of = NodeOfRanks(world);
  auto size = static_cast<std::uint32_t>(node_of.size());
  if (world.foreign) {
    std::fill(node_of.begin(), node_of.end(), Places::kForeign);
  } else if (!places.ready()) {
    places.SetNodes(world.node_index, static_cast<std::uint32_t>(world.nodes.size()));
  }
  places.Add(world.nspace, std::move(node_of));

  char* node_map = nullptr;
  char* proc_map = nullptr;
  TRY(Check(PMIx_generate_regex(NodeList(world).c_str(), &node_map), "PMIx_generate_regex"));
  TRY(Check(PMIx_generate_ppn(RankList(world).c_str(), &proc_map), "PMIx_generate_ppn"));
  InfoArray infos;
  infos.Add(PMIX_NODE_MAP, node_map, PMIX_REGEX);
  infos.Add(PMIX_PROC_MAP, proc_map, PMIX_REGEX);
  std::free(node_map);
  std::free(proc_map);
  infos.Number(PMIX_JOB_SIZE, size);
  infos.Number(PMIX_UNIV_SIZE, std::max(size, world.universe_size));
  if (!world.foreign) AddOwn(world, infos);
  static const std::vector<std::uint32_t> kNone;
  const auto& local = world.foreign ? kNone : world.ranks.at(world.node_index);
  pmix_proc_t proc = ProcOf(world.nspace, 0);
  TRY(Check(PMIx_server_register_nspace(proc.nspace, static_cast<int>(local.size()), infos.data(),
                                        infos.size(), nullptr, nullptr),
            "PMIx_server_register_nspace"));
  // libpmix's thread takes them in order, so that only the last is waited for.
  auto registered = [](pmix_status_t status, void* context) {
    if (status != PMIX_SUCCESS) *static_cast<std::atomic<pmix_status_t>*>(context) = status;
  };
  for (std::uint32_t rank : local) {
    proc.rank = rank;
    bool last = rank == local.back();
    TRY(Check(PMIx_server_register_client(&proc, world.uid, world.gid, nullptr, last ? nullptr : +registered,
                                          &impl_->refused),
              "PMIx_server_register_client"));
  }
  return Check(impl_->refused, "PMIx_server_register_client");
}

// What only its own ranks ask.
void PmixServer::AddOwn(const PmixWorld& world, InfoArray& infos) const {
  if (world.parent) AddParent(*world.parent, infos);
  if (world.programs.size() > 1) AddProgramNumbers(world, infos);
  if (!world.session_dir.empty()) {
    infos.Text(PMIX_TMPDIR, world.session_dir);
    infos.Text(PMIX_NSDIR, world.session_dir);
    infos.True(PMIX_TDIR_RMCLEAN);
  }
  if (!impl_->topology.xml.empty()) {
    infos.Text(PMIX_LOCAL_TOPO, impl_->topology.xml);
    infos.Text(PMIX_HWLOC_XML_V2, impl_->topology.xml);
  }
}

void PmixServer::Deregister(const std::string& nspace) {
  impl_->target.places.Remove(nspace);
  PMIx_server_deregister_nspace(ProcOf(nspace, 0).nspace, nullptr, nullptr);
}

Result<std::vector<std::string>> PmixServer::EnvironmentOf(const PmixPeer& peer) {
  pmix_proc_t proc = ProcOf(peer.nspace, peer.rank);
  char** env = nullptr;
  TRY(Check(PMIx_server_setup_fork(&proc, &env), "PMIx_server_setup_fork"));
  std::vector<std::string> lines;
  for (char** at = env; at != nullptr && *at != nullptr; ++at) {
    lines.emplace_back(*at);
    std::free(*at);
  }
  std::free(env);
  return lines;
}

void PmixServer::ServeModex(const ModexRequest& request, Exchange::Reply reply) {
  PmixPeer peer{request.world, request.rank};
  if (impl_->target.places.NodeOf(ProcOf(peer.nspace, peer.rank)) != impl_->target.places.here())
    return reply(Fail(Code::kNotFound, "rank ", peer.rank, " is not here"));
  if (request.key.empty() || request.key.starts_with(kReservedKeys))
    return GiveCommitted(peer, std::move(reply));
  struct Asked {
    Exchange::Reply reply;  // until it has been given
    Loop::TimerId timer;
  };
  auto asked = std::make_shared<Asked>(Asked{.reply = std::move(reply)});
  Loop& loop = *impl_->target.loop;
  auto answer = [asked, &loop](Result<std::string> data) {
    loop.Cancel(asked->timer);
    if (asked->reply) std::exchange(asked->reply, nullptr)(std::move(data));
  };
  auto limit = request.limit_s == 0 ? kLocalKeyWait : std::chrono::seconds(request.limit_s);
  if (request.limit_s != 0) {
    asked->timer = loop.After(limit, [answer, rank = peer.rank] {
      answer(Fail(Code::kDeadlineExceeded, "rank ", rank, " has not committed that key"));
    });
  }
  // The first commit is told of by libpmix; it is the later ones that are not.
  GiveCommitted(peer, [this, peer, key = request.key, limit, asked, answer](Result<std::string> data) {
    if (!asked->reply || !data || data->find(key) != std::string::npos) return answer(std::move(data));
    impl_->key_waits->Await(peer, key, limit, [this, peer, answer, data = std::move(data)](bool there) {
      there ? GiveCommitted(peer, answer) : answer(data);
    });
  });
}

void PmixServer::GiveCommitted(const PmixPeer& peer, Exchange::Reply reply) {
  pmix_proc_t proc = ProcOf(peer.nspace, peer.rank);
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
  pmix_status_t status = PMIx_server_dmodex_request(&proc, answer, waiting);
  if (status == PMIX_SUCCESS) return;
  waiting->reply(Fail(Code::kNotFound, "PMIx_server_dmodex_request: ", PMIx_Error_string(status)));
  delete waiting;
}

Result<std::string> PmixServer::EventOf(const PmixPeer& peer, RankEnd end) {
  pmix_proc_t proc = ProcOf(peer.nspace, peer.rank);
  return EventOfEnd(proc, end);
}

Result<> PmixServer::DeliverEvent(std::string_view word) { return slipway::DeliverEvent(word); }

std::string PmixServer::version() const { return PMIx_Get_version(); }

}  // namespace slipway
