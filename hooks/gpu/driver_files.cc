// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/driver_files.h"

#include <algorithm>
#include <set>

#include "base/text/text.h"
#include "hooks/host/elf_library.h"
#include "hooks/host/loader_cache.h"

namespace slipway {
namespace {

constexpr const char* kProgramFolders[] = {"/usr/bin",
                                           "/usr/sbin",
                                           "/usr/local/bin",
                                           "/opt/bin",
                                           "/run/current-system/sw/bin",
                                           "/opt/rocm/bin",
                                           "/usr/local/nvidia/bin"};

Mount Bind(const HostTree& host, const std::string& real, const std::string& target, bool read_only) {
  return {.type = Mount::kBind, .source = host.FromHere(real), .target = target, .read_only = read_only};
}

class Finder {
 public:
  explicit Finder(const HostTree& host) : host_(host) {}

  // As `extra` too, when that is given: some look for a development name ("libcuda.so").
  void Library(const std::string& path, bool essential, const std::string& extra = {}) {
    auto real = host_.Resolve(path);
    if (!real) return;
    auto read = [&]() -> Result<ElfLibrary> {
      UniqueFd fd = TRY(host_.OpenFile(*real));
      return ReadElfLibrary(fd.get());
    }();
    if (!read) {
      files_.notes.push_back(Cat(path, " is left out: ", read.error().message));
      return;
    }
    if (read->machine != ThisElfMachine()) return;
    std::string own_name = path.substr(path.rfind('/') + 1);
    std::string soname = read->soname.empty() ? own_name : read->soname;
    Add({host_.FromHere(*real), soname, GlibcNeeded(*read), essential});
    if (!extra.empty()) Add({host_.FromHere(*real), extra, GlibcNeeded(*read), false});
  }

  void Programs(const std::vector<const char*>& names) {
    for (const char* name : names) {
      std::optional<std::string> found;
      for (const char* folder : kProgramFolders) {
        auto real = host_.Resolve(Cat(folder, "/", name));
        if (!real) continue;
        if (!found) found = real;
        // A script of the host's often only calls the program at its place, which a container does not have.
        if (!IsElf(*real)) continue;
        found = real;
        break;
      }
      if (found) files_.others.push_back(Bind(host_, *found, Cat("/usr/bin/", name), true));
    }
  }

  bool AtItsPlace(const std::string& path, bool read_only = true) { return At(path, path, read_only); }
  // Loaders of Vulkan and EGL look below /usr/share, wherever the host's driver keeps what it says to them.
  void Shared(const std::string& name) {
    if (!AtItsPlace(Cat("/usr/share/", name)))
      At(Cat("/usr/local/nvidia/share/", name), Cat("/usr/share/", name));
  }

  bool found_libraries() const { return !files_.libraries.empty(); }
  DriverFiles Take() { return std::move(files_); }

 private:
  bool At(const std::string& path, const std::string& target, bool read_only = true) {
    auto real = host_.Resolve(path);
    if (real) files_.others.push_back(Bind(host_, *real, target, read_only));
    return real.has_value();
  }
  bool IsElf(const std::string& real) const {
    return host_.Head(real, 4) ==
           "\x7f"
           "ELF";
  }
  void Add(DriverLibrary library) {
    if (library.name.find('/') != std::string::npos) return;
    if (names_.insert(library.name).second) files_.libraries.push_back(std::move(library));
  }
  const HostTree& host_;
  DriverFiles files_;
  std::set<std::string> names_;
};

// Every library of the driver carries its version behind ".so.".
Result<DriverFiles> NvidiaFiles(const HostTree& host, const std::string& version) {
  std::string suffix = Cat(".so.", version), others;
  Finder finder(host);
  for (const std::string& folder : LibraryFolders(host)) {
    std::vector<std::string> names = host.Names(folder);
    bool here = std::find(names.begin(), names.end(), Cat("libcuda", suffix)) != names.end();
    for (const std::string& name : names) {
      if (name.starts_with("libcuda.so.") && name.find('.', 11) != std::string::npos &&
          !name.ends_with(suffix))
        others += Cat(others.empty() ? "" : ", ", folder, "/", name);
      if (!here || !name.starts_with("lib") || !name.ends_with(suffix)) continue;
      bool cuda = name == Cat("libcuda", suffix);
      finder.Library(Cat(folder, "/", name), cuda, cuda ? "libcuda.so" : "");
    }
    if (finder.found_libraries()) break;
  }
  if (!finder.found_libraries()) {
    return Fail(Code::kFailedPrecondition, "the kernel runs NVIDIA's driver ", version, " and libcuda.so.",
                version, " is not in any folder of the loader",
                others.empty()
                    ? Cat(": install the driver's libraries of that version")
                    : Cat(", only ", others,
                          ": the driver was changed without a reboot, or half of it was installed"));
  }
  finder.Programs({"nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nvidia-cuda-mps-control",
                   "nvidia-cuda-mps-server"});
  finder.AtItsPlace("/run/nvidia-persistenced/socket", false);
  finder.AtItsPlace("/run/nvidia-fabricmanager/socket", false);
  finder.AtItsPlace(Cat("/lib/firmware/nvidia/", version));
  finder.AtItsPlace("/etc/OpenCL/vendors/nvidia.icd");
  finder.AtItsPlace("/etc/vulkan/icd.d/nvidia_icd.json");
  for (const char* name :
       {"nvidia/nvoptix.bin", "glvnd/egl_vendor.d/10_nvidia.json", "vulkan/icd.d/nvidia_icd.json"})
    finder.Shared(name);
  return finder.Take();
}

// The kernel's side of ROCm is stable: libraries of an image work, and where it has some they win. What is
// taken from the host is what talks to the kernel and what everything else is built upon, for images that
// have none.
DriverFiles AmdFiles(const HostTree& host) {
  static constexpr std::string_view kStems[] = {"libhsa-runtime64",
                                                "libhsakmt",
                                                "libamdhip64",
                                                "libamd_comgr",
                                                "librocm_smi64",
                                                "libamd_smi",
                                                "librocprofiler-register",
                                                "libdrm_amdgpu",
                                                "libdrm"};
  Finder finder(host);
  std::vector<std::string> folders = {"/opt/rocm/lib", "/opt/rocm/lib64"};
  for (const std::string& folder : LibraryFolders(host)) folders.push_back(folder);
  for (const std::string& folder : folders) {
    for (const std::string& name : host.Names(folder)) {
      auto so = name.find(".so.");
      bool wanted = std::find(std::begin(kStems), std::end(kStems), std::string_view(name).substr(0, so)) !=
                    std::end(kStems);
      if (so != std::string::npos && wanted) finder.Library(Cat(folder, "/", name), false);
    }
  }
  finder.Programs({"rocminfo", "rocm_agent_enumerator"});
  finder.AtItsPlace("/etc/OpenCL/vendors/amdocl64.icd");
  if (!finder.found_libraries()) {
    DriverFiles none = finder.Take();
    none.notes.push_back("this host has no ROCm libraries: the image must bring its own");
    return none;
  }
  return finder.Take();
}

}  // namespace

Result<DriverFiles> FindDriverFiles(const HostTree& host, const GpuDriver& driver) {
  switch (driver.vendor) {
    case GpuVendor::kNvidia:
      if (driver.version.empty())
        return Fail(Code::kFailedPrecondition, "the version of NVIDIA's kernel module is not known");
      return NvidiaFiles(host, driver.version);
    case GpuVendor::kAmd:
      return AmdFiles(host);
    case GpuVendor::kIntel:
      break;  // Level Zero and OpenCL are in the image
  }
  return DriverFiles{};
}

Result<ContainerEdits> EditsOfFiles(const DriverFiles& files, const GpuDriver& driver,
                                    const ImageLibraries& image, std::vector<std::string>& notes) {
  ContainerEdits edits;
  edits.mounts = files.others;
  bool musl = image.libc.starts_with("musl");
  std::string has = image.libc.starts_with("glibc ") ? image.libc.substr(6) : std::string();
  std::string left_out, newest;
  for (const DriverLibrary& library : files.libraries) {
    bool fits = library.glibc.empty() || (!musl && (has.empty() || !OlderVersion(has, library.glibc)));
    if (fits) {
      edits.mounts.push_back({.type = Mount::kBind,
                              .source = library.source,
                              .target = Cat(kDriverLibraries, "/", library.name),
                              .read_only = true});
      continue;
    }
    if (library.essential)
      return Fail(Code::kFailedPrecondition, "the host's ", library.name, " (", VendorName(driver.vendor),
                  " driver ", driver.version, ") needs GLIBC_", library.glibc, " and the image has ",
                  image.libc, ": use an image with glibc ", library.glibc, " or newer");
    left_out += Cat(left_out.empty() ? "" : ", ", library.name);
    if (OlderVersion(newest, library.glibc)) newest = library.glibc;
  }
  if (!left_out.empty())
    notes.push_back(Cat("left out, because the image has ", image.libc, " and they need up to GLIBC_", newest,
                        ": ", left_out));
  if (files.libraries.empty()) return edits;
  bool compat = driver.vendor == GpuVendor::kNvidia && OlderVersion(driver.version, image.cuda_compat);
  if (compat) edits.library_folders.push_back(kCudaCompat);
  edits.library_folders.push_back(kDriverLibraries);
  return edits;
}

}  // namespace slipway
