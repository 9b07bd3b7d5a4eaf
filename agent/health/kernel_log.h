// SPDX-License-Identifier: Apache-2.0
// Hardware that fails is told of in the kernel's log. It is root's to open on most hosts
// (kernel.dmesg_restrict; in the unit ProtectKernelLogs=) and anybody's to read who has it open: the unit
// hands it over as standard input. What can neither be had so nor opened is said once, and not looked at.
//
// Loop's thread only. Never waits.
#pragma once

#include <functional>
#include <string>

#include "base/os/fd.h"

namespace slipway {

class KernelLog {
 public:
  // From what the kernel still has since the log was last cleared (`dmesg -C`); `path` is /dev/kmsg. Where
  // `given` is that device it is used and stays open; anything else there is not touched.
  static Result<KernelLog> Open(const std::string& path, int given = -1);
  // Each record that came since the last call, as it is. So many at most: the rest waits for the next.
  void Read(const std::function<void(std::string_view record)>& record);

 private:
  explicit KernelLog(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

}  // namespace slipway
