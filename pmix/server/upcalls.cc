// SPDX-License-Identifier: Apache-2.0
// Returning PMIX_SUCCESS promises a callback, PMIX_OPERATION_SUCCEEDED says that there will be none; data
// belongs to libpmix and is copied before we return. What this host does not offer says so: a client that
// waited for an answer that never comes would be worse than one that is told no.
#include "pmix/server/upcalls.h"

#include <algorithm>

#include "pmix/server/client_tap.h"
#include "pmix/server/values.h"

namespace slipway {
namespace {

UpcallTarget* g_target = nullptr;

// The reply goes back into libpmix from our thread; it copies or queues before it calls release.
void ReplyTo(pmix_modex_cbfunc_t reply, void* reply_data, Result<std::string> data) {
  if (!data) {
    pmix_status_t status = data.error().code == Code::kUnavailable        ? PMIX_ERR_LOST_CONNECTION
                           : data.error().code == Code::kDeadlineExceeded ? PMIX_ERR_TIMEOUT
                                                                          : PMIX_ERR_NOT_FOUND;
    return reply(status, nullptr, 0, reply_data, nullptr, nullptr);
  }
  auto* kept = new std::string(std::move(*data));
  reply(
      PMIX_SUCCESS, kept->empty() ? nullptr : kept->data(), kept->size(), reply_data,
      [](void* text) { delete static_cast<std::string*>(text); }, kept);
}

PmixPeer PeerOf(const pmix_proc_t& proc) { return {.nspace = proc.nspace, .rank = proc.rank}; }

// An event of libpmix's own, some turns of its loop after it no longer counts on that rank. ClientTap has
// said so before, but of one whose connection ended in a write.
void OnLostConnection(size_t, pmix_status_t, const pmix_proc_t* source, pmix_info_t[], size_t, pmix_info_t*,
                      size_t, pmix_event_notification_cbfunc_fn_t done, void* context) {
  if (source != nullptr && g_target != nullptr && g_target->places.NodeOf(*source))
    g_target->loop->Post([peer = PeerOf(*source)] { g_target->callbacks.lost(peer); });
  if (done != nullptr) done(PMIX_EVENT_ACTION_COMPLETE, nullptr, 0, nullptr, nullptr, context);
}

pmix_status_t OnConnected(const pmix_proc_t* proc, void*, pmix_info_t*, size_t, pmix_op_cbfunc_t, void*) {
  if (g_target->places.NodeOf(*proc) != g_target->places.here()) return PMIX_ERR_NOT_SUPPORTED;
  // libpmix calls within the greeting.
  if (g_target->clients != nullptr) g_target->clients->Named(LastGreeted(), PeerOf(*proc));
  g_target->loop->Post([peer = PeerOf(*proc)] { g_target->callbacks.connected(peer); });
  return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t OnFinalized(const pmix_proc_t* proc, void*, pmix_op_cbfunc_t, void*) {
  if (!g_target->places.NodeOf(*proc)) return PMIX_OPERATION_SUCCEEDED;
  if (g_target->clients != nullptr) g_target->clients->Finalized(PeerOf(*proc));
  g_target->loop->Post([peer = PeerOf(*proc)] { g_target->callbacks.finalized(peer); });
  return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t OnAbort(const pmix_proc_t* proc, void*, int status, const char message[], pmix_proc_t*, size_t,
                      pmix_op_cbfunc_t, void*) {
  if (!g_target->places.NodeOf(*proc)) return PMIX_ERR_NOT_SUPPORTED;
  std::string text = message == nullptr ? "" : std::string(message).substr(0, 200);
  g_target->loop->Post([peer = PeerOf(*proc), status, text = std::move(text)] {
    g_target->callbacks.aborted(peer, status, text);
  });
  return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t OnFence(const pmix_proc_t procs[], size_t count, const pmix_info_t[], size_t, char* data,
                      size_t size, pmix_modex_cbfunc_t reply, void* reply_data) {
  auto who = g_target->places.ParticipantsOf(procs, count);
  if (!who) return PMIX_ERR_NOT_SUPPORTED;
  std::string bytes = data == nullptr ? std::string() : std::string(data, size);
  g_target->loop->Post([who = std::move(*who), bytes = std::move(bytes), reply, reply_data]() mutable {
    g_target->callbacks.fence(std::move(who), std::move(bytes), [reply, reply_data](Result<std::string> all) {
      ReplyTo(reply, reply_data, std::move(all));
    });
  });
  return PMIX_SUCCESS;
}

pmix_status_t OnModex(const pmix_proc_t* proc, const pmix_info_t infos[], size_t count,
                      pmix_modex_cbfunc_t reply, void* reply_data) {
  auto node = g_target->places.NodeOf(*proc);
  if (!node) return PMIX_ERR_NOT_FOUND;
  if (*node == Places::kForeign) node.reset();
  std::int64_t limit_s = NumberIn(infos, count, PMIX_TIMEOUT, 0);
  ModexRequest request{.world = proc->nspace,
                       .rank = proc->rank,
                       .key = std::string(TextIn(infos, count, PMIX_REQUIRED_KEY)),
                       .limit_s = static_cast<std::uint32_t>(std::clamp<std::int64_t>(limit_s, 0, 86400))};
  g_target->loop->Post([node, request = std::move(request), reply, reply_data]() mutable {
    g_target->callbacks.modex(node, std::move(request), [reply, reply_data](Result<std::string> data) {
      ReplyTo(reply, reply_data, std::move(data));
    });
  });
  return PMIX_SUCCESS;
}

template <class... Arguments>
pmix_status_t NotOffered(Arguments...) {
  return PMIX_ERR_NOT_SUPPORTED;
}

}  // namespace

void WatchForLostConnections() {
  pmix_status_t code = PMIX_ERR_LOST_CONNECTION;
  PMIx_Register_event_handler(&code, 1, nullptr, 0, OnLostConnection, nullptr, nullptr);
}

void SetUpcallTarget(UpcallTarget* target) { g_target = target; }
UpcallTarget* Target() { return g_target; }

pmix_server_module_t* UpcallModule() {
  static pmix_server_module_t module = {
      .client_finalized = OnFinalized,
      .abort = OnAbort,
      .fence_nb = OnFence,
      .direct_modex = OnModex,
      .publish = OnPublish,
      .lookup = OnLookup,
      .unpublish = OnUnpublish,
      .spawn = OnSpawn,
      .connect = OnConnectAll,
      .disconnect = OnDisconnectAll,
      .register_events = OnRegisterEvents,
      .deregister_events = OnDeregisterEvents,
      .notify_event = OnNotifyEvent,
      .query = OnQuery,
      .log = OnLog,
      .allocate = NotOffered,
      .job_control = OnJobControl,
      .monitor = NotOffered,
      .get_credential = NotOffered,
      .validate_credential = NotOffered,
      .iof_pull = NotOffered,
      .push_stdin = NotOffered,
      .group = OnGroup,
      .client_connected2 = OnConnected,
  };
  return &module;
}

}  // namespace slipway
