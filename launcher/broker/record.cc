// SPDX-License-Identifier: Apache-2.0
#include "launcher/broker/record.h"

#include "launcher/broker/conf.h"

namespace slipway {

Result<> WriteRecord(const std::string& folder, const RunRecord& record) {
  return WriteFileForThisBoot(folder + "/record", Encode(record), 0600);
}

Result<RunRecord> ReadRecord(const std::string& folder, uid_t owner) {
  std::string bytes = TRY(ReadTrustedFile(folder + "/record", owner));
  if (bytes.empty()) return Failure(ErrnoErrorOf(ENOENT, "a record that a power loss has emptied"));
  RunRecord record = TRY(Decode<RunRecord>(bytes, "record of a step"));
  if (record.version != 1) return Fail(Code::kInvalidArgument, "record of version ", record.version);
  return record;
}

}  // namespace slipway
