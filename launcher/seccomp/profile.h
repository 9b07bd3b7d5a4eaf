// SPDX-License-Identifier: Apache-2.0
// Which system calls a container may make, as data: what our own default is written in, and what a profile in
// the form of Docker and containers/common (JSON) is read into. Compiled to BPF by libseccomp; none of this
// runs when a container starts with the default.
//
// Pure but for the compilation's memfd; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result/result.h"
#include "launcher/spec/capabilities.h"

namespace slipway {

struct SeccompAction {
  enum Kind : std::uint8_t { kAllow, kErrno, kKillThread, kKillProcess, kTrap, kTrace, kLog };
  Kind kind = kAllow;
  std::uint16_t data = 0;  // kErrno: the number; kTrace: the tracer's
  bool operator==(const SeccompAction&) const = default;
};

// One comparison with an argument. kMaskedEqual: (argument & value) == value_two.
struct SeccompTest {
  enum Operator : std::uint8_t {
    kNotEqual,
    kLess,
    kLessOrEqual,
    kEqual,
    kGreaterOrEqual,
    kGreater,
    kMaskedEqual
  };
  std::uint32_t index = 0;  // 0…5
  Operator op = kEqual;
  std::uint64_t value = 0, value_two = 0;
};

struct SeccompRule {
  std::vector<std::string> names;
  SeccompAction action;
  std::vector<SeccompTest> tests;  // all must hold; two of the same argument: either
};

struct SeccompProfile {
  SeccompAction otherwise;
  SeccompAction foreign{SeccompAction::kKillThread, 0};  // calls of an architecture not named
  std::vector<std::string> architectures;                // beside the native one: "x86", "arm", …
  std::vector<SeccompRule> rules;
};

// On which node a profile's "includes" and "excludes" are judged.
struct SeccompSite {
  CapabilitySet capabilities = 0;  // that the container keeps
  std::string architecture;        // as Go names it: "amd64"
  unsigned kernel_major = 0, kernel_minor = 0;
};
SeccompSite ThisNode(CapabilitySet capabilities);

struct ParsedProfile {
  SeccompProfile profile;
  std::vector<std::string> warnings;  // one line each
};

inline constexpr std::size_t kSeccompJsonBytesMax = 1 << 20;

// A call that libseccomp does not know is an error, unless the rule only allows what the default would refuse
// (then it stays refused: a warning names it). kInvalidArgument names the field or the call.
Result<ParsedProfile> ParseSeccompJson(std::string_view text, const SeccompSite& site);

// struct sock_filter[] in native order. Rules that say what `otherwise` says already cost nothing.
Result<std::string> CompileSeccomp(const SeccompProfile& profile);

bool IsSystemCall(const std::string& name);

}  // namespace slipway
