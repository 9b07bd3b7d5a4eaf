// SPDX-License-Identifier: Apache-2.0
// Descriptors travel beside a LaunchSpec and are named in it by their place in the row; this is that row.
#pragma once

#include <cstdint>
#include <vector>

#include "base/os/fd.h"

namespace slipway {

class SpecFiles {
 public:
  std::int32_t Add(UniqueFd fd) {
    owned_.push_back(std::move(fd));
    return Borrow(owned_.back().get());
  }
  // It must stay open as long as this is used.
  std::int32_t Borrow(int fd) {
    fds_.push_back(fd);
    return static_cast<std::int32_t>(fds_.size()) - 1;
  }
  const std::vector<int>& fds() const { return fds_; }

 private:
  std::vector<UniqueFd> owned_;
  std::vector<int> fds_;
};

}  // namespace slipway
