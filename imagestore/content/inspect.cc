// SPDX-License-Identifier: Apache-2.0
#include "imagestore/content/inspect.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "base/text/text.h"
#include "imagestore/content/mpi_library.h"
#include "imagestore/content/packages.h"
#include "imagestore/sif/elf_arch.h"

namespace slipway::content {
namespace {

constexpr std::size_t kDatabaseMax = 256 << 20, kLibraryMax = 96 << 20, kSmallFileMax = 1 << 20,
                      kLibrariesMax = 64;
constexpr const char* kPrograms[] = {"bin/sh", "usr/bin/sh", "bin/busybox", "usr/bin/env",
                                     "usr/bin/coreutils"};
constexpr const char* kRpmDatabases[] = {"var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite"};
constexpr const char* kOldRpmDatabases[] = {"var/lib/rpm/Packages", "usr/lib/sysimage/rpm/Packages.db",
                                            "var/lib/rpm/Packages.db"};

std::string FolderOf(const std::string& path) {
  std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

class Inspector {
 public:
  explicit Inspector(const squashfs::Reader& reader) : reader_(reader) {}

  Result<Content> Run(const squashfs::Limits& limits) {
    TRY(reader_.Walk(limits, [this](const std::string& path, squashfs::Kind kind) -> Result<> {
      See(path, kind);
      return {};
    }));
    FindArch();
    ReadSystem();
    ReadLibraries();
    ReadPackages();
    for (Mpi& mpi : content_.mpi) {
      if (mpi.version.empty()) mpi.version = PackagedVersion(mpi);
    }
    ReadLabels();
    return Bounded(std::move(content_));
  }

 private:
  void Note(std::string text) { content_.notes.push_back(std::move(text)); }
  void Add(std::vector<Package> more) {
    if (content_.packages.size() > 4 * kPackagesMax) return;  // many are said twice; the rest is a game
    content_.packages.insert(content_.packages.end(), std::make_move_iterator(more.begin()),
                             std::make_move_iterator(more.end()));
  }

  // Names alone decide what is looked at: an image has a hundred thousand files.
  void See(const std::string& path, squashfs::Kind kind) {
    std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
    if (name.ends_with(".dist-info") || name.ends_with(".egg-info")) return Add(PipPackage(name));
    if (kind != squashfs::Kind::kFile) return;
    if (FolderOf(path).ends_with("conda-meta")) return Add(CondaPackage(name));
    if (path.starts_with("var/lib/dpkg/status.d/") && !name.ends_with(".md5sums"))
      status_files_.push_back(path);
    LibraryKind library = LibraryKindOf(name);
    if (library == LibraryKind::kNone) return;
    if (libraries_.size() < kLibrariesMax)
      libraries_.emplace_back(library, path);
    else
      ++libraries_left_out_;
  }

  void FindArch() {
    for (const char* program : kPrograms) {
      auto head = reader_.ReadHead(program, 64);
      if (!head) continue;
      std::string arch = sif::ElfArch(*head);
      if (arch == "unknown") continue;
      content_.arch = arch;
      return;
    }
  }

  void ReadSystem() {
    auto text = reader_.ReadFile("etc/os-release", kSmallFileMax);
    if (!text) text = reader_.ReadFile("usr/lib/os-release", kSmallFileMax);
    if (!text) return;
    for (const std::string& line : Split(*text, '\n')) {
      if (!line.starts_with("PRETTY_NAME=")) continue;
      std::string value = line.substr(12);
      value.erase(std::remove(value.begin(), value.end(), '"'), value.end());
      content_.system = value;
    }
  }

  void ReadLibraries() {
    std::map<std::string, std::string> pmix_of_folder;  // of an Open MPI: folder of its components → PMIx
    for (auto& [kind, path] : libraries_) {
      if (kind == LibraryKind::kCudaRuntime) {
        content_.cuda = BetterVersion(content_.cuda, VersionOfName(path.substr(path.rfind('/') + 1)));
        continue;
      }
      auto bytes = reader_.ReadFile(path, kLibraryMax);
      if (!bytes) {
        Note(Cat(path, " could not be read: ", bytes.error().message));
        continue;
      }
      if (kind == LibraryKind::kGlibc) {
        std::string version = content_.libc.empty() ? GlibcVersion(*bytes) : "";
        if (!version.empty()) content_.libc = Cat("glibc ", version);
        continue;
      }
      auto texts = TextsOf(*bytes);
      bytes->clear();
      if (kind == LibraryKind::kMusl && content_.libc.empty()) {
        content_.libc = "musl";
      } else if (kind == LibraryKind::kPmix) {
        content_.pmix = BetterVersion(content_.pmix, PmixVersion(texts));
      } else if (kind == LibraryKind::kOpenMpiPmix) {
        pmix_of_folder[FolderOf(path)] = texts.contains("PMIx_Init") ? PmixVersion(texts) : "";
      } else if (kind == LibraryKind::kMpi) {
        content_.mpi.push_back(DescribeMpi(path, texts));
      }
    }
    if (libraries_left_out_ > 0) Note(Cat(libraries_left_out_, " further libraries were not looked at"));
    for (Mpi& mpi : content_.mpi) CompleteMpi(mpi, pmix_of_folder);
  }

  // Open MPI 4 speaks PMIx in a component of its own, below the folder of its library or of the MPI's prefix.
  void CompleteMpi(Mpi& mpi, const std::map<std::string, std::string>& pmix_of_folder) {
    if (mpi.family == "Open MPI") {
      for (auto& [folder, version] : pmix_of_folder) {
        if (!folder.starts_with(FolderOf(mpi.path))) continue;
        mpi.pmix = true;
        if (!version.empty()) mpi.pmix_version = version;
      }
      auto pal = reader_.ReadFile(Cat(FolderOf(mpi.path), "/libopen-pal.so"), kLibraryMax);
      for (const char* name : {"/libopen-pal.so.80", "/libopen-pal.so.40"}) {
        if (!pal) pal = reader_.ReadFile(Cat(FolderOf(mpi.path), name), kLibraryMax);
      }
      if (pal && !mpi.pmix) mpi.pmix = MentionsPmix(TextsOf(*pal));
    }
    if (mpi.pmix && mpi.pmix_version.empty()) mpi.pmix_version = content_.pmix;
  }

  // Of the package that such a library comes from: conda's for one below its prefix, a distribution's for one
  // in /usr/lib.
  std::string PackagedVersion(const Mpi& mpi) const {
    bool system = mpi.path.starts_with("usr/lib") || mpi.path.starts_with("lib");
    const char* stem = mpi.family == "Open MPI" ? "openmpi" : mpi.family == "MPICH" ? "mpich" : nullptr;
    for (const Package& one : content_.packages) {
      if (stem == nullptr || one.kind == "pip" || (one.kind == "conda") == system) continue;
      std::string_view name = one.name;
      if (name.starts_with("lib")) name.remove_prefix(3);
      bool his = name.starts_with(stem) &&
                 name.substr(std::strlen(stem)).find_first_not_of("0123456789") == name.npos;
      if (!his) continue;
      std::string version = one.version.substr(one.version.find(':') + 1);
      return version.substr(0, version.find('-'));
    }
    return {};
  }

  void ReadPackages() {
    status_files_.push_back("var/lib/dpkg/status");
    for (const std::string& path : status_files_) ReadDatabase(path, DpkgPackages);
    for (const char* path : {"lib/apk/db/installed", "usr/lib/apk/db/installed"})
      if (ReadDatabase(path, ApkPackages)) break;
    for (const char* path : kRpmDatabases) {
      auto bytes = reader_.ReadFile(path, kDatabaseMax);
      if (!bytes) continue;
      auto packages = RpmPackages(std::move(*bytes));
      packages ? Add(std::move(*packages)) : Note(packages.error().message);
      return;
    }
    for (const char* path : kOldRpmDatabases) {
      if (reader_.Find(path)) Note(Cat(path, " is an rpm database of an older kind, which is not read"));
    }
  }

  template <class Parse>
  bool ReadDatabase(const std::string& path, Parse parse) {
    auto text = reader_.ReadFile(path, kDatabaseMax);
    if (text) Add(parse(*text));
    if (!text && text.error().code != Code::kNotFound) Note(Cat(path, ": ", text.error().message));
    return text.has_value();
  }

  void ReadLabels() {
    auto text = reader_.ReadFile(".singularity.d/labels.json", kSmallFileMax);
    if (!text) return;
    auto json = nlohmann::json::parse(*text, nullptr, false);
    if (!json.is_object()) return Note(".singularity.d/labels.json is no JSON object");
    for (auto& [key, value] : json.items())
      if (value.is_string()) content_.labels.emplace_back(key, value.get<std::string>());
  }

  const squashfs::Reader& reader_;
  Content content_;
  std::vector<std::pair<LibraryKind, std::string>> libraries_;
  std::size_t libraries_left_out_ = 0;
  std::vector<std::string> status_files_;
};

}  // namespace

Result<Content> InspectImage(const squashfs::Window& window, const squashfs::Limits& limits) {
  squashfs::Reader reader = TRY(squashfs::Reader::Open(window));
  return Inspector(reader).Run(limits);
}

}  // namespace slipway::content
