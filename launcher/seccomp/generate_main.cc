// SPDX-License-Identifier: Apache-2.0
// Build time only: writes our filters as constants, so that a container's start neither compiles one nor
// carries libseccomp.
//
//   seccomp_generate default_filters.h
#include <cstdio>
#include <cstring>

#include "base/os/fd.h"
#include "launcher/seccomp/defaults.h"

namespace {

struct Instruction {  // struct sock_filter
  std::uint16_t code;
  std::uint8_t if_true, if_false;
  std::uint32_t k;
};

slipway::Result<std::string> Array(const char* name, const slipway::SeccompProfile& profile) {
  std::string bytes = TRY(slipway::CompileSeccomp(profile));
  std::string text = slipway::Cat("inline constexpr sock_filter ", name, "[] = {\n");
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Instruction)) {
    Instruction one;
    std::memcpy(&one, bytes.data() + at, sizeof one);
    text += slipway::Cat("    {", one.code, ", ", one.if_true, ", ", one.if_false, ", ", one.k, "U},\n");
  }
  return text + "};\n";
}

slipway::Result<> Generate(const char* path) {
  std::string text =
      "// Made by seccomp_generate from launcher/seccomp/defaults.cc.\n#pragma once\n\n#include "
      "<linux/filter.h>\n\n"
      "namespace slipway {\n\n";
  text += TRY(Array("kDefaultFilter", slipway::DefaultSeccomp()));
  text += TRY(Array("kNestingForbiddenFilter", slipway::NestingForbidden()));
  text += "\n}  // namespace slipway\n";
  return slipway::WriteFileAtomically(path, text);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto done = Generate(argv[1]);
  if (done) return 0;
  std::fprintf(stderr, "seccomp_generate: %s\n", done.error().message.c_str());
  return 1;
}
