// SPDX-License-Identifier: Apache-2.0
// Who is left of a group of processes that was killed, and what each waits for. Read from /proc in a way that
// no process can make slow: what would wait for its memory (cmdline, environ) is not looked at.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace slipway {

// Of a cgroup and all below it.
std::vector<pid_t> ProcessesBelow(const std::string& cgroup);
// This process, its descendants, and where its PID namespace is not ours all those in it.
std::vector<pid_t> ProcessesOf(pid_t process);
// Whoever traces one of them and is `uid`'s is killed: what a tracer has not waited for keeps the first
// process of its PID namespace from ending.
void KillTracersOf(const std::vector<pid_t>& processes, uid_t uid);
// "1234 (dd), state D in request_wait_answer": of the first of them that waits where no signal reaches it,
// else of the first. Empty when none is there any more.
std::string WhatHolds(const std::vector<pid_t>& processes);

}  // namespace slipway
