#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MPICH's own tests (its folder test/mpi) under this host's PMI on two nodes, and under MPICH's mpiexec on one, in one image.

A script, not a test of CI: it takes many minutes. SOURCE is test/mpi of MPICH's sources of the image's version (4.0.2 in
images/mpi-mpich.def). Prints the score of each folder, and each test of which the two judge differently.
As root (an account is made and removed): tests/mpi/mpich_tests.py SOURCE [FOLDER…]   (init spawn errhan info group attr)
"""
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import slipway_testing as t

FOLDERS = ("init", "spawn", "errhan", "info", "group", "attr")
BUILD = """#!/bin/sh
cd {source} && ./configure --disable-fortran --disable-cxx --with-mpi=/usr >configure.log 2>&1 || {{ tail -5 configure.log; exit 1; }}
make -C util >make.log 2>&1
for folder in {folders}; do make -k -C $folder >>make.log 2>&1; awk '!/^[#@]/ && NF {{ print $1 }}' $folder/testlist | sort -u | xargs make -k -C $folder >>make.log 2>&1; done
exit 0
"""
# One line a test: "FOLDER TEST RANKS VERDICT"; what a program shall do is said in the list (resultTest), and " No Errors" is the rule.
RUN = r"""#!/bin/bash
export MPIEXEC_TIMEOUT=60
for folder in {folders}; do
  cd {source}/$folder || continue
  while read -r name ranks rest; do
    case $name in ''|'#'*|'@'*) continue;; esac
    [ -x ./$name ] || {{ echo "$folder $name $ranks not-built"; continue; }}
    arguments=
    for word in $rest; do case $word in arg=*) arguments="$arguments ${{word#arg=}}";; esac; done
    output=$(timeout -k 5 60 {launcher} ./$name $arguments 2>&1 </dev/null)
    code=$?
    case "$rest" in
      *TestStatus*|*TestErrFatal*) [ $code != 0 ] && [ $code != 124 ] && verdict=ok || verdict=failed;;
      *) printf '%s' "$output" | grep -q 'No Errors' && [ $code = 0 ] && verdict=ok || verdict=failed;;
    esac
    [ $code = 124 ] && verdict=hung
    echo "$folder $name.$ranks$arguments $ranks $verdict" | tr '\n' ' '; echo
    [ $verdict = ok ] || printf '%s\n' "$output" | tail -3 | sed "s/^/    /"
  done <testlist
done
"""


def verdicts(text):
    rows = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4 and not line.startswith(" "):
            rows[f"{words[0]}/{words[1]}"] = words[-1]
    return rows


def main():
    source, folders = pathlib.Path(sys.argv[1]), sys.argv[2:] or FOLDERS
    account = t.Account("slipway-mpi")
    cluster = None
    try:
        cluster = t.Cluster(nodes=2, user=account.entry, cores=32)
        home = pathlib.Path(account.entry.pw_dir)
        shutil.copytree(source, home / "tests", symlinks=True)
        t.run(["chown", "-R", f"{account.entry.pw_uid}:{account.entry.pw_gid}", home / "tests"], check=0)
        cluster("image", "add", t.image("mpi-mpich"), "mpi-mpich", check=0, timeout=300)
        found = {}
        for name, text, nodes in (("build", BUILD, 1), ("slipway", RUN, 2), ("mpiexec", RUN, 1)):
            launcher = "slipway launch -N $(( ranks < 2 ? 1 : 2 )) -n $ranks --mpi=pmi1"
            script = home / f"{name}.sh"
            script.write_text(text.format(source=home / "tests", folders=" ".join(folders), launcher=launcher if name == "slipway" else "mpiexec.hydra -n $ranks"))
            job = cluster.submit(f"-N{nodes}", f"-n{32 * nodes}", "--image", "mpi-mpich", "--output", home / f"{name}.out", str(script))
            ended = cluster.wait_end(job, 3600)
            output = (home / f"{name}.out").read_text(errors="replace")
            if name == "build" and ended["exit_code"] != 0:
                print("the tests could not be built:", output[-500:])
                return 1
            found[name] = verdicts(output) if name != "build" else {}
        for folder in folders:
            scores = {name: [v for k, v in found[name].items() if k.startswith(folder + "/") and v != "not-built"] for name in ("slipway", "mpiexec")}
            print(f"{folder}: " + ", ".join(f"{name} {values.count('ok')} of {len(values)}" for name, values in scores.items()))
        for name, verdict in found["slipway"].items():
            other = found["mpiexec"].get(name)
            if verdict != other:
                print(f"  {name}: {verdict} here, {other} under mpiexec")
        return 0
    finally:
        if cluster:
            cluster.down()
        account.remove()


if __name__ == "__main__":
    sys.exit(main())
