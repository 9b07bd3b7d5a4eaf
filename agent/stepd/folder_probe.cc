// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/folder_probe.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <system_error>
#include <thread>

#include "base/os/fd.h"

namespace slipway {

struct FolderProbe::Shared {
  std::vector<std::string> folders;
  std::function<void(const std::string&)> look;
  std::atomic<std::size_t> at = 0;  // the one that is looked at; behind the last: all have answered
  UniqueFd done;                    // eventfd
};

std::vector<std::string> FoldersOf(const StepSpec& spec) {
  std::vector<std::string> folders;
  auto add = [&](const std::string& path) {
    if (path.starts_with('/') && path != "/" && std::ranges::find(folders, path) == folders.end())
      folders.push_back(path);
  };
  add(spec.home);
  add(spec.cwd);
  for (const std::string* file : {&spec.stdin_path, &spec.stdout_path, &spec.stderr_path}) {
    std::size_t slash = file->rfind('/');
    if (slash != std::string::npos)
      add(file->starts_with('/') ? file->substr(0, slash) : Cat(spec.cwd, "/", file->substr(0, slash)));
  }
  for (const Mount& mount : spec.mounts) {
    if (mount.type == Mount::kBind) add(mount.source);
  }
  return folders;
}

void LookAtFolder(const std::string& path) {
  struct stat status {};
  ::stat(path.c_str(), &status);
  // An open goes to the server even where the attributes are still remembered.
  int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY);
  if (fd >= 0) ::close(fd);
}

FolderProbe::~FolderProbe() {
  loop_.Cancel(timer_);
  if (shared_) loop_.Unwatch(watch_);
}

Result<> FolderProbe::Begin(std::vector<std::string> folders, std::chrono::nanoseconds deadline, Done done,
                            std::function<void(const std::string&)> look) {
  auto shared = std::make_shared<Shared>();
  shared->folders = std::move(folders);
  shared->look = std::move(look);
  shared->done = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared->done) return ErrnoFail("eventfd");
  watch_ = TRY(loop_.Watch(shared->done.get(), EPOLLIN, [this](std::uint32_t) { Finish({}); }));
  shared_ = shared;
  done_ = std::move(done);
  timer_ = loop_.After(deadline, [this] {
    std::size_t at = shared_->at;
    Finish(at < shared_->folders.size() ? shared_->folders[at] : std::string());
  });
  // Signals are the loop's.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<> started;
  try {
    std::thread([shared] {
      for (const std::string& folder : shared->folders) {
        shared->look(folder);
        ++shared->at;
      }
      std::uint64_t one = 1;
      [[maybe_unused]] auto n = ::write(shared->done.get(), &one, sizeof one);
    }).detach();
  } catch (const std::system_error& error) {
    started = Fail(Code::kResourceExhausted, "a thread that looks at the step's folders: ", error.what());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

void FolderProbe::Finish(std::string silent) {
  loop_.Cancel(timer_);
  loop_.Unwatch(watch_);
  shared_.reset();  // the thread, should it come back, has its own
  std::exchange(done_, nullptr)(std::move(silent));
}

}  // namespace slipway
