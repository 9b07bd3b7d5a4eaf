// SPDX-License-Identifier: Apache-2.0
// What a container's own code may ask of the kernel. The user may narrow it, and widen it as far as
// BirthRules lets him: those come from the half that made the namespaces, never from his spec.
#pragma once

#include <cstdint>
#include <string>

#include "base/wire/wire.h"
#include "launcher/spec/capabilities.h"

namespace slipway {

struct Confinement {
  // Of every task, inside the container's user namespace; no others can come back by an exec.
  CapabilitySet capabilities = 0;

  enum Filter : std::uint8_t {
    kDefault = 1,     // ours (docs/decisions/0012)
    kUnconfined = 2,  // none but what BirthRules demand
    kGiven = 3,       // `bpf` in place of ours
  };
  Filter filter = kDefault;
  std::string bpf;  // struct sock_filter[], native; what `--security seccomp:FILE` was compiled to

  // Taken on at each task's exec by the host's security module; at most one of the two. A host without that
  // module refuses the container.
  std::string apparmor_profile, selinux_label;
};
void Fields(auto& archive, IsA<Confinement> auto& v) {
  archive(v.capabilities, v.filter, v.bpf, v.apparmor_profile, v.selinux_label);
}

inline constexpr std::size_t kFilterInstructionBytes = 8;
inline constexpr std::size_t kFilterInstructionsMax = 4096;  // BPF_MAXINSNS

// Enumerator, whole instructions within the kernel's bound, at most one label without odd bytes.
Result<> CheckConfinement(const Confinement& confinement);

// What the half that made the namespaces demands of what runs inside, whatever the user's spec says.
struct BirthRules {
  // False where the host forbids user namespaces to its users: then there are none inside either.
  bool nested_user_namespaces = true;
  CapabilitySet capabilities_max = 0;  // of Confinement::capabilities
};

}  // namespace slipway
