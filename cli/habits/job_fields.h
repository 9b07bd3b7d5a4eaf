// SPDX-License-Identifier: Apache-2.0
// What squeue shows of a job.
#pragma once

#include "cli/habits/field.h"
#include "slipway/v1/job.pb.h"

namespace slipway::cli {

std::span<const Field<v1::Job>> JobFields();
std::string NodeListOf(const v1::Job& job);
std::uint32_t CoresOf(const v1::Job& job);  // that it asks for, or has
std::uint32_t NodesOf(const v1::Job& job);
std::int64_t ElapsedS(const v1::Job& job);
std::string GroupOf(const v1::Job& job);  // of its user, as this host knows him; empty: it does not

}  // namespace slipway::cli
