// SPDX-License-Identifier: Apache-2.0
// `scontrol show`: a record as Key=Value, several a line, as scripts grep them. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "slipway/v1/job.pb.h"
#include "slipway/v1/node.pb.h"
#include "slipway/v1/reservation.pb.h"

namespace slipway::cli {

using KeyValues = std::vector<std::pair<std::string, std::string>>;
using Record = std::vector<KeyValues>;  // by line

Record RecordOf(const v1::Job& job);
Record RecordOf(const v1::Node& node);
Record RecordOf(const v1::Partition& partition);
Record RecordOf(const v1::Reservation& reservation);
// With `one_line` all in one; else lines behind the first are indented, and an empty one follows.
std::string Text(const Record& record, bool one_line);

}  // namespace slipway::cli
