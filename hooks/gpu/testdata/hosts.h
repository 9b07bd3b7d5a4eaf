// SPDX-License-Identifier: Apache-2.0
// Hosts as their kernels and drivers describe them, shortened to what is read.
#pragma once

#include <string>

#include "hooks/host/testdata/fake_host.h"

namespace slipway {

struct NvidiaCard {
  std::string pci = "0000:07:00.0", model = "NVIDIA A100-SXM4-40GB", uuid = "GPU-1";
  int minor = 0, numa = 0;
};

inline void PutNvidiaCard(FakeHost& host, const NvidiaCard& card) {
  std::string device = "/sys/bus/pci/devices/" + card.pci;
  host.File("/proc/driver/nvidia/gpus/" + card.pci + "/information",
            "Model: \t\t " + card.model + "\nIRQ:   \t\t 278\nGPU UUID: \t " + card.uuid +
                "\nVideo BIOS: \t 92.00.19.00.01\nBus Type: \t PCIe\nDMA Size: \t 47 bits\n"
                "Bus Location: \t " +
                card.pci + "\nDevice Minor: \t " + std::to_string(card.minor) +
                "\nGPU Firmware: \t 550.54.14\nGPU Excluded:\t No\n");
  host.File(device + "/vendor", "0x10de\n");
  host.File(device + "/class", "0x030200\n");
  host.File(device + "/numa_node", std::to_string(card.numa) + "\n");
  host.File(device + "/config", std::string("\xde\x10\xb0\x20", 4) + std::string(60, '\0'));
  host.File("/dev/nvidia" + std::to_string(card.minor));
}

inline void PutNvidiaModule(FakeHost& host, const std::string& version, bool open_module = false) {
  host.File("/proc/driver/nvidia/version",
            open_module ? "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  " + version +
                              "  Release Build  (dvs-builder@U22)  Thu Jan 23\nGCC version:  gcc version "
                              "12.2.0 (Debian 12.2.0-14) \n"
                        : "NVRM version: NVIDIA UNIX x86_64 Kernel Module  " + version +
                              "  Thu Feb 22 01:44:30 UTC 2024\nGCC version:  gcc version 12.2.0 \n");
  host.Devices({"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"});
}

inline constexpr const char* kLibraryFolder = "/usr/lib/x86_64-linux-gnu";

// As the driver's packages lay it out, in `folder`.
inline void PutNvidiaLibraries(FakeHost& host, const std::string& version,
                               const std::string& folder = kLibraryFolder) {
  auto put = [&](const std::string& stem, const std::string& soname, const std::string& glibc) {
    host.Library(folder + "/" + stem + ".so." + version,
                 {.soname = soname, .versions = {{"libc.so.6", "GLIBC_" + glibc}}});
    host.Link(folder + "/" + soname, stem + ".so." + version);
  };
  put("libcuda", "libcuda.so.1", "2.17");
  put("libnvidia-ml", "libnvidia-ml.so.1", "2.17");
  put("libnvidia-nvvm", "libnvidia-nvvm.so.4", "2.27");
  host.Library(folder + "/libnvidia-gpucomp.so." + version, {.soname = "libnvidia-gpucomp.so." + version});
  host.Link(folder + "/libcuda.so", "libcuda.so.1");
  host.File("/usr/bin/nvidia-smi", "", 0755);
}

// Two A100 behind one switch each, driver 550.
inline void PutTwoA100(FakeHost& host, const std::string& version = "550.54.14") {
  PutNvidiaModule(host, version);
  PutNvidiaCard(host, {});
  PutNvidiaCard(host, {.pci = "0000:47:00.0", .uuid = "GPU-2", .minor = 1, .numa = 1});
  PutNvidiaLibraries(host, version);
}

// GPU of minor 0 in MIG mode, with instances 7/0 and 9/0.
inline void PutMig(FakeHost& host) {
  PutTwoA100(host);
  auto access = [&](const std::string& where, int minor) {
    host.File("/proc/driver/nvidia/capabilities/gpu0/mig/" + where + "/access",
              "DeviceFileMinor: " + std::to_string(minor) + "\nDeviceFileMode: 292\nDeviceFileModify: 1\n");
    host.File("/dev/nvidia-caps/nvidia-cap" + std::to_string(minor));
  };
  access("gi9", 84);
  access("gi9/ci0", 85);
  access("gi7", 66);
  access("gi7/ci0", 67);
  host.File("/proc/driver/nvidia/capabilities/mig/config", "DeviceFileMinor: 1\n");
}

// Two MI250X dies of one package on a processor, joined by XGMI.
inline void PutAmd(FakeHost& host) {
  const std::string nodes = "/sys/class/kfd/kfd/topology/nodes/";
  host.File(nodes + "0/properties", "cpu_cores_count 64\nsimd_count 0\nvendor_id 0\n");
  auto put = [&](const std::string& node, const std::string& pci, int location, int minor, int peer,
                 const std::string& id) {
    host.File(nodes + node + "/properties",
              "cpu_cores_count 0\nsimd_count 440\nvendor_id 4098\ndevice_id 29704\nlocation_id " +
                  std::to_string(location) + "\ndomain 0\ndrm_render_minor " + std::to_string(minor) +
                  "\nunique_id " + id + "\n");
    host.File(nodes + node + "/name", "aldebaran\n");
    host.File(nodes + node + "/mem_banks/0/properties", "heap_type 1\nsize_in_bytes 68702699520\n");
    host.File(nodes + node + "/io_links/0/properties", "type 2\nnode_from " + node + "\nnode_to 0\n");
    host.File(nodes + node + "/io_links/1/properties",
              "type 11\nnode_from " + node + "\nnode_to " + std::to_string(peer) + "\n");
    host.File("/sys/bus/pci/devices/" + pci + "/numa_node", "3\n");
    host.File("/sys/bus/pci/devices/" + pci + "/product_name", "AMD Instinct MI250X\n");
    host.File("/sys/bus/pci/devices/" + pci + "/drm/renderD" + std::to_string(minor) + "/dev", "226:128\n");
    host.File("/dev/dri/renderD" + std::to_string(minor));
  };
  put("1", "0000:c1:00.0", 0xc100, 128, 2, "1311768467463790320");
  put("2", "0000:c6:00.0", 0xc600, 129, 1, "1311768467463790321");
  host.Devices({"/dev/kfd"});
  host.File("/sys/module/amdgpu/version", "6.3.6\n");
}

inline void PutIntel(FakeHost& host, const std::string& pci, int minor, const std::string& device,
                     const std::string& driver = "xe") {
  std::string folder = "/sys/devices/pci0000:00/" + pci, name = "renderD" + std::to_string(minor);
  host.Files({{folder + "/vendor", "0x8086\n"},
              {folder + "/device", device + "\n"},
              {folder + "/numa_node", "1\n"},
              {folder + "/drm/" + name + "/dev", "226:128\n"},
              {"/sys/bus/pci/drivers/" + driver + "/bind", ""}});
  host.Link(folder + "/driver", "/sys/bus/pci/drivers/" + driver);
  host.Link("/sys/bus/pci/devices/" + pci, "../../../devices/pci0000:00/" + pci);
  host.Link("/sys/class/drm/" + name, "/sys/devices/pci0000:00/" + pci + "/drm/" + name);
  host.Link(folder + "/drm/" + name + "/device", "../../../" + pci);
  host.File("/dev/dri/" + name);
  host.File("/proc/sys/kernel/osrelease", "6.8.0\n");
}

}  // namespace slipway
