// SPDX-License-Identifier: Apache-2.0
#include "base/os/lingering.h"

#include <unistd.h>

#include <charconv>
#include <csignal>
#include <set>
#include <sstream>
#include <string_view>

#include "base/os/fd.h"
#include "base/os/link.h"
#include "base/os/process.h"

namespace slipway {
namespace {

std::vector<std::string> Names(const std::string& folder) {
  return NamesIn(folder).value_or(std::vector<std::string>());
}

pid_t Number(const std::string& name) {
  pid_t number = 0;
  auto read = std::from_chars(name.data(), name.data() + name.size(), number);
  return read.ec == std::errc() && read.ptr == name.data() + name.size() ? number : 0;
}

std::string PidNamespace(pid_t process) { return ReadLink(Cat("/proc/", process, "/ns/pid")).value_or(""); }

// The first word behind `name` in the text of /proc/PID/status.
std::string StatusWord(const std::string& status, std::string_view name) {
  std::size_t at = status.find(Cat("\n", name));
  if (at == status.npos) return {};
  std::istringstream rest(status.substr(at + 1 + name.size(), 64));
  std::string word;
  rest >> word;
  return word;
}

struct Waiting {
  std::string program;
  char state = '?';
};
Waiting StateOf(const std::string& thread) {
  std::string stat = ReadFile(thread + "/stat", 4096).value_or(std::string());
  std::size_t open = stat.find('('), close = stat.rfind(')');
  if (close == stat.npos || close + 2 >= stat.size()) return {};
  return {stat.substr(open, close - open + 1), stat[close + 2]};
}

}  // namespace

std::vector<pid_t> ProcessesBelow(const std::string& cgroup) {
  std::vector<pid_t> found;
  std::istringstream lines(ReadFile(cgroup + "/cgroup.procs").value_or(std::string()));
  for (std::string line; std::getline(lines, line);) {
    if (pid_t process = Number(line); process > 0) found.push_back(process);
  }
  for (const std::string& name : Names(cgroup)) {
    if (name.find('.') != name.npos) continue;  // a control file
    for (pid_t process : ProcessesBelow(cgroup + "/" + name)) found.push_back(process);
  }
  return found;
}

std::vector<pid_t> ProcessesOf(pid_t process) {
  std::set<pid_t> found{process};
  std::vector<pid_t> open{process};
  while (!open.empty()) {
    std::string threads = Cat("/proc/", open.back(), "/task");
    open.pop_back();
    for (const std::string& thread : Names(threads)) {
      std::istringstream children(ReadFile(Cat(threads, "/", thread, "/children")).value_or(std::string()));
      for (pid_t child = 0; children >> child;) {
        if (found.insert(child).second) open.push_back(child);
      }
    }
  }
  std::string space = PidNamespace(process);
  if (!space.empty() && space != PidNamespace(::getpid())) {
    for (const std::string& name : Names("/proc")) {
      if (pid_t other = Number(name); other > 0 && PidNamespace(other) == space) found.insert(other);
    }
  }
  return {found.begin(), found.end()};
}

void KillTracersOf(const std::vector<pid_t>& processes, uid_t uid) {
  for (pid_t process : processes) {
    std::string threads = Cat("/proc/", process, "/task");
    for (const std::string& thread : Names(threads)) {
      std::string status = ReadFile(Cat(threads, "/", thread, "/status")).value_or(std::string());
      pid_t tracer = Number(StatusWord(status, "TracerPid:"));
      if (tracer <= 1 || tracer == ::getpid()) continue;
      auto found = Process::Of(tracer);  // before we look whose it is: a number may be given away
      std::string his = ReadFile(Cat("/proc/", tracer, "/status")).value_or(std::string());
      if (found && StatusWord(his, "Uid:") == std::to_string(uid)) [[maybe_unused]]
        auto killed = found->Signal(SIGKILL);
    }
  }
}

std::string WhatHolds(const std::vector<pid_t>& processes) {
  std::string first;
  for (pid_t process : processes) {
    std::string threads = Cat("/proc/", process, "/task");
    for (const std::string& name : Names(threads)) {
      std::string thread = Cat(threads, "/", name);
      Waiting waiting = StateOf(thread);
      if (waiting.program.empty()) continue;
      bool deaf = waiting.state == 'D';
      if (!deaf && !first.empty()) continue;
      std::string where = deaf ? ReadFile(thread + "/wchan", 256).value_or(std::string()) : std::string();
      std::string text = Cat(process, " ", waiting.program, ", state ", waiting.state);
      if (where.size() > 1) text += " in " + where;
      if (deaf) return text;
      first = std::move(text);
    }
  }
  return first;
}

}  // namespace slipway
