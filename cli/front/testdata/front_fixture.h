// SPDX-License-Identifier: Apache-2.0
// `slipway exec` as an ordinary user types it, with images made from a few programs of this host. When run as
// root the commands run as a raw uid in a mount namespace where /dev/fuse is as open as udev makes it.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "base/os/process.h"
#include "base/text/text.h"

namespace slipway {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

inline constexpr uid_t kUser = 20001;

inline std::string Little(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

inline void WriteTo(const std::string& path, const std::string& bytes, unsigned mode = 0644) {
  UniqueFd fd = std::move(*Open(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
  ASSERT_TRUE(WriteAll(fd.get(), bytes));
  ASSERT_EQ(::fchmod(fd.get(), mode), 0);
}

// A SIF with one primary system partition, as the format's description has it.
inline std::string SifAround(const std::string& squashfs, std::uint64_t claimed_size) {
  constexpr std::size_t kTable = 4096, kData = 32768;
  std::string sif = "#!/usr/bin/env run-singularity\n";
  sif.resize(32);
  sif +=
      std::string("SIF_MAGIC\0", 10) + std::string("01\0", 3) + std::string("02\0", 3) + std::string(16, 'u');
  sif += Little(0, 8) + Little(0, 8) + Little(47, 8) + Little(48, 8) + Little(kTable, 8) +
         Little(48 * 585, 8) + Little(kData, 8) + Little(squashfs.size(), 8);
  sif.resize(kTable);
  std::string descriptor = Little(0x4004, 4) + Little(1, 1) + Little(1, 4) + Little(0xF0000001, 4) +
                           Little(0, 4) + Little(kData, 8) + Little(claimed_size, 8);
  descriptor.resize(201);
  descriptor += Little(1, 4) + Little(2, 4) + "02";
  descriptor.resize(585);
  sif += descriptor;
  sif.resize(kData);
  return sif + squashfs;
}

// What one run has besides: variables, and ranges of ids in /etc/subuid (root only).
struct Besides {
  std::string name = "slipway";  // of the program in /bin; another is a link to it
  std::vector<std::pair<std::string, std::string>> env;
  bool ranges = false;
  bool keep_mounts = false;  // the mount namespace is the caller's, as it is
  std::string getent;        // what runs as getent(1), the host's name service (root only)
};

class FrontTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    path_ = *MakeTempDirectory("/tmp", "slipway-front-test-");
    ASSERT_EQ(::chmod(path_.c_str(), 0755), 0);
    for (const char* name :
         {"/root/bin", "/root/etc", "/root/root", "/root/.singularity.d/env", "/home", "/bin", "/bare/bin"})
      ASSERT_TRUE(MakeDirectories(path_ + name));
    // The user may not be able to reach the build folder.
    for (const char* name : {"slipway", "slipway-starter"})
      Copy(Cat(SLIPWAY_BIN_DIR, "/", name), Cat(path_, "/bin/", name));
    for (const char* name : {"sh", "true", "cat", "ls", "id", "env", "sleep", "uname", "mkdir", "rm", "chown",
                             "stat", "mv", "ln", "sync"})
      CopyProgram(name, "/root");
    CopyProgram("true", "/bare");
    WriteTo(path_ + "/root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    WriteTo(path_ + "/root/.singularity.d/env/10-plain.sh", "export FROM_IMAGE=plain\nexport BOTH=image\n");
    WriteTo(path_ + "/root/.singularity.d/env/90-shell.sh", "export FROM_SHELL=\"${FROM_IMAGE} shell\"\n");
    WriteTo(path_ + "/root/.singularity.d/runscript", "#!/bin/sh\necho running \"$@\"\n", 0755);
    WriteTo(path_ + "/root/bin/data", "x\n");
    WriteTo(path_ + "/root/bin/nohashbang", "echo by the shell\n", 0755);
    std::string program = *ReadFile(path_ + "/root/bin/true");
    program[18] = '\x16';  // EM_S390
    program[19] = 0;
    WriteTo(path_ + "/root/bin/foreign", program, 0755);
    auto packed = RunAndCapture({.argv = {"mksquashfs", path_ + "/root", path_ + "/image.sqfs", "-quiet",
                                          "-no-progress", "-all-root"}});
    ASSERT_TRUE(packed && packed->status.wait_status == 0) << "mksquashfs (squashfs-tools) is needed";
    std::string squashfs = *ReadFile(path_ + "/image.sqfs", 64 << 20);
    WriteTo(path_ + "/image.sif", SifAround(squashfs, squashfs.size()));
    WriteTo(path_ + "/short.sif",
            SifAround(squashfs, squashfs.size()).substr(0, 32768 + squashfs.size() / 2));
    WriteTo(path_ + "/cut.sif", SifAround(squashfs, squashfs.size()).substr(0, 5000));
    WriteTo(path_ + "/short.sqfs", squashfs.substr(0, squashfs.size() / 2));
    if (::geteuid() == 0) {
      ASSERT_EQ(::chown((path_ + "/home").c_str(), kUser, kUser), 0);
      WriteTo(path_ + "/passwd", *ReadFile("/etc/passwd") + "fronter:x:20001:20001::/:/bin/sh\n");
      for (const char* file : {"/subuid", "/subgid"}) WriteTo(path_ + file, "20001:700000:65536\n");
    }
  }
  static void TearDownTestSuite() {
    // The kernel leaves a folder of mode 0 in an overlay's workdir.
    ASSERT_TRUE(RunAndCapture({.argv = {"chmod", "-R", "u+rwX", path_}}));
    ASSERT_TRUE(RemoveTree(path_));
  }

  // A folder of the user's.
  static std::string MakeFolder(const std::string& name) {
    std::string path = path_ + name;
    EXPECT_TRUE(MakeDirectories(path));
    EXPECT_TRUE(::geteuid() != 0 || ::chown(path.c_str(), kUser, kUser) == 0);
    return path;
  }
  static void Copy(const std::string& from, const std::string& to) {
    WriteTo(to, *ReadFile(from, 64 << 20), 0755);
  }
  static void CopyProgram(const std::string& name, const std::string& root) {
    Copy("/bin/" + name, Cat(path_, root, "/bin/", name));
    auto libraries = RunAndCapture({.argv = {"ldd", "/bin/" + name}});
    ASSERT_TRUE(libraries);
    for (const std::string& line : Split(libraries->out, '\n')) {
      auto start = line.find('/');
      if (start == std::string::npos) continue;
      std::string library = line.substr(start, line.find(' ', start) - start);
      std::string copy = Cat(path_, root, library);
      ASSERT_TRUE(MakeDirectories(copy.substr(0, copy.rfind('/'))));
      Copy(library, copy);
    }
  }

  struct Running {
    Process process;
    UniqueFd out, err;  // read ends
  };
  struct Ended {
    int code = -1;
    std::string out, err;
  };

  // newuidmap asks who the caller is and what is lent to him.
  static bool LendRanges() {
    for (const char* file : {"passwd", "subuid", "subgid"}) {
      if (::mount(Cat(path_, "/", file).c_str(), Cat("/etc/", file).c_str(), nullptr, MS_BIND, nullptr) < 0)
        return false;
    }
    return true;
  }

  [[noreturn]] static void BecomeUser(std::vector<std::string> argv, const Besides& besides, int out_fd,
                                      int err_fd) {
    if (::geteuid() == 0) {
      bool ready =
          (besides.keep_mounts || (::unshare(CLONE_NEWNS) == 0 &&
                                   ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0)) &&
          ::mount("t", "/mnt", "tmpfs", 0, nullptr) == 0 &&
          ::mknod("/mnt/fuse", S_IFCHR | 0666, makedev(10, 229)) == 0 && ::chmod("/mnt/fuse", 0666) == 0 &&
          (::access("/dev/fuse", F_OK) < 0 ||
           ::mount("/mnt/fuse", "/dev/fuse", nullptr, MS_BIND, nullptr) == 0) &&
          (!besides.ranges || LendRanges()) &&
          (besides.getent.empty() ||
           ::mount(besides.getent.c_str(), "/usr/bin/getent", nullptr, MS_BIND, nullptr) == 0) &&
          ::setgroups(0, nullptr) == 0 && ::setresgid(kUser, kUser, kUser) == 0 &&
          ::setresuid(kUser, kUser, kUser) == 0;
      if (!ready) ::_exit(99);
    }
    ::setenv("HOME", (path_ + "/home").c_str(), 1);
    ::setenv("OUTSIDE", "host", 1);
    ::setenv("BOTH", "host", 1);
    for (const auto& [name, value] : besides.env) ::setenv(name.c_str(), value.c_str(), 1);
    int null_fd = ::open("/dev/null", O_RDONLY);
    if (::chdir((path_ + "/home").c_str()) < 0 || ::dup2(null_fd, 0) < 0 || ::dup2(out_fd, 1) < 0 ||
        ::dup2(err_fd, 2) < 0)
      ::_exit(99);
    argv.insert(argv.begin(), Cat(path_, "/bin/", besides.name));
    std::vector<char*> pointers;
    for (std::string& argument : argv) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ::execv(pointers[0], pointers.data());
    ::_exit(99);
  }

  static Running Start(const std::vector<std::string>& argv, const Besides& besides = {}) {
    PipeEnds out = std::move(*MakePipe()), err = std::move(*MakePipe());
    Process process = std::move(*Clone3({}));
    if (!process) BecomeUser(argv, besides, out.write.get(), err.write.get());
    return {std::move(process), std::move(out.read), std::move(err.read)};
  }
  static Ended Finish(Running running) {
    Ended ended;
    // Both are short here: neither pipe can fill while the other is read.
    ended.out = *ReadAll(running.out.get(), 1 << 20);
    ended.err = *ReadAll(running.err.get(), 1 << 20);
    ended.code = running.process.Wait()->exit_code();
    return ended;
  }
  static Ended Slipway(const std::vector<std::string>& argv, const Besides& besides = {}) {
    return Finish(Start(argv, besides));
  }
  static Ended Exec(std::vector<std::string> argv, const std::string& image = "/root") {
    argv.insert(argv.begin(), {"exec", path_ + image});
    return Slipway(argv);
  }
  static bool HasFuse() { return ::access("/dev/fuse", ::geteuid() == 0 ? F_OK : R_OK | W_OK) == 0; }
  static std::string ReadLine(int fd) {
    std::string line;
    char c = 0;
    while (::read(fd, &c, 1) == 1 && c != '\n') line += c;
    return line;
  }

  static inline std::string path_;
};

}  // namespace slipway
