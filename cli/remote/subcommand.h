// SPDX-License-Identifier: Apache-2.0
// Each subcommand is one file: what it takes, and what it does. main.cc finds the one that is meant.
#pragma once

#include <string>
#include <vector>

#include "base/result/result.h"
#include "cli/command/command.h"
#include "cli/options/options.h"

namespace slipway::cli {

extern const Subcommand kSubmit, kLaunch, kAlloc, kJobs, kJob, kCancel, kLogs, kNodes, kInit, kDevUp,
    kDevDown, kDevStatus, kDevSupervise, kImageAdd, kImagePull, kImageLs, kImageRm, kImageShow, kImageHistory,
    kImageTag, kImageUntag, kImageShare, kImageAllow, kImageDeny, kImageGc, kImageVerify, kImageDu,
    kImageProject, kCompletion, kComplete, kVersion, kExecJob, kShellJob, kHold, kRelease, kRequeue, kSuspend,
    kResume, kUpdate, kWhy, kInspect, kConfigCheck, kConfigShow, kConfigHost, kPartitions, kShare, kAccountLs,
    kAccountSet, kAccountRm, kAccountAddUser, kAccountRmUser, kReservationCreate, kReservationUpdate,
    kReservationDelete, kReservationShow, kNodeDrain, kNodeResume, kNodeFenced, kNodeShow;
const std::vector<const Subcommand*>& AllSubcommands();

// Options that many have.
Option ContextOption();
// The words that would give the same Parsed again, positionals last.
std::vector<std::string> CommandLineWords(const Command& command, const Parsed& parsed);

}  // namespace slipway::cli
