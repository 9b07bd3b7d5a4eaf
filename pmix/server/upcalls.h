// SPDX-License-Identifier: Apache-2.0
// What libpmix asks of its host, on libpmix's thread: decoded and posted from here. Internal to pmix/server.
#pragma once

#include <pmix_server.h>

#include "pmix/server/places.h"
#include "pmix/server/pmix_server.h"

namespace slipway {

class ClientTap;

struct UpcallTarget {
  Loop* loop = nullptr;
  ClientTap* clients = nullptr;
  PmixCallbacks callbacks;
  Places places;
};
// The one server of this process; set before PMIx_server_init, never changed while libpmix runs, but for the
// places.
void SetUpcallTarget(UpcallTarget* target);
UpcallTarget* Target();
pmix_server_module_t* UpcallModule();
void WatchForLostConnections();  // once libpmix runs

// spawn_upcall.cc
pmix_status_t OnSpawn(const pmix_proc_t* proc, const pmix_info_t infos[], size_t count,
                      const pmix_app_t apps[], size_t app_count, pmix_spawn_cbfunc_t answer, void* context);
// names_upcalls.cc
pmix_status_t OnPublish(const pmix_proc_t* proc, const pmix_info_t infos[], size_t count,
                        pmix_op_cbfunc_t answer, void* context);
pmix_status_t OnLookup(const pmix_proc_t* proc, char** keys, const pmix_info_t infos[], size_t count,
                       pmix_lookup_cbfunc_t answer, void* context);
pmix_status_t OnUnpublish(const pmix_proc_t* proc, char** keys, const pmix_info_t infos[], size_t count,
                          pmix_op_cbfunc_t answer, void* context);
// collective_upcalls.cc
pmix_status_t OnConnectAll(const pmix_proc_t procs[], size_t count, const pmix_info_t infos[],
                           size_t info_count, pmix_op_cbfunc_t answer, void* context);
pmix_status_t OnDisconnectAll(const pmix_proc_t procs[], size_t count, const pmix_info_t infos[],
                              size_t info_count, pmix_op_cbfunc_t answer, void* context);
pmix_status_t OnGroup(pmix_group_operation_t operation, char* name, const pmix_proc_t procs[], size_t count,
                      const pmix_info_t infos[], size_t info_count, pmix_info_cbfunc_t answer, void* context);
// event_upcalls.cc
pmix_status_t OnRegisterEvents(pmix_status_t* codes, size_t count, const pmix_info_t infos[],
                               size_t info_count, pmix_op_cbfunc_t answer, void* context);
pmix_status_t OnDeregisterEvents(pmix_status_t* codes, size_t count, pmix_op_cbfunc_t answer, void* context);
pmix_status_t OnNotifyEvent(pmix_status_t code, const pmix_proc_t* source, pmix_data_range_t range,
                            pmix_info_t infos[], size_t count, pmix_op_cbfunc_t answer, void* context);
pmix_status_t OnQuery(pmix_proc_t* asker, pmix_query_t* queries, size_t count, pmix_info_cbfunc_t answer,
                      void* context);
// control_upcalls.cc
void OnLog(const pmix_proc_t* who, const pmix_info_t data[], size_t count, const pmix_info_t directives[],
           size_t directive_count, pmix_op_cbfunc_t answer, void* context);
pmix_status_t OnJobControl(const pmix_proc_t* who, const pmix_proc_t targets[], size_t target_count,
                           const pmix_info_t directives[], size_t count, pmix_info_cbfunc_t answer,
                           void* context);
Result<std::string> EventOfEnd(const pmix_proc_t& proc, RankEnd end);
// What another node's OnNotifyEvent or EventOfEnd made; to our own clients.
Result<> DeliverEvent(std::string_view word);

}  // namespace slipway
