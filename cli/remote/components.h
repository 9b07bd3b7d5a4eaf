// SPDX-License-Identifier: Apache-2.0
// The components of a heterogeneous job on a command line: `-N1 A : -N4 B`. A ':' ends a component, and what
// the next one leaves out it has from the one before, where that is a matter of the job and not of resources.
#pragma once

#include <string>
#include <vector>

#include "base/result/result.h"
#include "cli/options/options.h"

namespace slipway::cli {

using Words = std::vector<std::string>;

// The words at which the marks (kComponentMark) stand, as the lists between them; at least one.
std::vector<Words> SplitComponents(const Words& words);
// The words of the options that `command` knows, without what follows them.
Words OptionWords(const Command& command, const Parsed& parsed);
// `command` with those options alone that a component has from the one before it.
Command WhatIsPassedOn(Command command);

// Of a command that runs a program, `given` with all that stands behind the program's name: its components.
// The program's own last word may be ':' (`sh -c :`); one between others ends a component. kInvalidArgument
// for one that has no program.
Result<std::vector<Parsed>> ProgramsGiven(const Command& command, const Parsed& given);

}  // namespace slipway::cli
