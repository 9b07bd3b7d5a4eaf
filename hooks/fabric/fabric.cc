// SPDX-License-Identifier: Apache-2.0
#include "hooks/fabric/fabric.h"

#include <algorithm>

#include "base/text/text.h"
#include "hooks/host/elf_library.h"
#include "hooks/host/loader_cache.h"

namespace slipway {
namespace {

// As those of a GPU's driver (docs/decisions/0041): the image's own win.
constexpr const char* kLibraries = "/.singularity.d/libs";

std::string LastPart(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Verbs devices: /sys/class/infiniband_verbs/uverbsN/ibdev names the adapter, whose driver tells Amazon's
// from the others.
void FindVerbs(const HostTree& host, std::vector<Fabric>& fabrics) {
  Fabric infiniband{.name = "InfiniBand"}, efa{.name = "EFA"};
  for (const std::string& uverbs : host.Names("/sys/class/infiniband_verbs")) {
    auto adapter = host.Text(Cat("/sys/class/infiniband_verbs/", uverbs, "/ibdev"));
    std::string node = Cat("/dev/infiniband/", uverbs);
    if (!adapter || !host.HasDevice(node)) continue;
    std::string driver =
        LastPart(host.Resolve(Cat("/sys/class/infiniband/", *adapter, "/device/driver")).value_or(""));
    Fabric& fabric = driver == "efa" ? efa : infiniband;
    fabric.devices.push_back(*adapter);
    fabric.nodes.push_back(node);
  }
  // The connection manager; EFA has none.
  if (!infiniband.nodes.empty() && host.HasDevice("/dev/infiniband/rdma_cm"))
    infiniband.nodes.push_back("/dev/infiniband/rdma_cm");
  for (Fabric* fabric : {&infiniband, &efa}) {
    if (!fabric->nodes.empty()) fabrics.push_back(std::move(*fabric));
  }
}

void FindSlingshot(const HostTree& host, std::vector<Fabric>& fabrics) {
  Fabric slingshot{.name = "Slingshot"};
  for (const std::string& device : host.Names("/sys/class/cxi")) {
    if (!host.HasDevice(Cat("/dev/", device))) continue;
    slingshot.devices.push_back(device);
    slingshot.nodes.push_back(Cat("/dev/", device));
  }
  if (slingshot.nodes.empty()) return;
  for (const std::string& folder : LibraryFolders(host)) {
    auto real = host.Resolve(folder + "/libcxi.so.1");
    if (!real) continue;
    slingshot.libraries.push_back(*real);
    break;
  }
  fabrics.push_back(std::move(slingshot));
}

void FindNodes(const HostTree& host, const std::vector<std::string>& names_in_dev, const char* name,
               std::string_view prefix, std::vector<Fabric>& fabrics) {
  Fabric fabric{.name = name};
  for (const std::string& device : names_in_dev) {
    if (!device.starts_with(prefix) || !host.HasDevice(Cat("/dev/", device))) continue;
    fabric.devices.push_back(device);
    fabric.nodes.push_back(Cat("/dev/", device));
  }
  if (!fabric.nodes.empty()) fabrics.push_back(std::move(fabric));
}

std::string SonameOf(const HostTree& host, const std::string& library) {
  auto fd = host.OpenFile(library);
  if (!fd) return {};
  auto read = ReadElfLibrary(fd->get());
  return read && read->machine == ThisElfMachine() ? read->soname : std::string();
}

}  // namespace

std::vector<Fabric> FindFabrics(const HostTree& host) {
  std::vector<Fabric> fabrics;
  FindVerbs(host, fabrics);
  FindSlingshot(host, fabrics);
  std::vector<std::string> dev = host.Names("/dev");
  FindNodes(host, dev, "Omni-Path", "hfi1_", fabrics);
  FindNodes(host, dev, "XPMEM", "xpmem", fabrics);
  FindNodes(host, dev, "GDRCopy", "gdrdrv", fabrics);
  return fabrics;
}

ContainerEdits EditsOfFabrics(const std::vector<Fabric>& fabrics, const HostTree& host) {
  ContainerEdits edits;
  for (const Fabric& fabric : fabrics) {
    for (const std::string& node : fabric.nodes) edits.devices.push_back({node, host.FromHere(node)});
    for (const std::string& library : fabric.libraries) {
      std::string soname = SonameOf(host, library);
      if (soname.empty() || soname.find('/') != std::string::npos) continue;
      edits.mounts.push_back({.type = Mount::kBind,
                              .source = host.FromHere(library),
                              .target = Cat(kLibraries, "/", soname),
                              .read_only = true});
      edits.library_folders = {kLibraries};
    }
  }
  return edits;
}

}  // namespace slipway
