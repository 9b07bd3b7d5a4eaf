// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/inspect.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "base/text/text.h"
#include "imagestore/build/image_window.h"
#include "imagestore/build/metadata.h"
#include "imagestore/sif/elf_arch.h"
#include "imagestore/sif/sif.h"
#include "imagestore/squashfs/reader.h"

namespace slipway::build {

namespace {

constexpr std::size_t kTextMax = 4 << 20;
constexpr std::size_t kAppsMax = 10'000;

Result<std::string> DigestOfWindow(const squashfs::Window& window) {
  Sha256 hash;
  std::vector<char> chunk(1 << 20);
  for (std::uint64_t done = 0; done < window.size;) {
    auto part = std::span(chunk).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(chunk.size(), window.size - done)));
    TRY(ReadExactlyAt(window.fd, std::as_writable_bytes(part), window.offset + done));
    hash.Update({part.data(), part.size()});
    done += part.size();
  }
  return hash.Finish();
}

// The names of the files that sections became are the same for the image and for an app.
void ReadTexts(const squashfs::Reader& reader, const std::string& folder, Inspection& inspection) {
  auto read = [&](const char* name) {
    return reader.ReadFile(folder + name, kTextMax).value_or(std::string());
  };
  inspection.environment = read("/env/90-environment.sh");
  inspection.runscript = read("/runscript");
  inspection.startscript = read("/startscript");
  inspection.test = read("/test");
  inspection.help = read("/runscript.help");
  if (inspection.deffile.empty()) inspection.deffile = read("/Singularity");
  if (auto labels = ParseLabels(read("/labels.json"))) inspection.labels = std::move(*labels);
}

void ReadShell(const squashfs::Reader& reader, Inspection& inspection) {
  auto shell = reader.ReadHead("/bin/sh", 64);
  inspection.has_shell = shell.has_value();
  inspection.shell_arch = shell ? sif::ElfArch(*shell) : "unknown";
}

Result<std::string> FolderOf(const std::string& app, const std::vector<std::string>& apps) {
  if (app.empty()) return std::string("/.singularity.d");
  if (std::find(apps.begin(), apps.end(), app) == apps.end())
    return Fail(Code::kNotFound, "no app '", app, "' is in it",
                apps.empty() ? Cat("; it has none") : Cat("; it has ", Join(apps, ", ")));
  return Cat("/scif/apps/", app, "/scif");
}

}  // namespace

Result<ImageWindow> FindImage(int fd) {
  ImageWindow window;
  struct stat info;
  if (::fstat(fd, &info) < 0) return ErrnoFail("fstat");
  if (!S_ISREG(info.st_mode)) return Fail(Code::kInvalidArgument, "not a regular file");
  window.file_size = static_cast<std::uint64_t>(info.st_size);
  if (sif::LooksLikeSif(fd)) {
    window.sif = TRY(sif::Read(fd));
    sif::Descriptor partition = TRY(sif::PrimarySystemPartition(*window.sif, fd));
    window.squashfs = {fd, partition.offset, partition.size};
    return window;
  }
  char magic[4] = {};
  auto read = ReadExactlyAt(fd, std::as_writable_bytes(std::span(magic)), 0);
  if (!read || std::memcmp(magic, "hsqs", 4) != 0)
    return Fail(Code::kInvalidArgument, "neither a SIF nor a squashfs image");
  window.squashfs = {fd, 0, window.file_size};
  return window;
}

Result<Inspection> InspectFd(int fd, const InspectOptions& options) {
  ImageWindow window = TRY(FindImage(fd));
  squashfs::Reader reader = TRY(squashfs::Reader::Open(window.squashfs));
  Inspection inspection;
  inspection.format = window.sif ? "sif" : "squashfs";
  inspection.size = window.file_size;
  inspection.partition_offset = window.squashfs.offset;
  inspection.partition_size = window.squashfs.size;
  inspection.compressor = reader.super().compressor;
  inspection.created = reader.super().created;
  if (window.sif) {
    inspection.created = std::max<std::int64_t>(window.sif->header.created, 0);
    inspection.arch = window.sif->header.arch;
    for (const sif::Descriptor& object : window.sif->descriptors) {
      if (object.type == sif::DataType::kDeffile)
        inspection.deffile = TRY(sif::ReadObject(fd, object, kTextMax));
    }
  }
  inspection.apps = reader.List("/scif/apps", kAppsMax).value_or(std::vector<std::string>());
  std::sort(inspection.apps.begin(), inspection.apps.end());
  ReadTexts(reader, TRY(FolderOf(options.app, inspection.apps)), inspection);
  ReadShell(reader, inspection);
  if (inspection.arch.empty() || inspection.arch == "unknown") inspection.arch = inspection.shell_arch;
  if (options.digests) {
    inspection.digest = TRY(DigestOfFile(fd));
    inspection.partition_digest = window.sif ? TRY(DigestOfWindow(window.squashfs)) : inspection.digest;
  }
  return inspection;
}

Result<Inspection> Inspect(const std::string& path, const InspectOptions& options) {
  UniqueFd fd = TRY(Open(path, O_RDONLY));
  return TRY_CONTEXT(InspectFd(fd.get(), options), path);
}

std::string InspectionJson(const Inspection& inspection) {
  nlohmann::json json = {{"format", inspection.format},
                         {"arch", inspection.arch},
                         {"size", inspection.size},
                         {"partition_offset", inspection.partition_offset},
                         {"partition_size", inspection.partition_size},
                         {"compressor", inspection.compressor},
                         {"created", inspection.created},
                         {"labels", inspection.labels},
                         {"deffile", inspection.deffile},
                         {"environment", inspection.environment},
                         {"runscript", inspection.runscript},
                         {"startscript", inspection.startscript},
                         {"test", inspection.test},
                         {"help", inspection.help},
                         {"apps", inspection.apps},
                         {"has_shell", inspection.has_shell},
                         {"shell_arch", inspection.shell_arch}};
  if (!inspection.digest.empty()) {
    json["digest"] = inspection.digest;
    json["partition_digest"] = inspection.partition_digest;
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace slipway::build
