// SPDX-License-Identifier: Apache-2.0
#include "agent/stepd/task_programs.h"

#include <algorithm>

#include "launcher/spec/task_binding.h"

namespace slipway {
namespace {

// POSIX, for dash, bash and busybox. Signals for the step reach all of its processes (the container's init
// sends them so): the shell lets them pass and waits for the rank.
constexpr char kRunner[] = R"sh(#!/bin/sh
signals='HUP INT QUIT USR1 USR2 ALRM TERM CONT' heard=-
# The watch and its sleep are told by number, so that both go with the program; they are born deaf to signals, but KILL.
run() {
  "$1" & pid=$!
  trap '' $signals
  watch=$({
    sleep "$SLIPWAY_TASK_TIMEOUT" >/dev/null 2>&1 & echo $!
    exec >/dev/null 2>&1
    wait $! && kill -9 $pid
  } & echo $!)
  trap $heard $signals
  # A signal for the step ends the wait, not the program.
  while wait $pid; code=$?; kill -0 $pid; do :; done 2>/dev/null
  kill -9 $watch 2>/dev/null
  return $code
}
# What it says until it ends: what it leaves behind may hold its output for ever.
said_by() {
  { run "$1"; printf '\n%s\n' "$end $?"; } |
    while IFS= read -r line; do printf '%s\n' "$line"; case $line in "$end "*) exit;; esac; done
}
failed() {
  [ "$3" = 137 ] && why="not done within $SLIPWAY_TASK_TIMEOUT s, or killed" || why="exit code $3"
  echo "slipway: $1 $2 of rank $SLURM_PROCID: $why" >&2
}
named() { case $1 in ''|[!A-Za-z_]*|*[!A-Za-z0-9_]*) return 1;; esac; }
for prolog in "$SLIPWAY_SITE_TASK_PROLOG" "${SLIPWAY_TASK_PROLOG:-$SLURM_TASK_PROLOG}"; do
  [ -n "$prolog" ] || continue
  end="end of $prolog"
  said=$(said_by "$prolog"); code=${said##*"$end "}; said=${said%"$end "*}
  [ "$code" = 0 ] || { failed "task prolog" "$prolog" "$code"; exit 125; }
  while IFS= read -r line; do
    case $line in
      "export "*=*) line=${line#export }; named "${line%%=*}" && export "$line";;
      "unset "*) named "${line#unset }" && unset "${line#unset }";;
      "print "*) printf '%s\n' "${line#print }";;
    esac
  done <<said
$said
said
done
last=${SLIPWAY_TASK_EPILOG:-$SLURM_TASK_EPILOG}
[ -n "$last$SLIPWAY_SITE_TASK_EPILOG" ] || exec "$@"
heard=:
trap $heard $signals
"$@"
ended=$?
for epilog in "$last" "$SLIPWAY_SITE_TASK_EPILOG"; do
  [ -n "$epilog" ] || continue
  run "$epilog"; code=$?
  [ $code = 0 ] || failed "task epilog" "$epilog" $code
done
trap - $signals
[ $ended -le 128 ] || { ulimit -c 0; kill -$((ended - 128)) $$; }
exit $ended
)sh";

constexpr const char* kDefaultTimeout = "60";

bool HasAny(const StepSpec& spec) {
  for (const char* name : {kTaskPrologVariable, kTaskEpilogVariable, kSitePrologVariable, kSiteEpilogVariable,
                           "SLURM_TASK_PROLOG", "SLURM_TASK_EPILOG"}) {
    if (!StepVariable(spec.env, name).empty()) return true;
  }
  return false;
}

}  // namespace

void WrapTasks(const StepSpec& spec, LaunchSpec& launch) {
  if (spec.step.step == kBatchStep || !HasAny(spec)) return;
  launch.files.push_back({.target = kTaskRunnerTarget, .content = kRunner, .mode = 0755});
  launch.argv.insert(launch.argv.begin(), kTaskRunnerTarget);
  if (StepVariable(spec.env, kTaskTimeoutVariable).empty())
    launch.env.push_back(Cat(kTaskTimeoutVariable, "=", kDefaultTimeout));
}

}  // namespace slipway
