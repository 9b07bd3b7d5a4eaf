// SPDX-License-Identifier: Apache-2.0
#include "cli/front/container_edits.h"

#include <dirent.h>
#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "base/os/process.h"
#include "base/os/program.h"
#include "cli/front/security_options.h"
#include "hooks/edits/folders.h"
#include "hooks/edits/request.h"
#include "hooks/fabric/fabric.h"
#include "hooks/host/host_tree.h"
#include "launcher/client/user.h"

namespace slipway::cli {
namespace {

// A folder that cannot be read may hold some: slipway-edits then says so.
bool HasHooks() {
  bool found = false;
  for (const char* folder : kHookFolderNames) {
    DIR* dir = ::opendir(folder);
    if (dir == nullptr) {
      found = found || (errno != ENOENT && errno != ENOTDIR);
      continue;
    }
    while (dirent* entry = ::readdir(dir))
      found = found || std::string_view(entry->d_name).ends_with(".json");
    ::closedir(dir);
  }
  return found;
}

std::vector<std::uint32_t> OwnGroups() {
  std::vector<std::uint32_t> groups{::getegid()};
  int count = ::getgroups(0, nullptr);
  std::vector<gid_t> more(static_cast<std::size_t>(count < 0 ? 0 : count));
  count = ::getgroups(count, more.data());
  for (int i = 0; i < count; ++i) groups.push_back(more[static_cast<std::size_t>(i)]);
  return groups;
}

Result<EditsAnswer> Ask(const EditsRequest& request) {
  UniqueFd question = TRY(MakeSealedMemfd("edits-request", Encode(request)));
  SpawnOptions options;
  options.argv = {TRY(FindCompanion("slipway-edits"))};
  options.fds = {{0, question.get()}};
  Output output = TRY(RunAndCapture(options));
  if (output.status.wait_status != 0)
    return Fail(Code::kInternal, "slipway-edits ended with code ", output.status.exit_code());
  EditsAnswer answer = TRY(Decode<EditsAnswer>(output.out, "the answer of slipway-edits"));
  if (answer.code != 0) return Fail(static_cast<Code>(answer.code), answer.message);
  return answer;
}

constexpr std::uint32_t kGpusMax = 4096;

// For tests: the root of a recorded host's tree, whose GPUs are taken for this host's.
constexpr const char* kHostVariable = "SLIPWAY_HOST_TREE";

std::string HostRoot() {
  const char* host = std::getenv(kHostVariable);
  return host == nullptr ? "/" : host;
}

// Five names, so that a start on a host without any costs nothing more.
bool MayHaveFabrics(const std::string& root) {
  std::string prefix = root == "/" ? "" : root;
  for (const char* path :
       {"/sys/class/infiniband_verbs", "/sys/class/cxi", "/dev/hfi1_0", "/dev/xpmem", "/dev/gdrdrv"}) {
    if (::access((prefix + path).c_str(), F_OK) == 0) return true;
  }
  return false;
}

// As Apptainer, whose containers see all of /dev unless they are contained.
Result<> AddFabrics(const Parsed& parsed, LaunchSpec& spec) {
  std::string setting = parsed.Value("fabrics", "auto");
  if (setting != "auto" && setting != "none")
    return Fail(Code::kInvalidArgument, "--fabrics '", setting.substr(0, 64), "': auto or none");
  bool contained = parsed.Has("contain") || parsed.Has("containall") || parsed.Has("compat");
  bool dev = std::any_of(spec.mounts.begin(), spec.mounts.end(),
                         [](const Mount& mount) { return mount.type == Mount::kDev; });
  if (setting == "none" || contained || !dev || !MayHaveFabrics(HostRoot())) return {};
  HostTree host = TRY(HostTree::At(HostRoot()));
  ApplyEdits(EditsOfFabrics(FindFabrics(host), host), spec);
  return {};
}

std::string CacheFile() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return Cat(cache, "/slipway/gpus");
  std::string home = CallingUser().home;
  return home.starts_with('/') && home != "/" ? Cat(home, "/.cache/slipway/gpus") : std::string();
}

bool IsGpu(const std::string& device) {
  return device.starts_with("nvidia.com/gpu=") || device.starts_with("amd.com/gpu=") ||
         device.starts_with("intel.com/gpu=");
}

Result<GpuWish> WishOf(const Parsed& parsed, const ImageFile& image) {
  GpuWish wish{.nvidia = parsed.Has("nv"), .amd = parsed.Has("rocm")};
  if (std::string text = parsed.Value("gpus"); text == "all") {
    wish.count = kAllGpus;
  } else if (!text.empty()) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), wish.count);
    if (error != std::errc() || end != text.data() + text.size() || wish.count == 0 || wish.count > kGpusMax)
      return Fail(Code::kInvalidArgument, "--gpus '", text.substr(0, 64), "': a number of GPUs, or all");
  }
  std::vector<std::string> devices = parsed.List("device");
  bool any = wish.nvidia || wish.amd || wish.count != 0 || std::any_of(devices.begin(), devices.end(), IsGpu);
  if (!any) return wish;
  wish.host = HostRoot();
  wish.cache_file = CacheFile();
  wish.image_is_directory = image.source.kind == ImageKind::kDirectory;
  if (wish.image_is_directory || image.file) wish.image_path = image.path;
  wish.image_offset = image.source.offset;
  wish.image_bytes = image.source.size;
  return wish;
}

}  // namespace

std::vector<Option> EditsOptionList() {
  return {
      {.name = "nv",
       .help = "NVIDIA's GPUs of this host, with its driver's libraries and programs",
       .variables = {"NV"}},
      {.name = "rocm", .help = "the same for AMD's", .variables = {"ROCM"}},
      {.name = "gpus",
       .type = Option::kString,
       .value_name = "N",
       .help = "only the first N GPUs of this host, whoever made them, or all",
       .variables = {"GPUS"}},
      {.name = "fabrics",
       .type = Option::kString,
       .value_name = "auto|none",
       .help = "devices of InfiniBand, Slingshot, EFA, XPMEM and GDRCopy that this host has: all of them, "
               "unless --contain is given, or none",
       .complete = "auto|none",
       .variables = {"FABRICS"}},
      {.name = "device",
       .type = Option::kList,
       .value_name = "VENDOR/CLASS=NAME",
       .help = "a device of this node by its CDI name (\"all\" for every one of its kind); "
               "nvidia.com/gpu=0, amd.com/gpu=0 and intel.com/gpu=0 need no CDI file",
       .variables = {"DEVICE"}}};
}

Result<> AddEdits(const Parsed& parsed, const ImageFile& image, LaunchSpec& spec,
                  const std::function<void(const std::string&)>& say) {
  Security security = TRY(SecurityOf(parsed, spec.confinement.capabilities));
  spec.confinement = security.confinement;
  TRY(AddFabrics(parsed, spec));
  EditsRequest request{.seccomp_file = security.seccomp_file,
                       .capabilities = spec.confinement.capabilities,
                       .devices = parsed.List("device"),
                       .hooks = HasHooks(),
                       .command = spec.argv.empty() ? "" : spec.argv[0],
                       .has_bind_mounts = !parsed.List("bind").empty() || !parsed.List("mount").empty(),
                       .gpus = TRY(WishOf(parsed, image))};
  bool gpus = request.gpus.nvidia || request.gpus.amd || request.gpus.count != 0;
  if (request.seccomp_file.empty() && request.devices.empty() && !request.hooks && !gpus) return {};
  EditsAnswer answer = TRY(Ask(request));
  for (const std::string& warning : answer.warnings) say(Cat("warning: ", warning));
  TRY(CheckGroups(answer.edits, OwnGroups()));
  spec.confinement.bpf = std::move(answer.seccomp);
  ApplyEdits(answer.edits, spec);
  return {};
}

}  // namespace slipway::cli
