// SPDX-License-Identifier: Apache-2.0
#include "imagestore/sif/elf_arch.h"

#include <elf.h>

#include <cstddef>
#include <cstring>

namespace slipway::sif {

std::string ElfArch(std::string_view head) {
  if (head.size() < sizeof(Elf64_Ehdr) || std::memcmp(head.data(), ELFMAG, SELFMAG) != 0) return "unknown";
  bool little = head[EI_DATA] == ELFDATA2LSB;
  Elf64_Half machine;
  std::memcpy(&machine, head.data() + offsetof(Elf64_Ehdr, e_machine), sizeof machine);
  if (!little) machine = static_cast<Elf64_Half>(__builtin_bswap16(machine));
  switch (machine) {
    case EM_386:
      return "386";
    case EM_X86_64:
      return "amd64";
    case EM_ARM:
      return "arm";
    case EM_AARCH64:
      return "arm64";
    case EM_PPC64:
      return little ? "ppc64le" : "ppc64";
    case EM_S390:
      return "s390x";
    case EM_RISCV:
      return "riscv64";
    default:
      return "unknown";
  }
}

}  // namespace slipway::sif
