// SPDX-License-Identifier: Apache-2.0
// A seccomp profile: what can be read compiles, or says in one line why not.
#include <cstddef>
#include <cstdint>

#include "launcher/seccomp/profile.h"
#include "launcher/spec/confinement.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace slipway;
  SeccompSite site{.architecture = "amd64", .kernel_major = 6, .kernel_minor = 1};
  auto parsed = ParseSeccompJson({reinterpret_cast<const char*>(data), size}, site);
  if (!parsed) {
    CHECK(parsed.error().message.find('\n') == std::string::npos);
    return 0;
  }
  auto bpf = CompileSeccomp(parsed->profile);
  if (bpf) CHECK(CheckConfinement({.filter = Confinement::kGiven, .bpf = *bpf}));
  return 0;
}
