// SPDX-License-Identifier: Apache-2.0
// What the container's init (our code, with the user's rights) is told to build and run: the user's side of a
// start. It comes from slipway-stepd or from `slipway exec`, in a sealed memfd, so it cannot change after it
// was checked. Who runs, on which image of the store, and with what limits is *not* in it when a privileged
// half exists: that half hands those over by itself (container/birth.h).
//
// Descriptors travel beside the spec in the control socket's messages, in the order of the spec's `fd`
// numbers: an `fd` field is an index into them, -1 means none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/wire/wire.h"
#include "launcher/spec/confinement.h"
#include "launcher/spec/hook.h"
#include "launcher/spec/resource_limits.h"
#include "launcher/spec/terminal.h"

namespace slipway {

enum class ImageKind : std::uint8_t {
  kInherited = 1,   // attached by the privileged half in the mount namespace the child was born with
  kSquashfuse = 2,  // a squashfs in the file `fd`, at `offset`: served by squashfuse inside
  kDirectory = 3,   // an unpacked root at `path`
  kFuse2fs = 4,  // an ext2/3/4 file system in the file `fd`, at `offset`: served by fuse2fs; never the root
};
struct ImageSource {
  ImageKind kind = ImageKind::kInherited;
  std::string path;
  std::int32_t fd = -1;
  std::uint64_t offset = 0, size = 0;  // bytes, of the squashfs within the file
};
void Fields(auto& archive, IsA<ImageSource> auto& v) { archive(v.kind, v.path, v.fd, v.offset, v.size); }

struct Mount {
  enum Type : std::uint8_t {
    kBind =
        1,  // source → target; made (file or directory) in the container's own layer where the image lacks it
    kTmpfs = 2,  // `options`: size=…,mode=…
    kProc = 3,   // fresh in a PID namespace; where the kernel refuses one, the host's is bound
    kDev = 4,    // minimal /dev: null zero full random urandom tty, pts, shm, mqueue, fd links; `options`:
                 // "nopts", "ownshm" (not the node's)
    kSys = 5,    // the host's /sys, read-only where that can be had
    kImage = 6,  // the folder or file `options` (absolute) of the file system in `image`, read-only; `source`
                 // is its name
  };
  // Of the host's later mounts below the source: seen (slave, the default) or not.
  enum Propagation : std::uint8_t { kSlave = 0, kPrivate = 1 };
  Type type = kBind;
  std::string source, target;
  std::string options;
  bool read_only = false;
  bool optional = false;  // a source that does not exist is skipped, not an error ($HOME, $PWD, localtime)
  Propagation propagation = kSlave;
  ImageSource image;    // of kImage
  bool forced = false;  // the admin's own; never on the wire: the container's child adds it
};
void Fields(auto& archive, IsA<Mount> auto& v) {
  archive(v.type, v.source, v.target, v.options, v.read_only, v.optional, v.propagation, v.image);
}

// What is laid over the image. A folder that is written to holds the changes in `upper` (made when missing)
// and needs `work` beside it, as Apptainer's do; one that is only read may hold them in `upper` or be the
// tree itself.
struct Overlay {
  ImageSource image;  // kDirectory, kSquashfuse, kFuse2fs
  std::string name;   // for the user: the path as he gave it
  bool writable = false;
};
void Fields(auto& archive, IsA<Overlay> auto& v) { archive(v.image, v.name, v.writable); }

// What becomes of the image where a step wants more than to read it.
struct Writing {
  bool in_place = false;          // the image itself, which must be a directory; excludes the others
  std::vector<Overlay> overlays;  // later ones lie above earlier ones; only the last may be writable
  std::string tmpfs_size;         // of LaunchSpec::writable_tmpfs, as tmpfs(5) has it; empty: half of memory
};
void Fields(auto& archive, IsA<Writing> auto& v) { archive(v.in_place, v.overlays, v.tmpfs_size); }

// A file whose content we make (a batch script), placed over or into the image.
struct InjectedFile {
  std::string target, content;
  std::uint32_t mode = 0644;
  // `content` is one line of passwd(5) or group(5): it is added to the image's own file, unless that has an
  // entry of the same name or number already.
  bool account_line = false;
};
void Fields(auto& archive, IsA<InjectedFile> auto& v) {
  archive(v.target, v.content, v.mode, v.account_line);
}

struct Task {
  std::uint32_t rank = 0;        // global
  std::vector<std::string> env;  // NAME=value, on top of the spec's
  std::int32_t stdin_fd = -1, stdout_fd = -1,
               stderr_fd = -1;      // -1: /dev/null for stdin, the init's own otherwise
  std::vector<std::uint32_t> cpus;  // allowed processors; empty: as inherited
  std::int32_t kept_fd = -1;        // stays open in the task, which finds its number in this variable
  std::string kept_fd_variable;
  bool controlling_terminal = false;  // stdin_fd is a terminal for a session of its own
  // stdin_fd is a socket: the task makes itself a terminal of the container's /dev/pts, sends the other side
  // of it there in one message, and has it as its standard streams and the controlling one of its session.
  bool own_terminal = false;
  TerminalSize terminal_size;
};
void Fields(auto& archive, IsA<Task> auto& v) {
  archive(v.rank, v.env, v.stdin_fd, v.stdout_fd, v.stderr_fd, v.cpus, v.kept_fd, v.kept_fd_variable,
          v.controlling_terminal, v.own_terminal, v.terminal_size);
}

struct LaunchSpec {
  std::uint32_t version = 1;
  ImageSource image;
  bool pid_namespace =
      true;  // rootless only asks; where /proc cannot be had there is none (reported in kReady)
  bool writable_tmpfs = false;
  Writing writing;
  std::string hostname;        // empty: the host's
  bool uts_namespace = false;  // a hostname makes one too
  bool net_namespace = false;  // with a loopback device and nothing else
  // The tasks are root of their user namespace and keep all its capabilities. The maps are not the spec's to
  // choose: whoever makes the namespace has decided about them.
  bool fakeroot = false;
  std::string app;            // of /scif/apps; its environment is evaluated after the image's
  bool explain = false;       // InitReady says what was made
  std::vector<Mount> mounts;  // in order
  std::vector<InjectedFile> files;
  std::vector<std::string> argv;  // of every task; argv[0] is looked up in the container's PATH
  std::vector<std::string> env;   // the whole environment, NAME=value
  bool image_environment =
      true;         // then the image's own (/.singularity.d/env/*.sh) is applied, evaluated once
  std::string cwd;  // falls back to / with a warning line when it is not there
  std::uint32_t umask = 022;
  std::uint32_t fd_count = 0;  // how many descriptors travel with the spec
  std::vector<Task> tasks;     // at least one
  Confinement confinement;
  std::vector<Hook> hooks;                     // in order within each stage
  std::vector<ResourceLimit> resource_limits;  // of every task
};
void Fields(auto& archive, IsA<LaunchSpec> auto& v) {
  archive(v.version, v.image, v.pid_namespace, v.writable_tmpfs, v.writing, v.hostname, v.uts_namespace,
          v.net_namespace, v.fakeroot, v.app, v.explain, v.mounts, v.files, v.argv, v.env,
          v.image_environment, v.cwd, v.umask, v.fd_count, v.tasks, v.confinement, v.hooks,
          v.resource_limits);
}

inline constexpr std::size_t kLaunchSpecBytesMax = 32 << 20;

// Encodes; and the reverse with every bound checked: version, enumerators, fd indices < fd_count, at least
// one task, no empty argv, absolute targets without NUL, NAME=value in env. kInvalidArgument names the field.
std::string EncodeLaunchSpec(const LaunchSpec& spec);
Result<LaunchSpec> DecodeLaunchSpec(std::string_view bytes);

}  // namespace slipway
