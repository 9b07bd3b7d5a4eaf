// SPDX-License-Identifier: Apache-2.0
// Every long option that Slurm 22.05's commands name in their help is answered here: it works, means nothing,
// or is refused with what to use instead (docs/from-slurm.md). The names are recorded; `help` and `version`
// are every command's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "base/text/text.h"
#include "cli/habits/habits.h"
#include "cli/habits/scontrol_words.h"
#include "cli/remote/slurm_words.h"
#include "cli/remote/subcommand.h"

namespace slipway::cli {
namespace {

constexpr std::string_view kSbatchNames =
    "account array bb bbf begin chdir cluster-constraint clusters comment constraint container contiguous "
    "core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency "
    "distribution error exclude exclusive export export-file extra-node-info get-user-env gid gpu-bind "
    "gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres gres-flags hold ignore-pbs input "
    "job-name licenses mail-type mail-user mcs-label mem mem-per-cpu mem-per-gpu mincpus nice no-kill "
    "no-requeue nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-node ntasks-per-socket output "
    "overcommit oversubscribe parsable partition power priority profile propagate qos quiet reboot "
    "requeue reservation signal sockets-per-node spread-job switches thread-spec threads-per-core time "
    "time-min tmp uid usage use-min-nodes verbose wait wckey wrap ";

constexpr std::string_view kSrunNames =
    "account acctg-freq bb bbf bcast bcast-exclude begin chdir cluster-constraint clusters comment "
    "compress constraint container contiguous core-spec cores-per-socket cpu-freq cpus-per-gpu "
    "cpus-per-task deadline delay-boot dependency disable-status distribution epilog error exact exclude "
    "exclusive export extra-node-info gpu-bind gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task "
    "gres gres-flags het-group hold immediate input job-name jobid kill-on-bad-exit label licenses "
    "mail-type mail-user mcs-label mem mem-per-cpu mem-per-gpu mincpus mpi multi-prog nice no-allocate "
    "no-kill nodelist nodes ntasks ntasks-per-core ntasks-per-node ntasks-per-socket output overcommit "
    "overlap oversubscribe partition power preserve-env priority profile prolog propagate pty qos quiet "
    "quit-on-interrupt reboot relative reservation resv-ports send-libs signal slurmd-debug "
    "sockets-per-node spread-job switches task-epilog task-prolog thread-spec threads threads-per-core "
    "time time-min tmp unbuffered usage use-min-nodes verbose wait wckey ";

constexpr std::string_view kSallocNames =
    "account bb bbf begin bell chdir cluster-constraint clusters comment constraint container contiguous "
    "core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency "
    "distribution exclude exclusive extra-node-info get-user-env gid gpu-bind gpu-freq gpus gpus-per-node "
    "gpus-per-socket gpus-per-task gres gres-flags hold immediate job-name kill-command licenses "
    "mail-type mail-user mcs-label mem mem-per-cpu mem-per-gpu mincpus nice no-bell no-kill nodefile "
    "nodelist nodes ntasks ntasks-per-core ntasks-per-node ntasks-per-socket overcommit oversubscribe "
    "partition power priority profile qos quiet reboot reservation signal sockets-per-node spread-job "
    "switches thread-spec threads-per-core time time-min tmp uid usage use-min-nodes verbose wckey ";

constexpr std::string_view kSqueueNames =
    "Format account all array array-unique clusters federation format hide iterate jobs json licenses "
    "local long name noconvert nodelist noheader partition qos reservation sibling sort start states "
    "steps usage user verbose yaml ";

constexpr std::string_view kSinfoNames =
    "Format Node all clusters dead exact federation format hide iterate json list-reasons local long "
    "noconvert nodes noheader partition reservation responding sort states summarize usage verbose yaml ";

constexpr std::string_view kSacctNames =
    "account accounts allclusters allocations allusers array associations batch-script brief clusters "
    "completion constraints delimiter duplicates endtime env-vars federation file flags format gid group "
    "helpformat jobs local name ncpus nnodes noconvert nodelist noheader parsable parsable2 partition qos "
    "reason starttime state timelimit-max timelimit-min truncate units usage use-local-uid user verbose "
    "wckeys whole-hetjob ";

constexpr std::string_view kScancelNames =
    "account batch clusters full hurry interactive name nodelist partition qos quiet reservation sibling "
    "signal state usage user verbose wckey ";

std::string Answer(const Subcommand& subcommand, std::string_view name) {
  const Command command = subcommand.declare();
  auto option = std::ranges::find(command.options, name, &Option::name);
  if (option == command.options.end()) return "unknown";
  if (option->foreign == Option::kOwn) return "works";
  return option->help.empty() ? "no word of it" : option->foreign == Option::kRefuse ? "refused" : "nothing";
}

TEST(SlurmNames, EveryOptionOfItsCommandsIsAnswered) {
  struct {
    const Subcommand& ours;
    std::string_view names;
  } commands[] = {{kSubmit, kSbatchNames}, {kLaunch, kSrunNames}, {kAlloc, kSallocNames},
                  {kSqueue, kSqueueNames}, {kSinfo, kSinfoNames}, {kSacct, kSacctNames},
                  {kCancel, kScancelNames}};
  for (const auto& [ours, names] : commands) {
    std::size_t count = 0;
    for (std::string_view name : Split(Trim(names), ' ')) {
      ++count;
      EXPECT_THAT(Answer(ours, name), testing::AnyOf("works", "nothing", "refused"))
          << ours.words[0] << " --" << name;
    }
    EXPECT_GT(count, 10U);
    const Command command = ours.declare();
    for (const Option& option : command.options) {
      EXPECT_EQ(std::ranges::count(command.options, option.name, &Option::name), 1)
          << ours.words[0] << " --" << option.name;
      EXPECT_LE(std::ranges::count_if(
                    command.options,
                    [&](const Option& other) { return option.letter != 0 && other.letter == option.letter; }),
                1)
          << ours.words[0] << " -" << option.letter;
    }
  }
}

constexpr std::string_view kScontrolVerbs =
    "cancel_reboot completing create delete errnumstr fsdampeningfactor hold holdu listpids notify pidinfo "
    "ping reboot reconfigure release requeue requeuehold resume schedloglevel setdebug setdebugflags show "
    "shutdown suspend takeover token top uhold update version wait_job write";

// The words of one session (quit, exit, !!, help) are left out: there is none here.
TEST(SlurmNames, EveryVerbOfScontrolIsAnswered) {
  for (std::string_view verb : Split(kScontrolVerbs, ' ')) {
    if (verb == "show" || verb == "ping" || verb == "wait_job") continue;  // scontrol's own
    auto words = ScontrolWords({std::string(verb), "ReservationName=r", "NodeCnt=1"});
    EXPECT_TRUE(!words || !words->empty()) << verb;
    if (!words) {
      EXPECT_THAT(words.error().message, testing::HasSubstr(std::string(verb)));
    }
  }
  EXPECT_TRUE(ScontrolWords({"nonsense"})->empty());
}

}  // namespace
}  // namespace slipway::cli
