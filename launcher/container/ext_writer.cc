// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/ext_writer.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/mount.h"
#include "base/os/socket.h"
#include "launcher/container/e2fsck.h"
#include "launcher/container/fuse2fs.h"
#include "launcher/container/fuse_overlayfs.h"

namespace slipway {
namespace {

constexpr const char* kPlace = "/tmp";  // every host has it; ours to cover in a mount namespace that is ours

const Overlay* WrittenExt(const LaunchSpec& spec) {
  for (const Overlay& overlay : spec.writing.overlays) {
    if (overlay.writable && overlay.image.kind == ImageKind::kFuse2fs) return &overlay;
  }
  return nullptr;
}

Result<UniqueFd> NeedFolder(int dir_fd, const std::string& name) {
  if (::mkdirat(dir_fd, name.c_str(), 0755) < 0 && errno != EEXIST) return ErrnoFail("mkdir", name);
  return OpenAt(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

Result<> NeedFolders(int image_fd) {
  struct stat info {};
  // Until it is asked, the kernel takes the top folder of a FUSE file system for root's.
  if (::fstatat(image_fd, "", &info, AT_EMPTY_PATH) < 0) return ErrnoFail("looking into the image");
  for (const char* name : {"upper", "work"}) {
    auto folder = NeedFolder(image_fd, name);
    if (folder) continue;
    Error error = std::move(folder).error();
    if (error.sys_errno != EACCES) return Failure(std::move(error));
    return Fail(
        Code::kPermissionDenied, "the image has no folder ", name,
        ", and its top folder is not yours to make one in; use it with --fakeroot if it is root's, or make "
        "an image of your own: mkfs.ext3 -E root_owner=",
        ::geteuid(), ":", ::getegid(), " FILE SIZE");
  }
  return {};
}

// Both directions: the first byte says whether it went well, the rest is a line for the user.
constexpr char kWell = 'y', kBadly = 'n';

Result<> Answer(int socket, const std::string& line, const std::vector<int>& fds) {
  return SendMessage(socket, Cat(std::string(1, kWell), line), fds);
}

Result<Message> HearAnswer(int socket, std::size_t fds) {
  Message message = TRY_CONTEXT(ReceiveMessage(socket), "the process that keeps the image");
  if (message.bytes.empty() || (message.bytes[0] != kBadly && message.fds.size() != fds))
    return Fail(Code::kInternal, "the process that keeps the image sent a malformed answer");
  if (message.bytes[0] == kBadly) return Fail(Code::kFailedPrecondition, message.bytes.substr(1));
  return message;
}

// The process outside.
class Writer {
 public:
  Writer(UniqueFd socket, bool everyones) : socket_(std::move(socket)), everyones_(everyones) {}

  [[noreturn]] void Run(const ImageSource& image, UniqueFd file) {
    auto served = ServeImage(image, std::move(file));
    if (served) served = ServeRoot();
    if (!served) {
      [[maybe_unused]] auto told =
          SendMessage(socket_.get(), Cat(std::string(1, kBadly), served.error().message));
    } else {
      // Until the one who builds the container has looked into the root, or has gone.
      while (ReceiveMessage(socket_.get())) {
      }
    }
    LetGo();
    bool well = AwaitEnd(root_server_);
    well = AwaitEnd(image_.server) && well;
    ::_exit(well ? 0 : 1);
  }

 private:
  Result<> ServeImage(const ImageSource& image, UniqueFd file) {
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0)
      return ErrnoFail("making the mounts slaves of the host's");
    std::string warning = TRY(CheckExt(file.get()));
    image_ = TRY(ServeExt(image, file.get(), ExtUse::kWrite));
    file.reset();  // and with it our part in its lock: that is fuse2fs's now
    scratch_ =
        TRY(MountNew("tmpfs", {{"mode", "0755"}, {"size", "64k"}}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
    {
      UniqueFd place = TRY(Open(kPlace, O_PATH | O_DIRECTORY));
      TRY(AttachMount(scratch_.get(), place.get()));
      attached_ = true;
    }
    auto prepared = [&]() -> Result<> {
      UniqueFd place = TRY(NeedFolder(scratch_.get(), "image"));
      TRY(AttachMount(image_.mount.get(), place.get()));
      return NeedFolders(image_.mount.get());
    }();
    if (!prepared) return Failure(WithServersWords(std::move(prepared).error(), image_.server));
    UniqueFd tree = TRY(OpenTreeClone(image_.mount.get(), "", false));
    return Answer(socket_.get(), warning, {tree.get(), image_.server.stderr_pipe.get()});
  }

  // What was asked for: the FUSE device first, then the lower trees.
  Result<> ServeRoot() {
    auto message = ReceiveMessage(socket_.get());
    if (!message) return {};  // it was not to be
    if (message->fds.size() < 2) return Fail(Code::kInternal, "a root without lower trees");
    FuseLayers layers{
        .upper = Cat(kPlace, "/image/upper"), .work = Cat(kPlace, "/image/work"), .everyones = everyones_};
    for (std::size_t i = 1; i < message->fds.size(); ++i) {
      std::string name = Cat("lower", i);
      UniqueFd place = TRY(NeedFolder(scratch_.get(), name));
      TRY(AttachMount(message->fds[i].get(), place.get()));
      layers.lowers.push_back(Cat(kPlace, "/", name));
    }
    FuseCommand command = TRY(FuseLayersCommand(layers, message->fds[0].get()));
    command.outlives_us = true;
    root_server_ = TRY(StartFuseServer(command));
    return Answer(socket_.get(), "", {root_server_.stderr_pipe.get()});
  }

  // From here on only fuse-overlayfs, by its open folders, holds the image's file system, and nothing the
  // root.
  void LetGo() {
    socket_.reset();
    if (attached_) ::umount2(kPlace, MNT_DETACH);
    scratch_.reset();
    image_.mount.reset();
    image_.server.stderr_pipe.reset();
    root_server_.stderr_pipe.reset();
  }

  static bool AwaitEnd(const FuseServer& server) {
    if (server.pid < 0) return true;
    auto process = Process::Of(server.pid);
    auto status = process ? process->Wait() : Result<ExitStatus>(Failure(std::move(process).error()));
    return status && !status->signaled();
  }

  UniqueFd socket_, scratch_;
  bool everyones_, attached_ = false;
  FuseImage image_;
  FuseServer root_server_;
};

[[noreturn]] void BecomeWriter(const ImageSource& image, int image_fd, int socket, bool everyones) {
  ::prctl(PR_SET_NAME, "slipway-writer");
  ::setsid();  // who kills all of a terminal's job, or of a job of the shell's, is not to hit this one
  Writer writer(UniqueFd(socket), everyones);
  int null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  bool alone = null_fd >= 0;
  for (int number : {0, 1, 2}) alone = alone && ::dup2(null_fd, number) >= 0;
  if (!alone || !CloseAllBut({image_fd, socket})) ::_exit(1);
  writer.Run(image, UniqueFd(image_fd));
}

}  // namespace

Result<std::optional<ExtWriter>> ExtWriter::StartFor(const LaunchSpec& spec, const std::vector<UniqueFd>& fds,
                                                     const Birth& birth) {
  const Overlay* overlay = WrittenExt(spec);
  if (overlay == nullptr) return std::optional<ExtWriter>();
  if (!birth.own_namespace) {
    return Fail(
        Code::kPermissionDenied, "--overlay ", overlay->name,
        ": an ext3 image is served by programs with rights that only a namespace of your own can give; "
        "--userns makes one");
  }
  SocketEnds ends = TRY(MakeSocketPair(SOCK_SEQPACKET));
  int image_fd = fds.at(static_cast<std::size_t>(overlay->image.fd)).get();
  ExtWriter writer;
  writer.process_ = TRY(Clone3({.flags = CLONE_NEWNS}));
  if (!writer.process_) BecomeWriter(overlay->image, image_fd, ends.b.release(), spec.fakeroot);
  writer.socket_ = std::move(ends.a);
  return std::optional<ExtWriter>(std::move(writer));
}

Result<UniqueFd> ExtWriter::AwaitTree(std::string& warning) {
  Message answer = TRY(HearAnswer(socket_.get(), 2));
  warning = answer.bytes.substr(1);
  image_ = {.stderr_pipe = std::move(answer.fds[1]), .program = "fuse2fs"};
  return std::move(answer.fds[0]);
}

Result<UniqueFd> ExtWriter::MakeRoot(const std::vector<int>& lowers) {
  UniqueFd device = TRY(OpenFuseDevice());
  UniqueFd root = TRY(MountFuseLayers(device.get(), 0));
  std::vector<UniqueFd> trees;
  std::vector<int> sent = {device.get()};
  for (int lower : lowers) {
    trees.push_back(TRY(OpenTreeClone(lower, "", true)));
    sent.push_back(trees.back().get());
  }
  TRY(SendMessage(socket_.get(), Cat(std::string(1, kWell)), sent));
  device.reset();  // or a server that has gone would be waited for
  Message answer = TRY(HearAnswer(socket_.get(), 1));
  root_ = {.stderr_pipe = std::move(answer.fds[0]), .program = "fuse-overlayfs"};
  struct stat info {};
  if (::fstatat(root.get(), "", &info, AT_EMPTY_PATH) < 0)  // answered once it has opened its folders
    return Failure(WithServersWords(ErrnoErrorOf(errno, "looking into the root"), root_));
  return root;
}

Error ExtWriter::WithWords(Error error) const {
  return WithServersWords(std::move(error), root_.stderr_pipe ? root_ : image_);
}

}  // namespace slipway
