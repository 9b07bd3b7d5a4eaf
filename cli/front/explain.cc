// SPDX-License-Identifier: Apache-2.0
#include "cli/front/explain.h"

#include <algorithm>

namespace slipway::cli {
namespace {

std::string ImageLine(const ImageFile& image, const LaunchSpec& spec) {
  static constexpr const char* kWays[] = {"", "mounted by the kernel", "served by squashfuse",
                                          "used in place", "served by fuse2fs"};
  return Cat("image: ", image.what, " ", image.path, ", ", kWays[static_cast<int>(spec.image.kind)],
             spec.image.offset != 0 ? Cat(" from byte ", spec.image.offset) : std::string(),
             spec.writing.in_place ? ", changed in place"
             : spec.writable_tmpfs ? ", changes kept in memory"
                                   : ", read-only",
             "\n");
}

std::string OverlayLines(const LaunchSpec& spec) {
  std::string text;
  for (const Overlay& overlay : spec.writing.overlays) {
    text += Cat("overlay: ", overlay.name, overlay.writable ? ", changes go there" : ", read-only",
                overlay.image.kind != ImageKind::kFuse2fs ? ""
                : overlay.writable                        ? " through fuse-overlayfs and fuse2fs"
                                                          : ", served by fuse2fs",
                "\n");
  }
  return text;
}

std::string EnvironmentLine(const LaunchSpec& spec, std::size_t caller_variables) {
  auto set = std::count_if(spec.env.begin(), spec.env.end(), [](const std::string& entry) {
    return entry.starts_with("SLIPWAYENV_") || entry.starts_with("APPTAINERENV_") ||
           entry.starts_with("SINGULARITYENV_");
  });
  auto passed =
      static_cast<std::size_t>(std::count_if(spec.env.begin(), spec.env.end(), [](const std::string& entry) {
        return !entry.starts_with("SLIPWAYENV_");
      }));
  return Cat("environment: ", passed, " variables passed on or described (the caller has ", caller_variables,
             "), then the image's own, then ", set, " set for the container\n");
}

}  // namespace

std::string Explained(const Entered& entered, const ImageFile& image, const LaunchSpec& spec,
                      const InitReady& ready, std::size_t caller_variables) {
  static constexpr const char* kWays[] = {"made by the node's slipway-broker", "made by the setuid starter",
                                          "a user namespace of your own"};
  std::string text = Cat("way: ", NameOf(entered.way), " (", kWays[static_cast<int>(entered.way)], ")\n");
  for (const std::string& why : entered.passed_over) text += Cat("  not ", why, "\n");
  text +=
      Cat("namespaces: user, mount, ipc", ready.pid_namespace ? ", pid" : " (no pid: the host's processes)",
          spec.uts_namespace || !spec.hostname.empty() ? ", uts" : "",
          spec.net_namespace ? ", net (loopback only)" : " (network of the host)", "\n");
  text += ImageLine(image, spec) + OverlayLines(spec);
  for (const std::string& fact : ready.facts) text += fact + "\n";
  text += EnvironmentLine(spec, caller_variables);
  text += "time (microseconds):";
  std::uint64_t total = 0;
  for (const Lap& lap : ready.laps) {
    text += Cat(" ", lap.name, " ", lap.us, ",");
    total += lap.us;
  }
  return Cat(text, " in all ", total, "\n");
}

}  // namespace slipway::cli
