// SPDX-License-Identifier: Apache-2.0
// The broker as it runs, with, in the place of the container's code, an init that tries what it must not be
// able to do.
#pragma once

#include "base/os/testdata/deaf_fuse.h"
#include "launcher/broker/broker.h"
#include "launcher/broker/testdata/broker_fixture.h"

namespace slipway {

inline std::string Name(int error) { return error == 0 ? "OK" : strerrorname_np(error); }

inline std::string Attack(const std::string& image) {
  std::string report = "attack";
  auto note = [&](const char* what, int rc) { report += Cat(" ", what, "=", Name(rc < 0 ? errno : 0)); };
  for (auto [what, attribute] :
       {std::pair{"ro", MOUNT_ATTR_RDONLY}, {"nosuid", MOUNT_ATTR_NOSUID}, {"nodev", MOUNT_ATTR_NODEV}}) {
    mount_attr clear{};
    clear.attr_clr = static_cast<std::uint64_t>(attribute);
    note(what, ::mount_setattr(AT_FDCWD, image.c_str(), 0, &clear, sizeof clear));
  }
  note("remount", ::mount(nullptr, image.c_str(), nullptr, MS_REMOUNT | MS_BIND, nullptr));
  note("umount", ::umount2(image.c_str(), 0));
  note("detach", ::umount2(image.c_str(), MNT_DETACH));
  UniqueFd clone(::open_tree(AT_FDCWD, image.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  note("clone", clone.get());
  mount_attr clear{};
  clear.attr_clr = MOUNT_ATTR_NODEV;
  note("clone_nodev", ::mount_setattr(clone.get(), "", AT_EMPTY_PATH, &clear, sizeof clear));
  return report;
}

[[noreturn]] inline void FakeInit(int control, const std::string& image) {
  auto say = [&](const std::string& line) { [[maybe_unused]] auto sent = SendMessage(control, line); };
  uid_t r, e, s;
  ::getresuid(&r, &e, &s);
  say(Cat("ids ", r, " ", e, " ", s, " gid ", ::getgid(), " dumpable ", ::prctl(PR_GET_DUMPABLE)));
  say(Cat("user ", Link("/proc/self/ns/user")));
  say(Cat("ipc ", Link("/proc/self/ns/ipc")));
  say(Cat("mnt ", Link("/proc/self/ns/mnt")));
  auto pid = [] { return Link("/proc/self"); };  // as the host counts it, whose procfs this still is
  say(Cat("pid ", pid()));
  say(Cat("inside ", ::getpid()));
  int fds = 0;
  for (int fd = 3; fd < 256; ++fd) fds += ::fcntl(fd, F_GETFD) >= 0;
  say(Cat("fds ", fds));
  say(Cat("streams ", Link("/proc/self/fd/0"), " ", Link("/proc/self/fd/2"), " cwd ",
          Link("/proc/self/cwd")));
  say(Cat("file ", ReadFile(image + "/hello").value_or("unreadable")));
  say(Attack(image));
  say(Cat("escape ", Name(::setresuid(-1, 0, -1) < 0 ? errno : 0)));
  for (;;) {
    auto message = ReceiveMessage(control);
    if (!message) ::_exit(0);
    if (message->bytes == "fork" && ::fork() == 0) {
      for (;;) ::pause();
    }
    // A process of the container that no signal ends.
    if (message->bytes == "deaf" && ::fork() == 0)
      AnswerNobody("/tmp", Asker::kOurselves, [&] { say(Cat("deaf ", pid())); });
    // As much as goes into a file, and how it ended.
    if (message->bytes.starts_with("fill ")) {
      UniqueFd file = Open(message->bytes.substr(5), O_WRONLY | O_CREAT, 0600).value_or(UniqueFd());
      const std::string page(4096, 'x');
      int pages = 0;
      while (::write(file.get(), page.data(), page.size()) == 4096) ++pages;
      say(Cat(message->bytes, ": ", pages, " ", Name(errno)));
    }
    if (message->bytes.starts_with("read ")) {
      auto text = ReadFile(message->bytes.substr(5));
      say(Cat(message->bytes, ": ", text ? Cat(text->size(), " bytes") : Name(text.error().sys_errno)));
    }
    if (message->bytes.starts_with("access ") && ::fork() == 0) {
      say(Cat("asks ", pid()));
      ::_exit(::access(message->bytes.c_str() + 7, F_OK));
    }
    say("did " + message->bytes);
  }
}

inline constexpr const char* kLocked =
    " ro=EPERM nosuid=EPERM nodev=EPERM remount=EPERM umount=EINVAL detach=EINVAL clone=OK clone_nodev=EPERM";

struct RealBroker : BrokerFixture {
  Result<> BeBroker() override {
    return RunBroker(conf,
                     {.run_init = [](const Birth& birth) { FakeInit(birth.control_fd, birth.image_path); },
                      .run_rootless = [](const Birth&) { ::_exit(1); }});
  }
};

}  // namespace slipway
