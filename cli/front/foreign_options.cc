// SPDX-License-Identifier: Apache-2.0
#include "cli/front/foreign_options.h"

namespace slipway::cli {
namespace {

constexpr ForeignOption kForeign[] = {
    {"no-init", 0, Option::kFlag, "NOSHIMINIT", Option::kWarn,
     "the container's init always runs: it reaps orphans and forwards signals"},
    {"no-eval", 0, Option::kFlag, "NO_EVAL", Option::kNothing, "values are never evaluated here"},
    {"underlay", 0, Option::kFlag, "UNDERLAY", Option::kNothing,
     "mount points never need a writable layer here"},
    {"unsquash", 0, Option::kFlag, "UNSQUASH", Option::kWarn, "images are used in place, none is unpacked"},
    {"disable-cache", 0, Option::kFlag, "DISABLE_CACHE", Option::kNothing,
     "files and directories have no cache"},
    {"tmpdir", 0, Option::kString, "TMPDIR", Option::kNothing, "nothing is unpacked"},
    {"runscript-timeout", 0, Option::kString, "RUNSCRIPT_TIMEOUT", Option::kWarn,
     "a runscript runs as long as it takes; use timeout(1)"},
    {"sharens", 0, Option::kFlag, "SHARENS", Option::kWarn,
     "ranks of one job share a container without it when started by `slipway launch`; this one is alone"},
    {"ignore-fakeroot-command", 0, Option::kFlag, "IGNORE_FAKEROOT_COMMAND", Option::kNothing,
     "fakeroot(1) is never used"},
    {"ignore-userns", 0, Option::kFlag, "IGNORE_USERNS", Option::kRefuse,
     "there is no root in the container without a user namespace"},
    {"boot", 0, Option::kFlag, "BOOT", Option::kRefuse,
     "no /sbin/init is booted: the container's PID 1 is Slipway's; start the service itself"},
    {"containlibs", 0, Option::kString, "CONTAINLIBS", Option::kRefuse,
     "bind the libraries (--bind) and set LD_LIBRARY_PATH (--env)"},
    {"fusemount", 0, Option::kList, "FUSESPEC", Option::kRefuse,
     "mount it on the host, where it shows inside at once, or run it in a container with --fakeroot"},
    {"network-args", 0, Option::kString, "NETWORK_ARGS", Option::kRefuse,
     "only --network none is to be had, which takes none"},
    {"netns-path", 0, Option::kString, "NETNS_PATH", Option::kRefuse,
     "joining a network namespace takes rights in it that a container does not have"},
    {"allow-setuid", 0, Option::kFlag, "ALLOW_SETUID", Option::kRefuse,
     "no program in a container gains rights by its mode; --fakeroot gives root's inside"},
    {"dmtcp-launch", 0, Option::kString, "DMTCP_LAUNCH", Option::kRefuse,
     "start dmtcp_launch as the command"},
    {"dmtcp-restart", 0, Option::kString, "DMTCP_RESTART", Option::kRefuse,
     "start dmtcp_restart as the command"},
    {"nvccli", 0, Option::kFlag, "NVCCLI", Option::kWarn,
     "nvidia-container-cli is never used; --nv gives the GPUs"},
    {"no-nv", 0, Option::kFlag, "NV_OFF", Option::kNothing, "without --nv there is none"},
    {"no-rocm", 0, Option::kFlag, "ROCM_OFF", Option::kNothing, "without --rocm there is none"},
    {"intel-hpu", 0, Option::kFlag, "INTEL_HPU", Option::kRefuse,
     "Gaudi accelerators are had by --device and a CDI file of the site"},
    {"vm", 0, Option::kFlag, "VM", Option::kRefuse, "containers only"},
};

}  // namespace

std::vector<Option> ForeignOptionList() { return HiddenOptions(kForeign); }

}  // namespace slipway::cli
