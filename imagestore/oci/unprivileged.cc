// SPDX-License-Identifier: Apache-2.0
#include "imagestore/oci/unprivileged.h"

#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "base/os/fd.h"

namespace slipway::oci {

namespace {

constexpr uid_t kNobody = 65534;
constexpr std::size_t kAnswerMax = 64 << 20;

// Over the pipe: 'p' and a number, any times; then 'o' and the answer, or 'e', a code and a message.

Result<> Send(int fd, char kind, std::uint64_t number, std::string_view bytes = {}) {
  char raw[9];
  raw[0] = kind;
  std::memcpy(raw + 1, &number, sizeof number);
  TRY(WriteAll(fd, {raw, sizeof raw}));
  return WriteAll(fd, bytes);
}

Result<> DropRights() {
  if (::setgroups(0, nullptr) < 0 || ::setresgid(kNobody, kNobody, kNobody) < 0 ||
      ::setresuid(kNobody, kNobody, kNobody) < 0)
    return ErrnoFail("giving up root's rights");
  if (::setuid(0) == 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return Fail(Code::kInternal, "root's rights could not be given up for good");
  return {};
}

[[noreturn]] void Child(const UnprivilegedWork& work, int fd) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto run = [&]() -> Result<std::string> {
    TRY(DropRights());
    return work.work([fd](std::uint64_t number) { (void)Send(fd, 'p', number); });
  };
  auto answer = run();
  auto sent =
      answer ? Send(fd, 'o', answer->size(), *answer)
             : Send(fd, 'e',
                    static_cast<std::uint64_t>(answer.error().code) << 32 | answer.error().message.size(),
                    answer.error().message);
  ::_exit(sent ? 0 : 1);
}

// False at the end of the pipe.
Result<bool> ReadWhole(int fd, char* to, std::size_t size, const std::atomic<bool>* cancelled) {
  for (std::size_t done = 0; done < size;) {
    pollfd ready{fd, POLLIN, 0};
    int polled = ::poll(&ready, 1, 100);
    if (cancelled != nullptr && cancelled->load()) return Fail(Code::kCancelled, "cancelled");
    if (polled <= 0) continue;
    ssize_t n = ::read(fd, to + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoFail("read");
    if (n == 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

Result<std::string> Answer(int fd, const UnprivilegedWork& work) {
  for (;;) {
    char raw[9];
    std::uint64_t number;
    if (!TRY(ReadWhole(fd, raw, sizeof raw, work.cancelled)))
      return Fail(Code::kInvalidArgument,
                  "the image ended the process that took it apart; it is damaged or hostile");
    std::memcpy(&number, raw + 1, sizeof number);
    if (raw[0] == 'p') {
      if (work.reported) work.reported(number);
      continue;
    }
    // The child has read hostile bytes: what it says of sizes is not believed.
    std::uint64_t size = raw[0] == 'e' ? number & 0xFFFFFFFF : number;
    if ((raw[0] != 'o' && raw[0] != 'e') || size > kAnswerMax)
      return Fail(Code::kInvalidArgument, "the process that took the image apart went mad");
    std::string bytes(size, '\0');
    if (!TRY(ReadWhole(fd, bytes.data(), bytes.size(), work.cancelled)))
      return Fail(Code::kInvalidArgument, "the process that took the image apart ended early");
    if (raw[0] == 'o') return bytes;
    auto code = static_cast<int>(number >> 32);
    return Fail(code >= 1 && code <= 16 ? static_cast<Code>(code) : Code::kUnknown, bytes);
  }
}

class Beside {
 public:
  explicit Beside(const UnprivilegedWork& work) : work_(work) {
    if (work.beside) thread_ = std::thread([this] { done_ = work_.beside(); });
  }
  ~Beside() {
    if (thread_.joinable()) thread_.join();
  }
  // What became of both.
  Result<std::string> Join(Result<std::string> answer) {
    bool told = !answer && thread_.joinable() && work_.gives_up && work_.gives_up(answer.error());
    if (thread_.joinable()) thread_.join();
    if (!told || done_ || done_.error().code != Code::kCancelled) TRY(std::move(done_));
    return answer;
  }

 private:
  const UnprivilegedWork& work_;
  Result<> done_;
  std::thread thread_;
};

}  // namespace

Result<std::string> Unprivileged(const UnprivilegedWork& work) {
  if (::geteuid() != 0) {
    Beside beside(work);
    return beside.Join(work.work([&work](std::uint64_t number) {
      if (work.reported) work.reported(number);
    }));
  }
  PipeEnds pipe = TRY(MakePipe());
  pid_t pid = ::fork();
  if (pid < 0) return ErrnoFail("fork");
  if (pid == 0) {
    pipe.read.reset();
    Child(work, pipe.write.get());
  }
  pipe.write.reset();
  Beside beside(work);  // not before the fork
  auto answer = Answer(pipe.read.get(), work);
  if (!answer) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return beside.Join(std::move(answer));
}

}  // namespace slipway::oci
