#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MPICH's own tests (its folder test/mpi) under this host's PMI on one node and on two, and under MPICH's mpiexec on one, in
one image. MPI Sessions are in "init".

A script, not a test of CI: it takes many minutes, and Debian's mirror may not have the sources. Prints the score of each folder,
and each test that is judged differently; the exit code is 1 when one fails on one node that mpiexec has end well. A test has 30 s,
since many hang on every side. What was not judged alike is tried once more where it did not end well, in MPICH's own 180 s: to use up
all communicators takes a minute on a slow machine, and Debian's UCX hangs in MPI_Finalize now and then (docs/mpi.md).
As root (an account is made and removed): tests/mpi/mpich_tests.py [FOLDER…]
"""
import shutil
import sys

from debian_source import debian_source
from two_nodes import two_nodes

ERRORS = tuple(f"errors/{name}" for name in ("attr", "coll", "comm", "datatype", "group", "pt2pt", "spawn", "topo"))
FOLDERS = ("init", "spawn", "errhan", "info", "group", "attr", *ERRORS)
BUILD = """cd {source} && ./configure --disable-fortran --disable-cxx --with-mpi=/usr >configure.log 2>&1 || {{ tail -5 configure.log; exit 1; }}
make -C util >make.log 2>&1
for folder in {folders}; do make -k -C $folder >>make.log 2>&1; awk '!/^[#@]/ && NF {{ print $1 }}' $folder/testlist | sort -u | xargs make -k -C $folder >>make.log 2>&1; done
exit 0
"""
# One line a test: "FOLDER TEST RANKS VERDICT"; what a program shall do is said in the list (resultTest), and " No Errors" is the rule.
# The lists want two ranks where they name none.
RUN = r"""export MPIEXEC_TIMEOUT={seconds}
try() {{
  output=$(timeout -k 5 {seconds} {launcher} ./$name $arguments 2>&1 </dev/null)
  code=$?
  case "$rest" in
    *TestStatus*|*TestErrFatal*) [ $code != 0 ] && [ $code != 124 ] && verdict=ok || verdict=failed;;
    *) printf '%s' "$output" | grep -q 'No Errors' && [ $code = 0 ] && verdict=ok || verdict=failed;;
  esac
  [ $code = 124 ] && verdict=hung
  [ $verdict = ok ]
}}
for folder in {folders}; do
  cd {source}/$folder || continue
  while read -r name ranks rest; do
    case $name in ''|'#'*|'@'*) continue;; esac
    case "{only}" in ""|*" $folder/$name "*) ;; *) continue;; esac
    [ -x ./$name ] || {{ echo "$folder $name $ranks not-built"; continue; }}
    case $ranks in ''|*[!0-9]*) ranks=2;; esac
    arguments=
    for word in $rest; do case $word in arg=*) arguments="$arguments ${{word#arg=}}";; esac; done
    try
    echo "$folder $name.$ranks$arguments $ranks $verdict" | tr '\n' ' '; echo
    [ $verdict = ok ] || printf '%s\n' "$output" | tail -3 | sed "s/^/    /"
  done <testlist
done
"""
SECONDS, MPICHS_SECONDS = 30, 180
SIDES = {"one node": "slipway launch -N1 -n $ranks --mpi=pmi1", "mpiexec": "mpiexec.hydra -n $ranks", "two nodes": "slipway launch -N $(( ranks < 2 ? 1 : 2 )) -n $ranks --mpi=pmi1"}


def verdicts(text):
    rows = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4 and not line.startswith(" "):
            rows[f"{words[0]}/{' '.join(words[1:-2])}"] = words[-1]
    return rows


def main():
    folders = sys.argv[1:] or FOLDERS
    with two_nodes(cores=32) as site:
        shutil.copytree(debian_source("mpich", site.home / "sources") / "test/mpi", site.home / "tests", symlinks=True)
        site.own(site.home / "tests")
        words = {"source": site.home / "tests", "folders": " ".join(folders)}
        code, output = site.batch("mpi-mpich", BUILD.format(**words), name="build", cpus=64, timeout=3600)
        if code != 0:
            print("the tests could not be built:", output[-500:])
            return 1

        def verdicts_of(side, seconds, only=""):
            (site.home / "tests.bash").write_text(RUN.format(**words, launcher=SIDES[side], seconds=seconds, only=only))
            _, output = site.batch("mpi-mpich", "exec bash tests.bash", name=side.replace(" ", "-"), cpus=64, timeout=7200)
            return {test: verdict for test, verdict in verdicts(output).items() if verdict != "not-built"}

        found = {side: verdicts_of(side, SECONDS) for side in SIDES}
        for side, rows in found.items():
            again = [test for test in rows if rows[test] != "ok" and any(other.get(test) == "ok" for other in found.values())]
            if again:
                print(f"{side}: once more: {' '.join(again)}", flush=True)
                rows |= verdicts_of(side, MPICHS_SECONDS, f" {' '.join(sorted({test.split('.')[0] for test in again}))} ")
        for side, rows in found.items():
            print(f"{side}: {list(rows.values()).count('ok')} of {len(rows)}")
        return score(found, folders)


def score(found, folders):
    """Prints what was found, folder by folder; 1 when mpiexec has a test end well that this host does not."""
    for folder in folders:
        counts = {name: [verdict for test, verdict in rows.items() if test.rsplit("/", 1)[0] == folder] for name, rows in found.items()}
        print(f"| {folder} | " + " | ".join(f"{verdicts.count('ok')} of {len(verdicts)}" for verdicts in counts.values()) + " |")
    wrong = 0 if found["mpiexec"] else 1
    for test, there in found["mpiexec"].items():
        one, two = (found[name].get(test, "missing") for name in ("one node", "two nodes"))
        wrong += there == "ok" != one
        if len({one, two, there}) > 1:
            print(f"  {test}: {one} on one node, {two} on two, {there} under mpiexec")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
