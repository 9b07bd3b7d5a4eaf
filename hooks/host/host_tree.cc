// SPDX-License-Identifier: Apache-2.0
#include "hooks/host/host_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "base/os/link.h"
#include "base/os/mount.h"
#include "base/text/text.h"

namespace slipway {
namespace {

constexpr std::size_t kNamesMax = 65536;

std::string PathOfFd(int fd) { return Cat("/proc/self/fd/", fd); }

std::optional<std::string> RealPath(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return std::nullopt;
  std::string real = resolved;
  std::free(resolved);
  return real;
}

}  // namespace

Result<HostTree> HostTree::At(const std::string& root) {
  auto real = RealPath(root);
  if (!real) return ErrnoFail("the host's tree", root);
  UniqueFd fd = TRY(Open(*real, O_PATH | O_DIRECTORY));
  return HostTree(*real == "/" ? "" : *real, std::move(fd));
}

Result<UniqueFd> HostTree::OpenFile(const std::string& path) const {
  // First as a mere path: what opens a device or a FIFO may wait or wake something.
  auto opened_path = OpenInRoot(fd_.get(), path, O_PATH);
  if (!opened_path) return Failure(ErrnoErrorOf(opened_path.error().sys_errno, "reading", path));
  UniqueFd found = std::move(*opened_path);
  struct stat info {};
  if (::fstat(found.get(), &info) < 0) return ErrnoFail("stat", path);
  if (!S_ISREG(info.st_mode)) return Fail(Code::kFailedPrecondition, path, " is not a file");
  auto opened = Open(PathOfFd(found.get()), O_RDONLY | O_NONBLOCK);
  if (opened) return opened;
  return Failure(ErrnoErrorOf(opened.error().sys_errno, "reading", path));
}

Result<std::string> HostTree::Read(const std::string& path, std::size_t bytes_max) const {
  UniqueFd fd = TRY(OpenFile(path));
  return TRY_CONTEXT(ReadAll(fd.get(), bytes_max), path);
}

std::optional<std::string> HostTree::Head(const std::string& path, std::size_t bytes) const {
  auto fd = OpenFile(path);
  if (!fd) return std::nullopt;
  std::string head(bytes, '\0');
  ssize_t got = ::pread(fd->get(), head.data(), head.size(), 0);
  if (got < 0) return std::nullopt;
  head.resize(static_cast<std::size_t>(got));
  return head;
}

std::optional<std::string> HostTree::Text(const std::string& path) const {
  auto text = Read(path);
  if (!text) return std::nullopt;
  return std::string(Trim(*text));
}

std::optional<std::int64_t> HostTree::Number(const std::string& path) const {
  auto text = Text(path);
  if (!text || text->empty()) return std::nullopt;
  char* end = nullptr;
  errno = 0;
  bool hex = text->starts_with("0x");
  std::int64_t number = std::strtoll(text->c_str(), &end, hex ? 16 : 10);
  if (errno != 0 || *end != '\0') return std::nullopt;
  return number;
}

std::vector<std::string> HostTree::Names(const std::string& folder) const {
  std::vector<std::string> names;
  auto found = OpenInRoot(fd_.get(), folder, O_PATH | O_DIRECTORY);
  if (!found) return names;
  DIR* dir = ::opendir(PathOfFd(found->get()).c_str());
  if (dir == nullptr) return names;
  while (dirent* entry = ::readdir(dir)) {
    std::string name = entry->d_name;
    if (name != "." && name != ".." && names.size() < kNamesMax) names.push_back(std::move(name));
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

bool HostTree::Has(const std::string& path) const { return OpenInRoot(fd_.get(), path, O_PATH).has_value(); }

bool HostTree::HasDevice(const std::string& path) const {
  auto found = OpenInRoot(fd_.get(), path, O_PATH);
  struct stat info {};
  if (!found || ::fstat(found->get(), &info) < 0) return false;
  return S_ISCHR(info.st_mode) || (recorded() && S_ISREG(info.st_mode));
}

std::optional<std::string> HostTree::Resolve(const std::string& path) const {
  auto found = OpenInRoot(fd_.get(), path, O_PATH);
  if (!found) return std::nullopt;
  std::string real = ReadLink(PathOfFd(found->get())).value_or("");
  if (real.empty() || !real.starts_with(root_)) return std::nullopt;
  real.erase(0, root_.size());
  return real.empty() ? "/" : real;
}

std::string HostTree::Identity(const std::string& path) const {
  auto found = OpenInRoot(fd_.get(), path, O_PATH);
  struct stat info {};
  if (!found || ::fstat(found->get(), &info) < 0) return "-";
  return Cat(static_cast<std::uint64_t>(info.st_dev), ":", info.st_ino, ":", info.st_size, ":",
             info.st_ctim.tv_sec, ".", info.st_ctim.tv_nsec);
}

std::string HostTree::FromHere(const std::string& path) const { return root_ + path; }

}  // namespace slipway
