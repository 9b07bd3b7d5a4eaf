// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/confinement.h"

#include <algorithm>

namespace slipway {
namespace {

Result<> CheckLabel(const char* field, std::string_view label) {
  constexpr std::size_t kLabelBytesMax = 1024;
  bool odd = std::any_of(label.begin(), label.end(), [](char c) { return c <= ' ' || c == 127; });
  if (odd || label.size() > kLabelBytesMax)
    return Fail(Code::kInvalidArgument, field, ": blanks or control characters, or over ", kLabelBytesMax,
                " bytes");
  return {};
}

}  // namespace

Result<> CheckConfinement(const Confinement& confinement) {
  if (confinement.filter < Confinement::kDefault || confinement.filter > Confinement::kGiven)
    return Fail(Code::kInvalidArgument, "seccomp: unknown kind of filter");
  bool given = confinement.filter == Confinement::kGiven;
  std::size_t bytes = confinement.bpf.size();
  if (given != (bytes != 0) || bytes % kFilterInstructionBytes != 0 ||
      bytes / kFilterInstructionBytes > kFilterInstructionsMax)
    return Fail(Code::kInvalidArgument, "seccomp: a filter of ", bytes, " bytes");
  TRY(CheckLabel("apparmor profile", confinement.apparmor_profile));
  TRY(CheckLabel("selinux label", confinement.selinux_label));
  if (!confinement.apparmor_profile.empty() && !confinement.selinux_label.empty())
    return Fail(Code::kInvalidArgument, "an AppArmor profile and a SELinux label at once");
  return {};
}

}  // namespace slipway
