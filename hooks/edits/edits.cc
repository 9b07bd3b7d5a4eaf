// SPDX-License-Identifier: Apache-2.0
#include "hooks/edits/edits.h"

#include <algorithm>

#include "base/text/text.h"

namespace slipway {
namespace {

std::string_view NameOf(std::string_view variable) { return variable.substr(0, variable.find('=')); }

bool Same(const Mount& a, const Mount& b) { return Encode(a) == Encode(b); }

Result<> CheckPath(std::string_view path, std::string_view bind) {
  if (path.empty() || path.front() != '/')
    return Fail(Code::kInvalidArgument, "--bind ", bind, ": \"", path, "\" is not an absolute path");
  if (path.find('\0') != std::string_view::npos)
    return Fail(Code::kInvalidArgument, "--bind ", bind.substr(0, bind.find('\0')),
                ": a path holds a NUL byte");
  for (const std::string& part : Split(path, '/')) {
    if (part == "." || part == "..")
      return Fail(Code::kInvalidArgument, "--bind ", bind, ": \"", path, "\" must not contain \"", part,
                  "\"");
  }
  return {};
}

}  // namespace

Result<> MergeEdits(ContainerEdits& edits, const ContainerEdits& more) {
  ContainerEdits merged = edits;
  for (const Mount& mount : more.mounts) {
    auto at = std::find_if(merged.mounts.begin(), merged.mounts.end(),
                           [&](const Mount& m) { return m.target == mount.target; });
    if (at == merged.mounts.end()) {
      merged.mounts.push_back(mount);
    } else if (!Same(*at, mount)) {
      return Fail(Code::kFailedPrecondition, "two different mounts are wanted at ", mount.target, ": ",
                  at->source, " and ", mount.source);
    }
  }
  for (const std::string& variable : more.env) {
    auto at = std::find_if(merged.env.begin(), merged.env.end(),
                           [&](const std::string& v) { return NameOf(v) == NameOf(variable); });
    if (at == merged.env.end()) {
      merged.env.push_back(variable);
    } else if (*at != variable) {
      return Fail(Code::kFailedPrecondition, "two different values are wanted for the variable ",
                  NameOf(variable));
    }
  }
  edits = std::move(merged);
  return {};
}

void ApplyEdits(const ContainerEdits& edits, StepSpec& spec) {
  spec.mounts.insert(spec.mounts.begin(), edits.mounts.begin(), edits.mounts.end());
  for (const std::string& variable : edits.env) {
    bool set = std::any_of(spec.env.begin(), spec.env.end(),
                           [&](const std::string& v) { return NameOf(v) == NameOf(variable); });
    if (!set) spec.env.push_back(variable);
  }
}

Result<Mount> ParseBind(std::string_view text) {
  std::vector<std::string> parts = Split(text, ':');
  if (parts.size() > 3) return Fail(Code::kInvalidArgument, "--bind ", text, ": expected src[:dst[:ro|rw]]");
  Mount mount{.type = Mount::kBind, .source = parts[0], .target = parts[0]};
  if (parts.size() > 1 && !parts[1].empty()) mount.target = parts[1];
  if (parts.size() == 3) {
    if (parts[2] != "ro" && parts[2] != "rw")
      return Fail(Code::kInvalidArgument, "--bind ", text, ": \"", parts[2], "\" is neither ro nor rw");
    mount.read_only = parts[2] == "ro";
  }
  TRY(CheckPath(mount.source, text));
  TRY(CheckPath(mount.target, text));
  if (mount.target.find_first_not_of('/') == std::string::npos)
    return Fail(Code::kInvalidArgument, "--bind ", text, ": the container's root cannot be replaced");
  return mount;
}

Result<ContainerEdits> EditsOfBinds(const std::vector<std::string>& binds) {
  ContainerEdits edits;
  for (const std::string& bind : binds) edits.mounts.push_back(TRY(ParseBind(bind)));
  return edits;
}

}  // namespace slipway
