// SPDX-License-Identifier: Apache-2.0
// slipway build: a SIF, or a directory, from a recipe, a directory or an image elsewhere; without any daemon.
#include "imagestore/build/build.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "base/crypto/crypto.h"
#include "base/os/fd.h"
#include "base/text/text.h"
#include "base/text/units.h"
#include "cli/images/pull_options.h"
#include "cli/images/subcommands.h"
#include "cli/show/bars.h"
#include "imagestore/oci/blob_cache.h"
#include "imagestore/sif/sif.h"
#include "imagestore/squashfs/reader.h"

namespace slipway::cli {
namespace {

struct Built {
  std::string digest;
  std::uint64_t bytes = 0, entries = 0;  // entries: 0 where nobody counted
};

constexpr std::size_t kArgumentFileMax = 1 << 20;

bool IsQuiet(const Parsed& options) { return options.Has("quiet") || options.Has("json"); }

// `build OUT docker://…` is a pull.
Result<Built> BuildFromSource(const Parsed& options, const std::string& output) {
  oci::Reference reference = TRY(oci::ParseReference(options.positionals()[1]));
  PullProgress progress(IsQuiet(options));
  oci::PullOptions wanted = TRY(PullOptionsOf(options, progress));
  auto pulled = oci::Pull(reference, output, wanted);
  progress.End();
  oci::Pulled done = TRY(std::move(pulled));
  return Built{done.digest, done.size};
}

// What sections say, a line when each begins, and on a terminal a bar for the one that runs.
class BuildShow {
 public:
  void Phase(const build::BuildProgress& now) {
    if (std::exchange(phase_, now.phase) != now.phase) {
      bars_.Clear();
      bytes_ = 0;
      bars_.Say(Cat(now.phase, now.detail.empty() ? "" : ": ", now.detail));
    }
    // How much there is, is not known while the tree is still looked at.
    if (now.total != 0 || (now.done != 0 && bars_.terminal())) {
      bars_.Show("packing", now.done, now.total);
    } else if (bars_.terminal()) {
      bars_.Show(phase_, bytes_, 0);
    }
  }
  void Log(std::string_view line) {
    while (line.ends_with('\n')) line.remove_suffix(1);
    bars_.Say(Cat("  ", line));
    bytes_ += line.size() + 1;
    if (bars_.terminal()) bars_.Show(phase_, bytes_, 0);
  }

 private:
  Bars bars_;
  std::string phase_;
  std::uint64_t bytes_ = 0;  // that the section has said
};

Result<build::Arguments> ArgumentsOf(const Parsed& options) {
  build::Arguments arguments;
  if (options.Has("build-arg-file")) {
    std::string path = options.Value("build-arg-file");
    std::size_t number = 0;
    for (const std::string& line : Split(TRY(ReadFile(path, kArgumentFileMax)), '\n')) {
      ++number;
      std::string_view text = Trim(line);
      if (text.empty() || text[0] == '#') continue;
      std::size_t equals = text.find('=');
      if (equals == 0 || equals == std::string_view::npos)
        return Fail(Code::kInvalidArgument, path, ": line ", number, ": must be NAME=VALUE");
      arguments[std::string(text.substr(0, equals))] = text.substr(equals + 1);
    }
  }
  for (const std::string& text : options.List("build-arg")) {
    std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      return Fail(Code::kInvalidArgument, "slipway build: --build-arg must be NAME=VALUE, not '", text, "'");
    arguments[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return arguments;
}

Result<Built> BuildFromRecipe(const Parsed& options, const std::string& output) {
  build::BuildOptions wanted;
  wanted.output = output;
  wanted.source = options.positionals()[1];
  wanted.force = true;  // looked at already
  wanted.run_tests = !options.Has("notest");
  wanted.temp_parent = options.Value("tmpdir");
  wanted.arguments = TRY(ArgumentsOf(options));
  wanted.cancelled = &Cancelled();
  // Who has no place for a cache builds all the same.
  auto cache = oci::BlobCache::DefaultFolder();
  if (cache && !options.Has("no-cache") && !options.Has("disable-cache"))
    wanted.cache_folder = *cache + "/builds";
  if (options.Has("cache-max"))
    wanted.cache_bytes_max = TRY_CONTEXT(ParseBytes(options.Value("cache-max")), "--cache-max");
  PullProgress fetching(IsQuiet(options));
  oci::PullOptions packing_options = TRY(PullOptionsOf(options, fetching));
  wanted.compressor = packing_options.compressor;
  wanted.digest = packing_options.digest;
  wanted.limits = packing_options.limits;
  wanted.fetch = [&](const std::string& address) -> Result<std::string> {
    auto path = oci::PullToCache(TRY(oci::ParseReference(address)), TRY(PullOptionsOf(options, fetching)));
    fetching.End();
    return path;
  };
  BuildShow show;
  if (!IsQuiet(options)) {
    wanted.progress = [&](const build::BuildProgress& now) { show.Phase(now); };
    wanted.log = [&](std::string_view line) { show.Log(line); };
  }
  build::BuildSummary summary = TRY(build::Build(wanted));
  return Built{summary.digest, summary.size, summary.entries};
}

bool IsSif(const std::string& path) {
  auto file = Open(path, O_RDONLY | O_NONBLOCK);
  return file && sif::LooksLikeSif(file->get());
}

Result<Built> BuildTo(const Parsed& options, const std::string& output) {
  bool from_source = oci::LooksLikeReference(options.positionals()[1]);
  if (!from_source && IsSif(options.positionals()[1]))
    return Fail(Code::kInvalidArgument, options.positionals()[1],
                ": it is a SIF already; --sandbox unpacks it, and a recipe with 'Bootstrap: localimage' "
                "builds on it");
  return from_source ? BuildFromSource(options, output) : BuildFromRecipe(options, output);
}

// A SIF, which is made beside it when none was given, unpacked: so the files are the caller's own, whoever
// they were in the build.
Result<Built> BuildSandbox(const Parsed& options, const std::string& output) {
  std::size_t slash = output.rfind('/');
  std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : output.substr(0, slash);
  std::string folder = TRY(MakeTempDirectory(parent, ".slipway-sandbox-"));
  auto make = [&]() -> Result<Built> {
    bool given = IsSif(options.positionals()[1]);
    std::string file = given ? options.positionals()[1] : folder + "/image.sif";
    Built built;
    if (!given) built = TRY(BuildTo(options, file));
    UniqueFd sif_file = TRY(Open(file, O_RDONLY));
    if (given) built = {TRY(DigestOfFile(sif_file.get())), TRY(SizeOfFile(sif_file.get()))};
    auto image = TRY(sif::Read(sif_file.get()));
    auto partition = TRY(sif::PrimarySystemPartition(image, sif_file.get()));
    TRY(MakeDirectories(folder + "/root"));
    UniqueFd root = TRY(Open(folder + "/root", O_RDONLY | O_DIRECTORY));
    TRY(squashfs::Unpack({sif_file.get(), partition.offset, partition.size}, root.get()));
    if (options.Has("force")) TRY(RemoveTree(output));
    if (::rename((folder + "/root").c_str(), output.c_str()) < 0) return ErrnoFail("rename to", output);
    return built;
  };
  auto built = make();
  (void)RemoveTree(folder);
  return built;
}

Result<int> Run(const Parsed& options) {
  std::string output = options.positionals()[0];
  while (output.size() > 1 && output.ends_with('/')) output.pop_back();
  bool there = ::access(output.c_str(), F_OK) == 0;
  if (!options.Has("force") && there)
    return Fail(Code::kAlreadyExists, output, " is there already; use --force to replace it");
  CancelOnSignals();
  auto built = options.Has("sandbox") ? BuildSandbox(options, output) : BuildTo(options, output);
  if (!built && built.error().code == Code::kCancelled) {
    PrintError(built.error());
    return 130;
  }
  Built done = TRY(std::move(built));
  if (options.Has("json")) {
    Print(Cat("{\"digest\": \"", done.digest, "\", \"bytes\": ", done.bytes, ", \"entries\": ", done.entries,
              "}\n"));
  } else if (!options.Has("quiet")) {
    Print(Cat(output, "  ", FormatBytes(done.bytes), "  ", done.digest, "\n"));
  }
  return 0;
}

}  // namespace

const Subcommand kBuild{{"build"}, DeclareBuild, Run};

}  // namespace slipway::cli
