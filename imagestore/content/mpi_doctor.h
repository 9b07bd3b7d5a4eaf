// SPDX-License-Identifier: Apache-2.0
// Whether a cluster can start an MPI, and what to change if it cannot. What it says must hold: it refuses
// jobs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "imagestore/content/content.h"

namespace slipway::content {

enum class WireUp { kAny, kPmix, kPmi };  // what a job asks for (--mpi=auto, pmix, pmi1 or pmi2)

struct MpiVerdict {
  bool can = false;
  std::string how;   // "PMIx", "PMI-1": what it will be started by; empty when it cannot
  std::string says;  // one line for people: what it is and why it can or cannot
  std::string cure;  // one line; empty when it can
};
// PMIx servers speak to clients back to version 2.
MpiVerdict Diagnose(const Mpi& mpi, WireUp asked = WireUp::kAny);

// Why a step of several tasks cannot work with any MPI of the image; nothing when one can, or when there is
// none (then it does not need one, or hides it).
std::optional<std::string> WhyNot(const std::vector<Mpi>& mpi, WireUp asked);

}  // namespace slipway::content
