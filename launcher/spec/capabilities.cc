// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/capabilities.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace slipway {
namespace {

constexpr std::array<std::string_view, 41> kNames = {"CHOWN",
                                                     "DAC_OVERRIDE",
                                                     "DAC_READ_SEARCH",
                                                     "FOWNER",
                                                     "FSETID",
                                                     "KILL",
                                                     "SETGID",
                                                     "SETUID",
                                                     "SETPCAP",
                                                     "LINUX_IMMUTABLE",
                                                     "NET_BIND_SERVICE",
                                                     "NET_BROADCAST",
                                                     "NET_ADMIN",
                                                     "NET_RAW",
                                                     "IPC_LOCK",
                                                     "IPC_OWNER",
                                                     "SYS_MODULE",
                                                     "SYS_RAWIO",
                                                     "SYS_CHROOT",
                                                     "SYS_PTRACE",
                                                     "SYS_PACCT",
                                                     "SYS_ADMIN",
                                                     "SYS_BOOT",
                                                     "SYS_NICE",
                                                     "SYS_RESOURCE",
                                                     "SYS_TIME",
                                                     "SYS_TTY_CONFIG",
                                                     "MKNOD",
                                                     "LEASE",
                                                     "AUDIT_WRITE",
                                                     "AUDIT_CONTROL",
                                                     "SETFCAP",
                                                     "MAC_OVERRIDE",
                                                     "MAC_ADMIN",
                                                     "SYSLOG",
                                                     "WAKE_ALARM",
                                                     "BLOCK_SUSPEND",
                                                     "AUDIT_READ",
                                                     "PERFMON",
                                                     "BPF",
                                                     "CHECKPOINT_RESTORE"};

std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return upper;
}

// How many letters of the two, in order from the front and from the back, agree.
std::size_t Likeness(std::string_view a, std::string_view b) {
  std::size_t front = 0, back = 0, shorter = std::min(a.size(), b.size());
  while (front < shorter && a[front] == b[front]) ++front;
  while (back < shorter - front && a[a.size() - 1 - back] == b[b.size() - 1 - back]) ++back;
  return front + back;
}

}  // namespace

Result<CapabilitySet> CapabilityNamed(std::string_view name) {
  std::string upper = Upper(name.substr(0, 64));
  std::string_view plain = upper;
  if (plain.starts_with("CAP_")) plain.remove_prefix(4);
  auto at = std::find(kNames.begin(), kNames.end(), plain);
  if (at != kNames.end()) return CapabilityBit(static_cast<unsigned>(at - kNames.begin()));
  auto nearest = std::max_element(kNames.begin(), kNames.end(),
                                  [&](auto a, auto b) { return Likeness(a, plain) < Likeness(b, plain); });
  bool near = Likeness(*nearest, plain) * 2 > plain.size();
  return Fail(Code::kInvalidArgument, "'", name.substr(0, 64), "' is not a capability",
              near ? Cat(" (CAP_", *nearest, "?)") : "; see capabilities(7) for their names");
}

Result<CapabilitySet> CapabilitiesNamed(std::string_view list) {
  CapabilitySet set = 0;
  while (!list.empty()) {
    auto comma = list.find(',');
    std::string_view one = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    if (one.empty()) continue;
    set |= Upper(one) == "ALL" ? kAllCapabilities : TRY(CapabilityNamed(one));
  }
  return set;
}

std::string NamesOf(CapabilitySet set) {
  if (set == 0) return "none";
  if (set == kAllCapabilities) return "all";
  std::string names;
  for (unsigned number = 0; number < 64; ++number) {
    if ((set & CapabilityBit(number)) == 0) continue;
    if (!names.empty()) names += ',';
    names += number < kNames.size() ? Cat("CAP_", kNames[number]) : std::to_string(number);
  }
  return names;
}

}  // namespace slipway
