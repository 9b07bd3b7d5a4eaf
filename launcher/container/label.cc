// SPDX-License-Identifier: Apache-2.0
#include "launcher/container/label.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace slipway {
namespace {

constexpr std::size_t kLabelBytesMax = 4096;

Result<UniqueFd> OpenAttribute(int proc_fd, const char* name) {
  open_how how{};
  how.flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  std::string path = Cat("thread-self/attr/", name);
  long fd = ::syscall(SYS_openat2, proc_fd, path.c_str(), &how, sizeof how);
  if (fd < 0) return ErrnoFail("open", Cat("/proc/", path));
  UniqueFd opened(static_cast<int>(fd));
  struct statfs where {};
  if (::fstatfs(opened.get(), &where) < 0) return ErrnoFail("fstatfs", Cat("/proc/", path));
  if (where.f_type != PROC_SUPER_MAGIC)
    return Fail(Code::kFailedPrecondition, "/proc/", path, " is not the kernel's: something else lies there");
  return opened;
}

// One write is one label: a second would be another word to the kernel.
Result<> WriteAndReadBack(int fd, const std::string& text, const std::string& label) {
  ssize_t n = ::write(fd, text.data(), text.size());
  if (n < 0) return ErrnoFail("write");
  char back[kLabelBytesMax];
  ssize_t got = ::pread(fd, back, sizeof back, 0);
  if (got < 0) return ErrnoFail("read");
  std::string_view now(back, static_cast<std::size_t>(got));
  bool same = now.starts_with(label) &&
              (now.size() == label.size() || now[label.size()] <= ' ');  // "profile (enforce)\n"
  if (static_cast<std::size_t>(n) != text.size() || !same)
    return Fail(Code::kFailedPrecondition, "the kernel did not keep it");
  return {};
}

Result<> Take(int proc_fd, const char* name, const std::string& text, const std::string& label) {
  UniqueFd attribute = TRY(OpenAttribute(proc_fd, name));
  return WriteAndReadBack(attribute.get(), text, label);
}

Failure Refused(const char* module, const std::string& label, const Error& why) {
  bool absent = why.sys_errno == ENOENT || why.sys_errno == EINVAL || why.sys_errno == ENOTDIR;
  return Fail(Code::kFailedPrecondition, "the ", module, " label '", label,
              "' cannot be applied: ", why.message,
              absent ? Cat(" (does this host run ", module, ", and know that label?)") : std::string(),
              "; nothing was started without it");
}

}  // namespace

Result<> TakeLabelAtExec(int proc_fd, const Confinement& confinement) {
  if (const std::string& profile = confinement.apparmor_profile; !profile.empty()) {
    // The folder of its own says for sure whose attribute it is; every AppArmor since Linux 5.8 has it.
    if (auto taken = Take(proc_fd, "apparmor/exec", Cat("exec ", profile), profile); !taken)
      return Refused("AppArmor", profile, taken.error());
  }
  if (const std::string& label = confinement.selinux_label; !label.empty()) {
    if (auto taken = Take(proc_fd, "exec", label, label); !taken)
      return Refused("SELinux", label, taken.error());
  }
  return {};
}

}  // namespace slipway
