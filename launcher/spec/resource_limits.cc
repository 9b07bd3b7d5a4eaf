// SPDX-License-Identifier: Apache-2.0
#include "launcher/spec/resource_limits.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>

#include "launcher/spec/task_binding.h"

namespace slipway {
namespace {

struct Name {
  std::string_view name;
  std::uint32_t resource;
};
constexpr Name kNames[] = {{"AS", RLIMIT_AS},
                           {"CORE", RLIMIT_CORE},
                           {"CPU", RLIMIT_CPU},
                           {"DATA", RLIMIT_DATA},
                           {"FSIZE", RLIMIT_FSIZE},
                           {"MEMLOCK", RLIMIT_MEMLOCK},
                           {"NOFILE", RLIMIT_NOFILE},
                           {"NPROC", RLIMIT_NPROC},
                           {"RSS", RLIMIT_RSS},
                           {"STACK", RLIMIT_STACK},
                           {"NICE", ResourceLimit::kNiceness}};
constexpr int kNicenessOffset = 20;

const Name* Find(std::string_view name) {
  auto at = std::find_if(std::begin(kNames), std::end(kNames), [&](auto& one) { return one.name == name; });
  return at == std::end(kNames) ? nullptr : at;
}

std::string_view NameOf(std::uint32_t resource) {
  for (const Name& one : kNames) {
    if (one.resource == resource) return one.name;
  }
  return "?";
}

std::uint64_t Own(std::uint32_t resource) {
  if (resource == ResourceLimit::kNiceness)
    return static_cast<std::uint64_t>(::getpriority(PRIO_PROCESS, 0) + kNicenessOffset);
  rlimit own{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &own);
  return own.rlim_cur;
}

}  // namespace

Result<std::string> OwnResourceLimits(std::string_view names) {
  std::string text;
  auto add = [&](const Name& one) {
    std::uint64_t value = Own(one.resource);
    text += Cat(text.empty() ? "" : ",", one.name, "=",
                value == RLIM_INFINITY ? std::string("unlimited") : std::to_string(value));
  };
  while (!names.empty()) {
    auto comma = names.find(',');
    std::string_view word = names.substr(0, comma);
    names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
    if (word.starts_with("RLIMIT_")) word.remove_prefix(7);
    if (word == "ALL") {
      for (const Name& one : kNames) {
        if (one.resource != ResourceLimit::kNiceness) add(one);
      }
    } else if (const Name* one = Find(word)) {
      add(*one);
    } else if (word != "NONE") {
      return Fail(
          Code::kInvalidArgument, "'", word.substr(0, 32),
          "': must be ALL, NONE, or some of AS, CORE, CPU, DATA, FSIZE, MEMLOCK, NOFILE, NPROC, RSS, STACK, "
          "NICE");
    }
  }
  return text;
}

Result<std::vector<ResourceLimit>> ResourceLimitsOf(const std::vector<std::string>& env) {
  std::vector<ResourceLimit> limits;
  std::string_view rest = StepVariable(env, kResourceLimitsVariable);
  while (!rest.empty()) {
    auto comma = rest.find(',');
    std::string_view word = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    auto equals = std::min(word.find('='), word.size());
    const Name* name = Find(word.substr(0, equals));
    std::string_view value = word.substr(std::min(equals + 1, word.size()));
    ResourceLimit limit{.value = RLIM_INFINITY};
    auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), limit.value);
    bool number = error == std::errc() && end == value.data() + value.size();
    if (name == nullptr || (!number && value != "unlimited"))
      return Fail(Code::kInvalidArgument, kResourceLimitsVariable, ": '", word.substr(0, 64),
                  "' is no limit");
    limit.resource = name->resource;
    if (!number) limit.value = RLIM_INFINITY;
    limits.push_back(limit);
  }
  TRY(CheckResourceLimits(limits));
  return limits;
}

Result<> CheckResourceLimits(const std::vector<ResourceLimit>& limits) {
  if (limits.size() > 64) return Fail(Code::kInvalidArgument, "resource limits: ", limits.size(), " of them");
  for (const ResourceLimit& limit : limits) {
    if (NameOf(limit.resource) == "?" || (limit.resource == ResourceLimit::kNiceness && limit.value >= 40))
      return Fail(Code::kInvalidArgument, "resource limits: ", limit.resource, " to ", limit.value);
  }
  return {};
}

Result<> SetResourceLimits(const std::vector<ResourceLimit>& limits) {
  for (const ResourceLimit& limit : limits) {
    if (limit.resource == ResourceLimit::kNiceness) {
      // Less nice than we are: not without privilege, and then as nice as we are.
      int wanted = static_cast<int>(limit.value) - kNicenessOffset;
      if (wanted > ::getpriority(PRIO_PROCESS, 0) && ::setpriority(PRIO_PROCESS, 0, wanted) < 0)
        return ErrnoFail("setpriority");
      continue;
    }
    auto resource = static_cast<__rlimit_resource>(limit.resource);
    rlimit own{};
    if (::getrlimit(resource, &own) < 0) return ErrnoFail("getrlimit", NameOf(limit.resource));
    own.rlim_cur = std::min<rlim_t>(limit.value, own.rlim_max);
    if (::setrlimit(resource, &own) < 0) return ErrnoFail("setrlimit", NameOf(limit.resource));
  }
  return {};
}

}  // namespace slipway
