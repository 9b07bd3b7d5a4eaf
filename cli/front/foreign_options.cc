// SPDX-License-Identifier: Apache-2.0
#include "cli/front/foreign_options.h"

namespace slipway::cli {
namespace {

enum class Verdict { kNothing, kWarn, kRefuse };

struct Foreign {
  const char* name;
  Option::Type type;
  const char* variable;  // as in Option, one is enough
  Verdict verdict;
  const char* why;
};

constexpr Foreign kForeign[] = {
    {"no-init", Option::kFlag, "NOSHIMINIT", Verdict::kWarn,
     "the container's init always runs: it reaps orphans and forwards signals"},
    {"no-eval", Option::kFlag, "NO_EVAL", Verdict::kNothing, "values are never evaluated here"},
    {"underlay", Option::kFlag, "UNDERLAY", Verdict::kNothing,
     "mount points never need a writable layer here"},
    {"unsquash", Option::kFlag, "UNSQUASH", Verdict::kWarn, "images are used in place, none is unpacked"},
    {"disable-cache", Option::kFlag, "DISABLE_CACHE", Verdict::kNothing,
     "files and directories have no cache"},
    {"tmpdir", Option::kString, "TMPDIR", Verdict::kNothing, "nothing is unpacked"},
    {"runscript-timeout", Option::kString, "RUNSCRIPT_TIMEOUT", Verdict::kWarn,
     "a runscript runs as long as it takes; use timeout(1)"},
    {"sharens", Option::kFlag, "SHARENS", Verdict::kWarn,
     "ranks of one job share a container without it when started by `slipway launch`; this one is alone"},
    {"ignore-fakeroot-command", Option::kFlag, "IGNORE_FAKEROOT_COMMAND", Verdict::kNothing,
     "fakeroot(1) is never used"},
    {"ignore-userns", Option::kFlag, "IGNORE_USERNS", Verdict::kRefuse,
     "there is no root in the container without a user namespace"},
    {"boot", Option::kFlag, "BOOT", Verdict::kRefuse,
     "no /sbin/init is booted: the container's PID 1 is Slipway's; start the service itself"},
    {"containlibs", Option::kString, "CONTAINLIBS", Verdict::kRefuse,
     "bind the libraries (--bind) and set LD_LIBRARY_PATH (--env)"},
    {"fusemount", Option::kList, "FUSESPEC", Verdict::kRefuse,
     "mount it on the host, where it shows inside at once, or run it in a container with --fakeroot"},
    {"network-args", Option::kString, "NETWORK_ARGS", Verdict::kRefuse,
     "only --network none is to be had, which takes none"},
    {"netns-path", Option::kString, "NETNS_PATH", Verdict::kRefuse,
     "joining a network namespace takes rights in it that a container does not have"},
    {"allow-setuid", Option::kFlag, "ALLOW_SETUID", Verdict::kRefuse,
     "no program in a container gains rights by its mode; --fakeroot gives root's inside"},
    {"dmtcp-launch", Option::kString, "DMTCP_LAUNCH", Verdict::kRefuse, "start dmtcp_launch as the command"},
    {"dmtcp-restart", Option::kString, "DMTCP_RESTART", Verdict::kRefuse,
     "start dmtcp_restart as the command"},
    {"nvccli", Option::kFlag, "NVCCLI", Verdict::kWarn,
     "nvidia-container-cli is never used; --nv gives the GPUs"},
    {"no-nv", Option::kFlag, "NV_OFF", Verdict::kNothing, "without --nv there is none"},
    {"no-rocm", Option::kFlag, "ROCM_OFF", Verdict::kNothing, "without --rocm there is none"},
    {"intel-hpu", Option::kFlag, "INTEL_HPU", Verdict::kRefuse,
     "Gaudi accelerators are had by --device and a CDI file of the site"},
    {"vm", Option::kFlag, "VM", Verdict::kRefuse, "containers only"},
};

}  // namespace

std::vector<Option> ForeignOptionList() {
  std::vector<Option> options;
  for (const Foreign& foreign : kForeign) {
    options.push_back({.name = foreign.name,
                       .type = foreign.type,
                       .value_name = foreign.type == Option::kFlag ? "" : "VALUE",
                       .help = foreign.why,
                       .hidden = true,
                       .variables = {foreign.variable}});
  }
  return options;
}

Result<std::vector<std::string>> JudgeForeignOptions(const Parsed& parsed) {
  std::vector<std::string> warnings;
  for (const Foreign& foreign : kForeign) {
    if (foreign.verdict == Verdict::kNothing || !parsed.Has(foreign.name)) continue;
    if (foreign.verdict == Verdict::kRefuse)
      return Fail(Code::kUnimplemented, "--", foreign.name, " cannot be had: ", foreign.why);
    warnings.push_back(Cat("warning: --", foreign.name, " changes nothing: ", foreign.why));
  }
  return warnings;
}

}  // namespace slipway::cli
