// SPDX-License-Identifier: Apache-2.0
// What libpmix asks of its host, on libpmix's thread: decoded and posted from here. Internal to pmix/server.
#pragma once

#include <pmix_server.h>

#include <optional>
#include <string>
#include <vector>

#include "pmix/server/pmix_server.h"

namespace slipway {

// Where every rank sits; never changes once Register() made it.
struct RankPlaces {
  std::string nspace;
  std::vector<std::uint32_t> node_of;  // by rank
  std::uint32_t node_index = 0;
  std::uint32_t node_count = 0;
};

// Who takes part in a collective, in one spelling for all nodes; nothing when that is not ranks of this step.
struct Participants {
  std::string members;
  std::vector<std::uint32_t> nodes;  // sorted
};
std::optional<Participants> ParticipantsOf(const RankPlaces& places, const pmix_proc_t* procs,
                                           std::size_t count);

struct UpcallTarget {
  Loop* loop = nullptr;
  PmixCallbacks callbacks;
  RankPlaces places;
};
// The one server of this process; set before PMIx_server_init, never changed while libpmix runs.
void SetUpcallTarget(UpcallTarget* target);
pmix_server_module_t* UpcallModule();

}  // namespace slipway
