// SPDX-License-Identifier: Apache-2.0
// Stands in for slipway-stepd: writes what it finds about itself and what the init says to its status file,
// one line each, and ends when it is told to by a line on its socket ("exit N").
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "base/os/socket.h"
#include "launcher/spec/init_protocol.h"
#include "launcher/spec/launch_spec.h"

extern char** environ;

namespace {
using namespace slipway;

void Note(const std::string& line) { [[maybe_unused]] auto written = WriteAll(6, line + "\n"); }

std::string OpenFds() {
  std::vector<int> fds;
  DIR* dir = opendir("/proc/self/fd");
  while (dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.' && std::atoi(entry->d_name) != dirfd(dir))
      fds.push_back(std::atoi(entry->d_name));
  }
  closedir(dir);
  std::sort(fds.begin(), fds.end());
  std::string text;
  for (int fd : fds) text += Cat(" ", fd);
  return text;
}

void DescribeSelf() {
  uid_t r, e, s;
  getresuid(&r, &e, &s);
  gid_t groups[64];
  int n = getgroups(64, groups);
  std::string list;
  for (int i = 0; i < n; ++i) list += Cat(" ", groups[i]);
  Note(Cat("stepd ids ", r, " ", e, " ", s, " gid ", getgid(), " groups", list));
  Note(Cat("stepd root ", setresuid(-1, 0, -1) == 0 ? "comes back" : "is gone"));
  Note(Cat("stepd no_new_privs ", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
  Note(Cat("stepd fds", OpenFds()));
  int variables = 0;
  for (char** v = environ; *v != nullptr; ++v) ++variables;
  Note(Cat("stepd env ", variables, " ", environ[0] ? environ[0] : ""));
  Note(Cat("stepd pid ", getpid(), " session ", getsid(0) == getpid() ? "own" : "not its own"));
}

// With a LaunchSpec as its spec the real container code is driven: each of its frames becomes a line.
void NoteFrame(const std::string& bytes) {
  auto frame = SplitFrame<InitFrame>(bytes);
  if (frame && frame->kind == InitFrame::kReady) return Note("container ready");
  if (frame && frame->kind == InitFrame::kStarted) return Note("task started");
  if (frame && frame->kind == InitFrame::kExited) {
    auto exited = Decode<TaskExited>(frame->payload, "exited");
    if (exited) return Note(Cat("task exited ", exited->wait_status));
  }
  if (frame && frame->kind == InitFrame::kFailed) {
    auto failed = Decode<InitFailed>(frame->payload, "failed");
    if (failed) return Note(Cat("container failed ", failed->message));
  }
  Note("init " + bytes);
}

// The spec is a LaunchSpec: it goes on to the init, with the image where there is one to be served by
// squashfuse.
void Launch(const std::string& spec) {
  auto launch = DecodeLaunchSpec(spec);
  if (!launch) return Note("spec " + launch.error().message);
  [[maybe_unused]] auto sent = SendMessage(5, EncodeFrame(InitFrame::kLaunch, LaunchRequest{}), {3});
  std::vector<UniqueFd> fds;
  if (launch->image.kind == ImageKind::kSquashfuse) fds.push_back(Open(launch->image.path, O_RDONLY).value());
  fds.push_back(UniqueFd(6));
  std::vector<int> raw;
  for (const UniqueFd& fd : fds) raw.push_back(fd.get());
  [[maybe_unused]] auto more = SendMessage(5, EncodeFrame(InitFrame::kFds, LaunchRequest{}), raw);
  [[maybe_unused]] int ours = fds.back().release();
}
}  // namespace

int main(int, char** argv) {
  prctl(PR_SET_DUMPABLE, 0);
  DescribeSelf();
  Note(Cat("stepd program ", argv[0]));
  auto spec = ReadSealedMemfd(3, 1 << 20);
  if (spec && spec->starts_with("exit ")) return std::atoi(spec->c_str() + 5);
  if (spec && !spec->starts_with("fake")) {
    Launch(*spec);
  }
  bool init_lives = true;
  for (;;) {
    pollfd watched[] = {{4, POLLIN, 0}, {init_lives ? 5 : -1, POLLIN, 0}};
    if (poll(watched, 2, -1) < 0) return 99;
    if (watched[1].revents != 0) {
      auto message = ReceiveMessage(5);
      if (message)
        NoteFrame(message->bytes);
      else
        Note("init gone");
      init_lives = static_cast<bool>(message);
    }
    if (watched[0].revents == 0) continue;
    auto socket = AcceptUnix(4);
    if (!socket) continue;
    auto line = ReadAll(socket->get(), 4096);
    if (line && line->starts_with("exit ")) return std::atoi(line->c_str() + 5);
    if (line && line->starts_with("tell ")) [[maybe_unused]]
      auto sent = SendMessage(5, line->substr(5));
  }
}
