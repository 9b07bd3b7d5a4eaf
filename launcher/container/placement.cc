// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/placement.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <string_view>

#include "base/os/mount.h"
#include "launcher/container/dev.h"

namespace slipway {
namespace {

bool Covers(const std::string& mount_target, const std::string& path) {
  std::string_view folder = mount_target;
  while (folder.size() > 1 && folder.back() == '/') folder.remove_suffix(1);
  if (folder == "/") return true;
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

}  // namespace

const Mount* Placement::Covering(const std::string& target, const Mount* before) const {
  const Mount* covering = nullptr;
  for (const MountSource& source : sources_) {
    if (source.mount == before) break;
    if (Covers(source.mount->target, target)) covering = source.mount;
  }
  return covering;
}

Result<> Placement::Prepare() {
  // What is changed in place gets no layer over it, but for account files, which are bound.
  for (const MountSource& source : sources_) {
    if (spec_.writing.in_place || Covering(source.mount->target, source.mount) != nullptr) continue;
    TRY(layer_.NeedMountPoint(source.mount->target, source.directory));
  }
  for (const InjectedFile& file : spec_.files) {
    if (Covering(file.target, nullptr) != nullptr) continue;
    TRY(file.account_line ? layer_.AddAccountLine(file.target, file.content)
                          : layer_.PutFile(file.target, file.content, file.mode));
  }
  return {};
}

// `target` where the root, or what is mounted there, is a file system that we may write to.
Result<UniqueFd> Placement::MakeIn(const std::string& target, bool directory) {
  for (auto end = target.find('/', 1);; end = target.find('/', end + 1)) {
    std::string part = target.substr(0, end);
    bool last = end == std::string::npos;
    auto there = OpenInRoot(root_fd_, part, O_PATH);
    if (there && last) return there;
    if (there) continue;
    if (there.error().sys_errno != ENOENT) return there;
    auto slash = part.rfind('/');
    UniqueFd parent =
        TRY(OpenInRoot(root_fd_, slash == 0 ? "/" : part.substr(0, slash), O_PATH | O_DIRECTORY));
    std::string name = part.substr(slash + 1);
    if (!last || directory) {
      if (::mkdirat(parent.get(), name.c_str(), 0755) < 0) return ErrnoFail("making the mount point", part);
    } else {
      [[maybe_unused]] UniqueFd made = TRY(OpenAt(parent.get(), name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644));
    }
    if (last) return OpenInRoot(root_fd_, part, O_PATH);
  }
}

Result<UniqueFd> Placement::OpenTarget(const std::string& target, bool directory, const Mount* covering) {
  auto there = OpenInRoot(root_fd_, target, O_PATH);
  if (there || there.error().sys_errno != ENOENT) return there;
  if (covering == nullptr) {
    if (spec_.writing.in_place) {
      Error error{
          Code::kFailedPrecondition, ENOENT,
          Cat("the image has no ", target, ", and --writable changes the image itself: make it there (",
              directory ? "mkdir " : "touch ", spec_.image.path, target, ") or leave --writable")};
      return Failure(std::move(error));
    }
    if (writable_) return MakeIn(target, directory);
    return Fail(Code::kFailedPrecondition, "the image has no mount point ", target);
  }
  // As Apptainer has it: in a folder of the user's that is bound for writing the mount point is made.
  bool ours = covering->type == Mount::kTmpfs || covering->type == Mount::kDev ||
              (covering->type == Mount::kBind && !covering->read_only);
  Result<UniqueFd> made = ours ? MakeIn(target, directory) : std::move(there);
  if (made) return made;
  std::string below = target.substr(std::min(covering->target.size(), target.size()));
  return Fail(Code::kFailedPrecondition, "the mount point ", target, " does not exist in ",
              covering->source.empty() ? "what" : covering->source, ", which is mounted above it at ",
              covering->target,
              ours ? Cat(", and cannot be made there (", made.error().message, ")")
                   : Cat(covering->read_only ? " read-only" : "", ": make it there (",
                         directory ? "mkdir -p " : "touch ", covering->source, below, ")"));
}

// The images of other steps are not this user's to see. He cannot take the cover off: he has no privilege
// in this user namespace, and in one of his own it is locked.
Result<> Placement::Cover(const MountSource& source) {
  UniqueFd cover = TRY(MountNew("tmpfs", {{"mode", "0555"}, {"size", "4k"}},
                                MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  UniqueFd images = TRY(OpenAt(source.tree.get(), source.covered, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  return AttachMount(cover.get(), images.get());
}

void Placement::Note(const MountSource& source, bool attached) {
  static constexpr const char* kTypes[] = {"", "bind", "tmpfs", "proc", "dev", "sys", "image"};
  const Mount& mount = *source.mount;
  std::string what = mount.type == Mount::kImage ? Cat(mount.source, mount.options) : mount.source;
  bool plain = mount.type == Mount::kBind || mount.type == Mount::kSys;
  bool read_only = mount.read_only || mount.type == Mount::kSys || mount.type == Mount::kImage;
  report_.Fact(Cat("mount: ", kTypes[mount.type], " ", what, what.empty() ? "" : " at ", mount.target,
                   mount.options.empty() || mount.type == Mount::kImage ? "" : Cat(" (", mount.options, ")"),
                   read_only ? " ro" : " rw",
                   !plain                                 ? ""
                   : mount.propagation == Mount::kPrivate ? ", private"
                                                          : ", slave of the host's",
                   attached ? "" : ", left out: no place for it"));
}

Result<> Placement::Attach(const MountSource& source) {
  const Mount& mount = *source.mount;
  bool attached = false;
  auto outcome = [&]() -> Result<> {
    UniqueFd target = TRY(OpenTarget(mount.target, source.directory, Covering(mount.target, &mount)));
    if (mount.type == Mount::kDev) return MakeDev(target.get(), mount.options, report_);
    TRY(AttachMount(source.tree.get(), target.get()));
    attached = true;
    if (!source.covered.empty()) TRY(Cover(source));
    return {};
  }();
  bool kernels = mount.type == Mount::kProc || mount.type == Mount::kSys || mount.type == Mount::kDev;
  bool no_place = !outcome && spec_.writing.in_place && kernels && outcome.error().sys_errno == ENOENT;
  bool left_out = !outcome && !attached && (mount.optional || no_place);
  if (left_out && spec_.writing.in_place) homeless_.push_back(mount.target);
  if (spec_.explain) Note(source, !left_out);
  if (outcome || left_out) return {};
  return Failure(std::move(outcome).error().Context(
      Cat("mounting ", mount.source.empty() ? "" : mount.source + " at ", mount.target)));
}

Result<> Placement::BindFromLayer(const Layer::Made& made) {
  auto target = OpenInRoot(root_fd_, made.target, O_PATH);
  if (!target && made.account) return {};  // nothing inside looks anybody up
  if (!target) return Failure(std::move(target).error());
  UniqueFd tree = TRY(OpenTreeClone(layer_.fd(), made.path, false));
  TRY(SetMountAttributes(tree.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, false));
  return AttachMount(tree.get(), target->get());
}

// Files whose place is below a mount are bound from the scratch, those that have no layer in the root from
// that.
Result<> Placement::BindFiles(int scratch_fd, bool layered) {
  if (!layered) {
    for (const Layer::Made& made : layer_.made())
      TRY_CONTEXT(BindFromLayer(made), Cat("placing ", made.target));
  }
  int number = 0;
  for (const InjectedFile& file : spec_.files) {
    const Mount* covering = Covering(file.target, nullptr);
    if (covering == nullptr || file.account_line) continue;
    std::string name = Cat("file", number++);
    UniqueFd fd = TRY(OpenAt(scratch_fd, name, O_WRONLY | O_CREAT | O_EXCL, file.mode));
    if (::fchmod(fd.get(), file.mode & 0777) < 0) return ErrnoFail("chmod", file.target);
    TRY(WriteAll(fd.get(), file.content));
    UniqueFd tree = TRY(OpenTreeClone(scratch_fd, name, false));
    TRY(SetMountAttributes(tree.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, false));
    UniqueFd target = TRY_CONTEXT(OpenTarget(file.target, false, covering), Cat("placing ", file.target));
    TRY_CONTEXT(AttachMount(tree.get(), target.get()), Cat("placing ", file.target));
  }
  return {};
}

Result<> Placement::AttachAll(int root_fd, int scratch_fd, bool layered, bool writable) {
  root_fd_ = root_fd;
  writable_ = writable;
  for (const MountSource& source : sources_) TRY(Attach(source));
  TRY(BindFiles(scratch_fd, layered));
  if (homeless_.empty()) return {};
  std::string list;
  for (const std::string& target : homeless_) list += Cat(list.empty() ? "" : ", ", target);
  report_.Warn(Cat(
      "warning: not mounted, because --writable changes the image itself and it has no such place: ", list));
  return {};
}

}  // namespace slipway
