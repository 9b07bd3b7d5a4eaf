// SPDX-License-Identifier: Apache-2.0
// Most steps are no MPI steps and should not pay for mapping libpmix, libhwloc and what they pull in (1–2 ms
// each start); so they are opened when first wanted, and this is the table of what we call in them. Internal
// to pmix/server: <pmix.h> is wanted nowhere else.
#pragma once

#include <pmix.h>
#include <pmix_server.h>

#include <string>

#include "base/result/result.h"

namespace slipway {

struct PmixLibrary {
  decltype(&PMIx_server_init) server_init;
  decltype(&PMIx_server_finalize) server_finalize;
  decltype(&PMIx_generate_regex) generate_regex;
  decltype(&PMIx_generate_ppn) generate_ppn;
  decltype(&PMIx_server_register_nspace) register_nspace;
  decltype(&PMIx_server_deregister_nspace) deregister_nspace;
  decltype(&PMIx_server_register_client) register_client;
  decltype(&PMIx_server_setup_fork) setup_fork;
  decltype(&PMIx_server_dmodex_request) dmodex_request;
  decltype(&PMIx_Get) get;
  decltype(&PMIx_Info_load) info_load;
  decltype(&PMIx_Value_destruct) value_destruct;
  decltype(&PMIx_Data_pack) data_pack;
  decltype(&PMIx_Data_unpack) data_unpack;
  decltype(&PMIx_Notify_event) notify_event;
  decltype(&PMIx_Register_event_handler) register_event_handler;
  decltype(&PMIx_Error_string) error_string;
  decltype(&PMIx_Get_version) get_version;
};
// Once a process; kFailedPrecondition says what is not installed.
Result<const PmixLibrary*> LoadPmixLibrary();

// The node's topology, found once here instead of once in every rank: that of `xml`, which was discovered on
// this node; where that is empty or cannot be read it is discovered. Empty where hwloc cannot be had.
struct LoadedTopology {
  void* handle = nullptr;  // hwloc_topology_t, lives as long as the process
  std::string source;      // "hwloc:2.9.0", as PMIx names it
  std::string xml;
};
LoadedTopology DiscoverTopology(const std::string& xml);

}  // namespace slipway
