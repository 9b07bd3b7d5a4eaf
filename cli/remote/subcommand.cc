// SPDX-License-Identifier: Apache-2.0
#include "cli/remote/subcommand.h"

namespace slipway::cli {

const std::vector<const Subcommand*>& AllSubcommands() {
  static const std::vector<const Subcommand*> all = {&kSubmit,
                                                     &kLaunch,
                                                     &kAlloc,
                                                     &kJobs,
                                                     &kJob,
                                                     &kCancel,
                                                     &kLogs,
                                                     &kNodes,
                                                     &kImageAdd,
                                                     &kImagePull,
                                                     &kImageLs,
                                                     &kImageShow,
                                                     &kImageTag,
                                                     &kImageUntag,
                                                     &kImageShare,
                                                     &kImageRm,
                                                     &kImageHistory,
                                                     &kImageAllow,
                                                     &kImageDeny,
                                                     &kImageGc,
                                                     &kImageVerify,
                                                     &kImageDu,
                                                     &kImageProject,
                                                     &kDevUp,
                                                     &kDevDown,
                                                     &kDevStatus,
                                                     &kDevSupervise,
                                                     &kInit,
                                                     &kCompletion,
                                                     &kComplete,
                                                     &kVersion,
                                                     &kExecJob,
                                                     &kShellJob,
                                                     &kHold,
                                                     &kRelease,
                                                     &kRequeue,
                                                     &kSuspend,
                                                     &kResume,
                                                     &kUpdate,
                                                     &kWhy,
                                                     &kInspect,
                                                     &kConfigCheck,
                                                     &kConfigShow,
                                                     &kConfigHost,
                                                     &kPartitions,
                                                     &kShare,
                                                     &kAccountLs,
                                                     &kAccountSet,
                                                     &kAccountRm,
                                                     &kAccountAddUser,
                                                     &kAccountRmUser,
                                                     &kReservationCreate,
                                                     &kReservationUpdate,
                                                     &kReservationDelete,
                                                     &kReservationShow,
                                                     &kNodeDrain,
                                                     &kNodeResume,
                                                     &kNodeFenced,
                                                     &kNodeShow};
  return all;
}

Option ContextOption() {
  return {.name = "context",
          .type = Option::kString,
          .value_name = "NAME|FILE",
          .help = "the cluster to talk to",
          .complete = "context"};
}

std::vector<std::string> CommandLineWords(const Command& command, const Parsed& parsed) {
  std::vector<std::string> words;
  for (const Option& option : command.options) {
    bool takes_value = option.type == Option::kString || option.type == Option::kList;
    for (const std::string& value : parsed.List(option.name))
      words.push_back(takes_value || !value.empty() ? Cat("--", option.name, "=", value)
                                                    : "--" + option.name);
  }
  words.push_back("--");
  words.insert(words.end(), parsed.positionals().begin(), parsed.positionals().end());
  return words;
}

}  // namespace slipway::cli
