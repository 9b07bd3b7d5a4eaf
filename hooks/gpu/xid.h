// SPDX-License-Identifier: Apache-2.0
// NVIDIA's driver tells of a GPU's errors in the kernel's log alone ("NVRM: Xid (PCI:0000:07:00): 79, …").
// Most are a program's own fault (13, 31, 43); after some the GPU is of no use until it is reset.
//
// Pure; any thread. The log is also written by whoever may write to it, so nothing of a line but address and
// number is kept.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace slipway {

struct Xid {
  std::string pci;  // "0000:07:00.0"
  std::uint32_t number = 0;
  bool operator==(const Xid&) const = default;
};

// Of one record as /dev/kmsg gives it ("6,1234,5678901,-;NVRM: Xid …") or of a line of dmesg's.
std::optional<Xid> ParseXid(std::string_view record);

// What it means for a GPU after which no job should be given it; nullptr: a program's fault, or not known.
const char* FatalXid(std::uint32_t number);

// The first fatal one of each GPU, by address. Bounded: a host has so many GPUs at most.
class XidList {
 public:
  void Note(std::string_view record);
  const std::map<std::string, std::uint32_t>& fatal() const { return fatal_; }

 private:
  std::map<std::string, std::uint32_t> fatal_;
};

// "GPU 0000:07:00.0: Xid 79, it has fallen off the bus; it needs a reset or a reboot".
std::string DescribeXid(const std::string& pci, std::uint32_t number);

}  // namespace slipway
