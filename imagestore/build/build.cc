// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/build.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "imagestore/build/bootstrap.h"
#include "imagestore/build/image_window.h"
#include "imagestore/build/metadata.h"
#include "imagestore/build/sections.h"
#include "imagestore/build/state_keys.h"
#include "imagestore/build/userns.h"
#include "imagestore/sif/elf_arch.h"
#include "imagestore/sif/sif.h"
#include "imagestore/squashfs/pack.h"
#include "imagestore/squashfs/reader.h"

namespace slipway::build {

namespace {

constexpr std::size_t kLabelsMax = 1 << 20;

std::string DirectoryOf(const std::string& path) {
  std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Gone at the end of the scope, whatever is in it and whoever owns it.
class TempDirectory {
 public:
  static Result<TempDirectory> Make(const std::string& parent) {
    char absolute[PATH_MAX];
    if (::realpath(parent.c_str(), absolute) == nullptr)
      return ErrnoFail("the folder for temporary files,", parent);
    return TempDirectory(TRY(MakeTempDirectory(absolute, ".slipway-build-")));
  }
  TempDirectory(TempDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~TempDirectory() {
    if (path_.empty() || RemoveTree(path_)) return;
    // An ordinary user's image has files of his subordinate ids.
    if (::geteuid() != 0) {
      (void)InUserNamespace(
          [this](const FrameSink&) -> Result<std::string> {
            TRY(RemoveTree(path_));
            return std::string();
          },
          {}, nullptr);
      (void)RemoveTree(path_);
    }
  }
  const std::string& path() const { return path_; }

 private:
  explicit TempDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

Result<std::string> ArchOfTree(const std::string& path) {
  RootDir root = TRY(RootDir::Open(path));
  auto shell = root.ReadFile("/bin/sh", 64 << 20);
  std::string arch = shell ? sif::ElfArch(*shell) : "unknown";
  return arch == "unknown" ? std::string(sif::HostArch()) : arch;
}

class Builder {
 public:
  explicit Builder(const BuildOptions& options)
      : options_(options),
        report_(options.progress),
        log_(options.log),
        cancelled_(options.cancelled),
        epoch_(sif::SourceDateEpoch()) {}

  Result<BuildSummary> Run() {
    struct stat info;
    if (::stat(options_.source.c_str(), &info) < 0) return ErrnoFail("open", options_.source);
    if (!options_.force && ::access(options_.output.c_str(), F_OK) == 0) {
      return Fail(Code::kAlreadyExists, options_.output, " is there already; use --force to replace it");
    }
    if (S_ISDIR(info.st_mode)) return FromDirectory();
    return FromRecipe();
  }

 private:
  Result<BuildSummary> FromDirectory() {
    Labels labels;
    {
      RootDir root = TRY(RootDir::Open(options_.source));
      if (auto text = root.ReadFile("/.singularity.d/labels.json", kLabelsMax)) {
        if (auto parsed = ParseLabels(*text)) labels = std::move(*parsed);
      }
    }
    std::string arch = TRY(ArchOfTree(options_.source));
    sif::Writer writer = TRY(NewSif());
    if (!labels.empty())
      TRY(writer.AddObject(sif::DataType::kGenericJson, "inspect-metadata.json",
                           InspectMetadataJson(labels, {})));
    sif::Writer::Place place = TRY(writer.BeginPartition());
    squashfs::PackSummary packed = TRY(Pack(options_.source, place));
    return Complete(writer, packed, arch);
  }

  Result<BuildSummary> FromRecipe() {
    std::string name = options_.source.substr(options_.source.find_last_of('/') + 1);
    std::string text = TRY(FillIn(TRY(ReadFile(options_.source, 4 << 20)), name, options_.arguments));
    Recipe recipe = TRY(ParseRecipe(text, name));
    std::string arch(sif::HostArch());
    Labels base;
    TempDirectory temp = TRY(TempDirectory::Make(TempParent()));
    for (Recipe& stage : recipe.earlier) {
      TRY(BringBase(stage, temp.path()));
      TRY(DigestBase(stage));
    }
    TRY(BringBase(recipe, temp.path()));
    TRY(DigestBase(recipe));
    if (recipe.HasBase())
      TRY_CONTEXT(ReadBase(recipe, arch, base), Cat(recipe.name, ":", recipe.bootstrap_line));
    Labels labels = LabelsOf(recipe, base, arch, epoch_.value_or(std::time(nullptr)));
    sif::Writer writer = TRY(NewSif());
    TRY(writer.AddObject(sif::DataType::kDeffile, recipe.name, recipe.text));
    TRY(writer.AddObject(sif::DataType::kGenericJson, "inspect-metadata.json",
                         InspectMetadataJson(labels, recipe.text)));
    sif::Writer::Place place = TRY(writer.BeginPartition());
    PopulateOptions populate;
    populate.recipe = &recipe;
    populate.labels = labels;
    populate.root = temp.path() + "/rootfs";
    populate.run_tests = options_.run_tests;
    populate.scratch = temp.path() + "/scratch";
    for (const std::string& directory : {populate.root, populate.scratch}) {
      if (::mkdir(directory.c_str(), 0755) < 0) return ErrnoFail("mkdir", directory);
    }
    squashfs::PackSummary packed =
        TRY(::geteuid() == 0 ? PopulateAndPack(populate, place) : AsUser(populate, place));
    return Complete(writer, packed, arch);
  }

  Result<> BringBase(Recipe& recipe, const std::string& scratch) const {
    if (!recipe.HasBase()) return {};
    recipe.base = recipe.from;
    std::string where = Cat(recipe.name, ":", recipe.bootstrap_line);
    struct stat info;
    if (!recipe.IsFetched()) {
      if (::stat(recipe.from.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
        TRY_CONTEXT(PackBase(recipe, scratch), where);
      return {};
    }
    if (!options_.fetch)
      return Fail(Code::kUnimplemented, where, ": Bootstrap: ", recipe.bootstrap, " is not possible here");
    Report({"bootstrap", "fetching " + recipe.Address()});
    recipe.base = TRY_CONTEXT(options_.fetch(recipe.Address()), where);
    return {};
  }

  // What `--sandbox` made, as a file from here on: so it is digested, unpacked and kept like any other base,
  // and whoever changes the folder meanwhile changes nothing here.
  Result<> PackBase(Recipe& recipe, const std::string& scratch) const {
    std::string name = Cat(scratch, "/base-", recipe.bootstrap_line);
    squashfs::PackOptions pack;
    pack.compressor = squashfs::Compressor::kLz4;
    pack.limits = options_.limits;
    pack.policy.set_id = squashfs::Treatment::kKeep;  // packing the image decides
    pack.policy.ids_to_root = ::geteuid() != 0;       // others' ids are none in a user namespace of ours
    // No time of its own is in it: equal folders make equal files, also for the cache.
    pack.epoch = epoch_.value_or(UINT32_MAX);
    pack.progress = [this](const squashfs::Progress&) -> Result<> {
      if (cancelled_ != nullptr && cancelled_->load()) return Fail(Code::kCancelled, "cancelled");
      return {};
    };
    Report({"bootstrap", "reading " + recipe.from});
    UniqueFd folder = TRY(Open(recipe.from, O_RDONLY | O_DIRECTORY));
    UniqueFd file = TRY(Open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
    TRY_CONTEXT(squashfs::PackDirectory(folder.get(), file.get(), pack), recipe.from);
    recipe.base = name;
    return {};
  }

  // What is kept of this build is kept for these bytes.
  Result<> DigestBase(Recipe& recipe) const {
    if (!recipe.HasBase() || options_.cache_folder.empty()) return {};
    UniqueFd base = TRY_CONTEXT(Open(recipe.base, O_RDONLY), Cat(recipe.name, ":", recipe.bootstrap_line));
    recipe.base_digest = TRY(DigestOfFile(base.get()));
    return {};
  }

  // Label and architecture of the image that this one builds on; its errors belong to the recipe's line.
  static Result<> ReadBase(Recipe& recipe, std::string& arch, Labels& base) {
    UniqueFd fd = TRY(Open(recipe.base, O_RDONLY));
    ImageWindow window = TRY_CONTEXT(FindImage(fd.get()), recipe.from);
    squashfs::Reader reader = TRY_CONTEXT(squashfs::Reader::Open(window.squashfs), recipe.from);
    if (window.sif && window.sif->header.arch != "unknown") arch = window.sif->header.arch;
    if (auto text = reader.ReadFile("/.singularity.d/labels.json", kLabelsMax)) {
      if (auto parsed = ParseLabels(*text)) base = std::move(*parsed);
    }
    return {};
  }

  Result<squashfs::PackSummary> PopulateAndPack(PopulateOptions populate, const sif::Writer::Place& place) {
    populate.progress = [this](const BuildProgress& progress) { Report(progress); };
    populate.log = log_;
    populate.cancelled = cancelled_;
    std::optional<BuildCache> cache = OpenCache();
    if (cache) populate.cache = &*cache;
    for (std::size_t damaged = 0;;) {
      auto made = PopulateStages(populate);
      bool again = !made && cache && cache->damaged() > std::exchange(damaged, cache->damaged());
      if (!again) {
        TRY(std::move(made));
        break;
      }
      // A state that is no more is one that was never kept; what was planned on it is planned anew.
      if (log_) log_(Cat(made.error().message, "; the build begins again without it"));
      TRY(EmptyRoots(populate));
    }
    return Pack(populate.root, place);
  }

  static std::string StageRoot(const PopulateOptions& populate, std::size_t stage) {
    return Cat(populate.root, ".stage", stage);
  }

  static Result<> EmptyRoots(const PopulateOptions& populate) {
    for (std::size_t i = 0; i < populate.recipe->earlier.size(); ++i)
      if (::access(StageRoot(populate, i).c_str(), F_OK) == 0) TRY(RemoveTree(StageRoot(populate, i)));
    TRY(RemoveTree(populate.root));
    return ::mkdir(populate.root.c_str(), 0755) == 0 ? Result<>() : ErrnoFail("mkdir", populate.root);
  }

  static Result<> PopulateStages(PopulateOptions populate) {
    std::vector<StagePlan> plan(populate.recipe->earlier.size() + 1);
    if (populate.cache != nullptr) plan = PlanStages(*populate.recipe, *populate.cache);
    for (std::size_t i = 0; i < populate.recipe->earlier.size(); ++i) {
      const Recipe& stage = populate.recipe->earlier[i];
      populate.stage_keys[stage.stage] = plan[i].key;
      if (!plan[i].is_needed) continue;
      PopulateOptions earlier = populate;
      earlier.recipe = &stage;
      earlier.root = StageRoot(populate, i);
      if (::mkdir(earlier.root.c_str(), 0755) < 0) return ErrnoFail("mkdir", earlier.root);
      populate.stage_keys[stage.stage] = TRY(Populate(earlier));
      populate.stages[stage.stage] = earlier.root;
    }
    TRY(Populate(populate));
    return {};
  }

  std::optional<BuildCache> OpenCache() const {
    if (options_.cache_folder.empty()) return std::nullopt;
    auto opened = BuildCache::Open(
        {.folder = options_.cache_folder, .bytes_max = options_.cache_bytes_max, .cancelled = cancelled_});
    if (opened) return std::move(*opened);
    if (log_) log_(Cat("no build cache: ", opened.error().message));
    return std::nullopt;
  }

  // The same in a user namespace of ours; its progress comes back through a pipe.
  Result<squashfs::PackSummary> AsUser(PopulateOptions populate, const sif::Writer::Place& place) {
    FrameHandlers handlers{options_.progress, options_.log};
    auto work = [&](const FrameSink& sink) -> Result<std::string> {
      report_ = sink.progress;
      log_ = sink.log;
      cancelled_ = sink.cancelled;
      return EncodeSummary(TRY(PopulateAndPack(populate, place)));
    };
    return DecodeSummary(TRY(InUserNamespace(work, handlers, options_.cancelled)));
  }

  Result<squashfs::PackSummary> Pack(const std::string& directory, const sif::Writer::Place& place) {
    squashfs::PackOptions pack;
    pack.compressor = options_.compressor;
    pack.zstd_level = options_.zstd_level;
    pack.limits = options_.limits;
    pack.epoch = epoch_;
    pack.out_offset = place.offset;
    pack.flush_early = true;
    pack.progress = [this](const squashfs::Progress& p) -> Result<> {
      if (cancelled_ != nullptr && cancelled_->load()) return Fail(Code::kCancelled, "cancelled");
      Report({"pack", "packing", p.bytes, p.bytes_total});
      return {};
    };
    UniqueFd dir = TRY(Open(directory, O_RDONLY | O_DIRECTORY));
    return squashfs::PackDirectory(dir.get(), place.fd, pack);
  }

  Result<BuildSummary> Complete(sif::Writer& writer, const squashfs::PackSummary& packed,
                                const std::string& arch) {
    Report({"write", "writing " + options_.output});
    TRY(writer.EndPartition("squashfs-root", packed.bytes_out, sif::FsType::kSquashfs,
                            sif::PartType::kPrimarySystem, arch));
    TRY(writer.Commit());
    UniqueFd fd = TRY(Open(options_.output, O_RDONLY));
    struct stat info;
    if (::fstat(fd.get(), &info) < 0) return ErrnoFail("fstat", options_.output);
    BuildSummary summary;
    if (options_.digest) summary.digest = TRY(DigestOfFile(fd.get()));
    summary.size = static_cast<std::uint64_t>(info.st_size);
    summary.entries = packed.entries;
    summary.dropped = packed.dropped;
    return summary;
  }

  Result<sif::Writer> NewSif() const { return sif::Writer::Create(options_.output, {.epoch = epoch_}); }

  std::string TempParent() const {
    if (!options_.temp_parent.empty()) return options_.temp_parent;
    const char* from_environment = std::getenv("TMPDIR");
    return from_environment != nullptr && *from_environment != '\0' ? from_environment
                                                                    : DirectoryOf(options_.output);
  }
  void Report(const BuildProgress& progress) const {
    if (report_) report_(progress);
  }

  const BuildOptions& options_;
  std::function<void(const BuildProgress&)> report_;  // the caller's, or the pipe to him
  std::function<void(std::string_view)> log_;
  const std::atomic<bool>* cancelled_;  // the caller's, or what he told his child
  std::optional<std::int64_t> epoch_;
};

}  // namespace

Result<BuildSummary> Build(const BuildOptions& options) { return Builder(options).Run(); }

}  // namespace slipway::build
