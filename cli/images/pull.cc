// SPDX-License-Identifier: Apache-2.0
// slipway pull, push, and fetch (what `slipway exec docker://…` asks for).
#include "imagestore/oci/pull.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <nlohmann/json.hpp>

#include "base/os/fd.h"
#include "base/text/units.h"
#include "cli/images/pull_options.h"
#include "cli/images/subcommands.h"
#include "imagestore/oci/push.h"

namespace slipway::cli {
namespace {

std::atomic<bool> g_cancelled = false;

}  // namespace

void CancelOnSignals() {
  for (int signal_number : {SIGINT, SIGTERM, SIGHUP})
    ::signal(signal_number, [](int) { g_cancelled = true; });
}

void InterruptOnSignals() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_cancelled = true; };
  for (int signal_number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(signal_number, &action, nullptr);
}

const std::atomic<bool>& Cancelled() { return g_cancelled; }

void UseAuthFile(const Parsed& options) {
  if (options.Has("authfile")) ::setenv("REGISTRY_AUTH_FILE", options.Value("authfile").c_str(), 1);
}

Result<oci::PullOptions> PullOptionsOf(const Parsed& options, PullProgress& progress) {
  oci::PullOptions wanted;
  wanted.source.arch = options.Value("arch");
  UseAuthFile(options);
  wanted.source.registry.plain_http = options.Has("no-https") || options.Has("nohttps");
  wanted.source.registry.http = oci::HttpOptions::FromEnvironment();
  wanted.source.registry.http.cancelled = &g_cancelled;
  wanted.keep_ids = options.Has("keep-ids");
  wanted.digest = options.Has("json") || !options.Has("quiet");  // who is not told it does not wait for it
  if (options.Has("comp")) {
    auto compressor = squashfs::CompressorOf(options.Value("comp"));
    if (!compressor) return Fail(Code::kInvalidArgument, "--comp must be zstd, gzip, xz or lz4");
    wanted.compressor = *compressor;
  }
  wanted.limits.bytes_setting = "--max-bytes";
  wanted.limits.entries_setting = "--max-entries";
  if (options.Has("max-bytes"))
    wanted.limits.bytes_max = TRY_CONTEXT(ParseBytes(options.Value("max-bytes")), "--max-bytes");
  if (options.Has("max-entries"))
    wanted.limits.entries_max =
        TRY_CONTEXT(ParseNumber(options.Value("max-entries"), 1, 1'000'000'000), "--max-entries");
  wanted.progress = [&progress](const std::string& what, std::uint64_t done, std::uint64_t total) {
    progress.Show(what, done, total);
  };
  return wanted;
}

void PullProgress::Show(const std::string& what, std::uint64_t done, std::uint64_t total) {
  if (!quiet_) bars_.Show(what, done, total);
}

namespace {

int ExitFor(const Error& error) {
  PrintError(error);
  return error.code == Code::kCancelled ? 130 : kRefused;
}

// A cache of its own that is gone afterwards.
class OwnCache {
 public:
  static Result<OwnCache> Make() {
    const char* parent = std::getenv("TMPDIR");
    OwnCache made;
    made.path_ =
        TRY(MakeTempDirectory(parent != nullptr && *parent == '/' ? parent : "/var/tmp", "slipway-pull-"));
    return made;
  }
  OwnCache(OwnCache&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~OwnCache() {
    if (!path_.empty()) (void)RemoveTree(path_);
  }
  const std::string& path() const { return path_; }

 private:
  OwnCache() = default;
  std::string path_;
};

void Report(const oci::Pulled& pulled, const std::string& output, const Parsed& options) {
  if (options.Has("json")) {
    nlohmann::json json = {{"path", output},
                           {"digest", pulled.digest},
                           {"bytes", pulled.size},
                           {"manifest", pulled.manifest_digest},
                           {"dropped", pulled.dropped}};
    Print(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  } else if (!options.Has("quiet")) {
    Print(Cat(output, "  ", FormatBytes(pulled.size), "  ", pulled.digest, "\n"));
  }
}

Result<int> Pull(const Parsed& options) {
  const auto& words = options.positionals();
  oci::Reference reference = TRY(oci::ParseReference(words.back()));
  if (words.size() > 1 && options.Has("name"))
    return Fail(Code::kInvalidArgument, "slipway pull: the file is named twice, ", words[0], " and --name ",
                options.Value("name"));
  std::string output = words.size() > 1 ? words[0] : options.Value("name", oci::DefaultFileName(reference));
  if (options.Has("dir") && !output.starts_with('/')) output = Cat(options.Value("dir"), "/", output);
  if (!options.Has("force") && ::access(output.c_str(), F_OK) == 0)
    return Fail(Code::kAlreadyExists, output, " is there already; use --force to replace it");
  CancelOnSignals();
  PullProgress progress(options.Has("quiet") || options.Has("json"));
  oci::PullOptions wanted = TRY(PullOptionsOf(options, progress));
  std::optional<OwnCache> own;
  if (options.Has("disable-cache")) {
    own.emplace(TRY(OwnCache::Make()));
    wanted.cache_folder = own->path();
  }
  auto pulled = oci::Pull(reference, output, wanted);
  progress.End();
  if (!pulled) return ExitFor(pulled.error());
  Report(*pulled, output, options);
  return 0;
}

Result<int> Push(const Parsed& options) {
  oci::Reference reference = TRY(oci::ParseReference(options.positionals()[1]));
  CancelOnSignals();
  oci::PushOptions wanted;
  UseAuthFile(options);
  wanted.registry.plain_http = options.Has("no-https") || options.Has("nohttps");
  wanted.registry.http = oci::HttpOptions::FromEnvironment();
  wanted.registry.http.cancelled = &g_cancelled;
  auto digest = oci::Push(options.positionals()[0], reference, wanted);
  if (!digest) return ExitFor(digest.error());
  if (options.Has("json")) {
    Print(nlohmann::json{{"manifest", *digest}}.dump() + "\n");
  } else if (!options.Has("quiet")) {
    Print(Cat(reference.text, "  ", *digest, "\n"));
  }
  return 0;
}

Result<int> Fetch(const Parsed& options) {
  oci::Reference reference = TRY(oci::ParseReference(options.positionals()[0]));
  CancelOnSignals();
  // Whoever waits for a container wants to see that something moves, and nothing when it was there.
  PullProgress progress(::isatty(STDERR_FILENO) != 1);
  oci::PullOptions wanted = TRY(PullOptionsOf(options, progress));
  auto path = oci::PullToCache(reference, wanted);
  progress.End();
  if (!path) return ExitFor(path.error());
  Print(*path + "\n");
  return 0;
}

}  // namespace

const Subcommand kPull{{"pull"}, DeclarePull, Pull}, kPush{{"push"}, DeclarePush, Push},
    kFetch{{"fetch"}, DeclareFetch, Fetch};

}  // namespace slipway::cli
