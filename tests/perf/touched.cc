// SPDX-License-Identifier: Apache-2.0
// A new process pays for each page of its program that it runs through, so what a start runs through should
// lie together. This says what that is: touched PID COUNT waits until COUNT children of PID (and what they
// start) have ended, and prints every instruction's address that one of them has passed, each once, in the
// order of the first time: `PROGRAM ADDRESS`, hexadecimal. It steps through them one instruction after the
// other, which is a hundred times as slow as they are; only through programs of Slipway's (a rank of MPI
// would take an hour). Addresses are as the linker gave them, wherever the program was put. start_path.py
// makes the linker's order of it.
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace {

// A program that says where it wants to be is put there.
constexpr unsigned long long kLinkedBelow = 1ULL << 32;
// Steps of a thread that led nowhere new: it goes on by itself. (Threads that wait for one another with
// timers are so slow in steps that they would never get on.)
constexpr long kOldStepsMax = 1'000'000;

struct Tracee {
  std::string program;
  bool child = false;  // PID's own, not one that it started
  bool stepped = false;
  long old_steps = 0;           // since the last one that was new
  unsigned long long base = 0;  // where it was put; 0: where it was linked for
};

std::string ProgramOf(pid_t pid) {
  char path[4096];
  ssize_t size = ::readlink(("/proc/" + std::to_string(pid) + "/exe").c_str(), path, sizeof path);
  return size < 0 ? std::string() : std::string(path, static_cast<std::size_t>(size));
}

unsigned long long BaseOf(pid_t pid, const std::string& program) {
  std::FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/maps").c_str(), "r");
  char line[4200];
  unsigned long long base = 0;
  while (base == 0 && file != nullptr && std::fgets(line, sizeof line, file) != nullptr) {
    if (std::strstr(line, program.c_str()) != nullptr) base = std::strtoull(line, nullptr, 16);
  }
  if (file != nullptr) std::fclose(file);
  return base < kLinkedBelow ? 0 : base;
}

pid_t ParentOf(pid_t pid) {
  std::FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "r");
  int parent = 0;
  if (file != nullptr && std::fscanf(file, "%*d (%*[^)]) %*c %d", &parent) != 1) parent = 0;
  if (file != nullptr) std::fclose(file);
  return parent;
}

class Touched {
 public:
  explicit Touched(pid_t parent) : parent_(parent) {}

  // Until `count` children have ended.
  int Follow(int count) {
    long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    if (::ptrace(PTRACE_SEIZE, parent_, nullptr, options) < 0) return std::perror("touched: PTRACE_SEIZE"), 1;
    std::fputs("ready\n", stderr);
    while (count > 0 || !tracees_.empty()) {
      int status = 0;
      pid_t pid = ::waitpid(-1, &status, __WALL);
      if (pid < 0) return std::perror("touched: waitpid"), 1;
      if (WIFSTOPPED(status)) {
        Stopped(pid, WSTOPSIG(status), status >> 16);
      } else if (auto at = tracees_.find(pid); at != tracees_.end()) {
        if (at->second.child) --count;
        tracees_.erase(at);
      }
    }
    return 0;
  }

 private:
  void Stopped(pid_t pid, int signal, int event) {
    // What a process is stopped by for our sake is none of its business.
    bool ours = event != 0 || signal == SIGTRAP;
    long passed_on = ours ? 0 : signal;
    if (pid == parent_) {
      ::ptrace(PTRACE_CONT, pid, nullptr, passed_on);
      return;
    }
    auto [at, added] = tracees_.try_emplace(pid);
    if (added) at->second.child = ParentOf(pid) == parent_;
    if (added || event == PTRACE_EVENT_EXEC) {
      at->second.program = ProgramOf(pid);
      at->second.stepped =
          at->second.program.find("/slipway", at->second.program.rfind('/')) != std::string::npos;
      at->second.base = BaseOf(pid, at->second.program);
    }
    if (signal == SIGTRAP && event == 0) Note(pid, at->second);
    ::ptrace(at->second.stepped ? PTRACE_SINGLESTEP : PTRACE_CONT, pid, nullptr, passed_on);
  }
  void Note(pid_t pid, Tracee& tracee) {
    user_regs_struct registers{};
    if (::ptrace(PTRACE_GETREGS, pid, nullptr, &registers) < 0) return;
    if (registers.rip < tracee.base) return;
    unsigned long long address = registers.rip - tracee.base;
    bool is_new = address < kLinkedBelow && seen_[tracee.program].insert(address).second;
    if (is_new) std::printf("%s %llx\n", tracee.program.c_str(), address);
    tracee.old_steps = is_new ? 0 : tracee.old_steps + 1;
    if (tracee.old_steps > kOldStepsMax) tracee.stepped = false;
  }

  const pid_t parent_;
  std::map<pid_t, Tracee> tracees_;
  std::map<std::string, std::set<unsigned long long>> seen_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: touched PID COUNT\n", stderr), 2;
  return Touched(std::atoi(argv[1])).Follow(std::atoi(argv[2]));
}
