// SPDX-License-Identifier: Apache-2.0
// Everything that a dev cluster needs on disk before its first process starts, and its removal when the last
// is gone.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "cli/dev/conf.h"
#include "cli/dev/layout.h"

namespace slipway::dev {

Identities IdentitiesOfCaller();
// Keys, configuration, folders, links to the programs installed with `self`, the path of one. What an earlier
// cluster kept (`down
// --keep`) is used again. kNotFound names a program that is missing.
Result<> Prepare(const Layout& layout, const Options& options, const Identities& who,
                 const std::string& self);

// Is a supervisor alive? Its pid, 0 when not.
Result<pid_t> RunningSupervisor(const Layout& layout);
// Ends it and waits until every process of the cluster is gone: SIGTERM, after `patience` SIGKILL.
Result<> EndSupervisor(const Layout& layout, std::chrono::seconds patience);
// The cgroups, and unless `keep_state` the folder.
Result<> RemoveRemains(const Layout& layout, bool keep_state);

// The last lines of every log, for the message of a cluster that did not come up.
std::string LogTails(const Layout& layout, std::size_t lines_each);
// Daemon name and pid, by name.
std::vector<std::pair<std::string, pid_t>> RecordedPids(const Layout& layout);

}  // namespace slipway::dev
