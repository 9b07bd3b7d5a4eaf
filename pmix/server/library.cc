// SPDX-License-Identifier: Apache-2.0
#include "pmix/server/library.h"

#include <dlfcn.h>

#include <cstdlib>

namespace slipway {
namespace {

template <class Function>
bool Find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

Result<PmixLibrary> Open() {
  // Global: libpmix's own plugins look for its symbols there.
  void* library = ::dlopen("libpmix.so.2", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    return Fail(Code::kFailedPrecondition, "this node cannot start MPI steps: ", ::dlerror(),
                " (Debian's package is libpmix2)");
  }
  PmixLibrary table{};
  bool all = Find(library, "PMIx_server_init", table.server_init) &&
             Find(library, "PMIx_server_finalize", table.server_finalize) &&
             Find(library, "PMIx_generate_regex", table.generate_regex) &&
             Find(library, "PMIx_generate_ppn", table.generate_ppn) &&
             Find(library, "PMIx_server_register_nspace", table.register_nspace) &&
             Find(library, "PMIx_server_deregister_nspace", table.deregister_nspace) &&
             Find(library, "PMIx_server_register_client", table.register_client) &&
             Find(library, "PMIx_server_setup_fork", table.setup_fork) &&
             Find(library, "PMIx_server_dmodex_request", table.dmodex_request) &&
             Find(library, "PMIx_Get", table.get) && Find(library, "PMIx_Info_load", table.info_load) &&
             Find(library, "PMIx_Value_destruct", table.value_destruct) &&
             Find(library, "PMIx_Data_pack", table.data_pack) &&
             Find(library, "PMIx_Data_unpack", table.data_unpack) &&
             Find(library, "PMIx_Notify_event", table.notify_event) &&
             Find(library, "PMIx_Register_event_handler", table.register_event_handler) &&
             Find(library, "PMIx_Error_string", table.error_string) &&
             Find(library, "PMIx_Get_version", table.get_version);
  if (!all) return Fail(Code::kFailedPrecondition, "this node cannot start MPI steps: ", ::dlerror());
  return table;
}

}  // namespace

Result<const PmixLibrary*> LoadPmixLibrary() {
  static const Result<PmixLibrary> library = Open();
  if (!library) return Failure(library.error());
  return &*library;
}

LoadedTopology DiscoverTopology(const std::string& known) {
  void* library = ::dlopen("libhwloc.so.15", RTLD_NOW);
  int (*init)(void**);
  int (*load)(void*);
  int (*read)(void*, const char*, int);
  int (*set_flags)(void*, unsigned long);
  int (*export_xml)(void*, char**, int*, unsigned long);
  void (*free_xml)(void*, char*);
  void (*destroy)(void*);
  unsigned (*version)();
  if (library == nullptr || !Find(library, "hwloc_topology_init", init) ||
      !Find(library, "hwloc_topology_load", load) || !Find(library, "hwloc_topology_set_xmlbuffer", read) ||
      !Find(library, "hwloc_topology_set_flags", set_flags) ||
      !Find(library, "hwloc_topology_destroy", destroy) ||
      !Find(library, "hwloc_topology_export_xmlbuffer", export_xml) ||
      !Find(library, "hwloc_free_xmlbuffer", free_xml) || !Find(library, "hwloc_get_api_version", version)) {
    return {};
  }
  LoadedTopology topology;
  constexpr unsigned long kIsThisSystem = 1UL << 1;  // HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM
  auto from_known = [&] {
    if (known.empty() || init(&topology.handle) != 0) return false;
    if (read(topology.handle, known.c_str(), static_cast<int>(known.size()) + 1) == 0 &&
        set_flags(topology.handle, kIsThisSystem) == 0 && load(topology.handle) == 0)
      return true;
    destroy(topology.handle);
    return false;
  };
  if (!from_known() && (init(&topology.handle) != 0 || load(topology.handle) != 0)) return {};
  char* xml = nullptr;
  int size = 0;
  if (export_xml(topology.handle, &xml, &size, 0) != 0) return {};
  topology.xml = xml;  // size counts the NUL
  free_xml(topology.handle, xml);
  unsigned number = version();
  topology.source = Cat("hwloc:", number >> 16, ".", number >> 8 & 0xff, ".", number & 0xff);
  return topology;
}

}  // namespace slipway
