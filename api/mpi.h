// SPDX-License-Identifier: Apache-2.0
// How ranks wire up, from the wire into the kind that the controller or the node has of its own: each has an
// enum with kNone, kPmix, kPmi and kAuto.
#pragma once

#include <cstdint>

#include "base/result/result.h"
#include "slipway/v1/job.pb.h"

namespace slipway {

// More than one task may be MPI: it is offered until the user says otherwise. kInvalidArgument for a kind of
// a later release.
template <class Kind>
Result<Kind> MpiKindOf(v1::Mpi mpi, std::uint64_t tasks) {
  switch (mpi) {
    case v1::MPI_UNSPECIFIED:
      return tasks > 1 ? Kind::kAuto : Kind::kNone;
    case v1::MPI_NONE:
      return Kind::kNone;
    case v1::MPI_PMIX:
      return Kind::kPmix;
    case v1::MPI_PMI:
      return Kind::kPmi;
    default:
      return Fail(Code::kInvalidArgument, "mpi: kind ", static_cast<int>(mpi),
                  " is not known to this release");
  }
}

}  // namespace slipway
