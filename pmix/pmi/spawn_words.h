// SPDX-License-Identifier: Apache-2.0
// What a client of PMI says when it wants more ranks, in our words. PMI-1 sends one command for each program,
// PMI-2 one for all. Of the MPI_Info, `host`, `wdir`, `map_by` and `container_image` are read; others are
// hints that may be passed over.
#pragma once

#include "pmix/exchange/spawn.h"
#include "pmix/pmi/wire.h"

namespace slipway {

// Adds the program of one command; the first brings what is put into the new world's key-value space. An
// error is a client that does not keep the protocol.
Result<> AddPmi1Program(const PmiRequest& request, SpawnRequest& spawn);
bool IsLastOfPmi1(const PmiRequest& request);
Result<SpawnRequest> SpawnOfPmi2(const PmiRequest& request);

}  // namespace slipway
