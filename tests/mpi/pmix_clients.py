#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenPMIx's own test clients (test/ and test/simple of its sources) under this host on two nodes, and under the test servers
that they come with on one, in the same image.

A script, not a test of CI: Debian's mirror may not have the sources. Prints each client's two ends; the exit code is 1 when
they differ otherwise than EXPECTED says. As root (an account is made and removed): tests/mpi/pmix_clients.py [CLIENT…]
"""
import re
import sys

from debian_source import debian_source
from two_nodes import two_nodes

# Built in the image, against the internal headers and the library that Debian packs: so it is Debian's client that is tried.
BUILD = """set -e
cd {source}/test
mkdir -p ../built/bin shim
prefix=$(dirname $(find /usr/lib -path '*pmix2/include/pmix.h' | head -1))
ln -sfn $prefix shim/include
flags="-w -O1 -Ishim -I$prefix/pmix -I$prefix -Isimple -I."
for name in simptest {simple}; do gcc $flags -o ../built/bin/$name simple/$name.c -lpmix -levent -levent_pthreads -lhwloc; done
gcc $flags -o ../built/pmix_client pmix_client.c test_fence.c test_common.c test_publish.c test_spawn.c test_cd.c test_resolve_peers.c test_error.c test_replace.c \
  test_internal.c -lpmix -levent
gcc $flags -o ../built/bin/pmix_test pmix_test.c test_server.c test_common.c cli_stages.c server_callbacks.c utils.c -lpmix -levent
"""
# Not simpvni and asyncio (no clients: they are servers or nobody's), nor tools and schedulers.
SIMPLE = ("simpclient", "simppub", "simpdmodex", "simpft", "simpdie", "simptimeout", "simpjctrl", "simpio", "simpcoord", "simpcycle", "simpdyn", "doubleget",
          "get_put_example", "hybrid", "quietclient", "test_pmix")
# Of "make check", what is of one namespace: the others want a server that has several.
CHECKS = ("-n 4 --job-fence -c", "-n 4 --job-fence", "-n 2 --test-publish", "-n 2 --test-spawn", "-n 2 --test-connect", "-n 5 --test-replace 100:0,1,10,50,99",
          "-n 5 --test-internal 10")
# client: its ends under this host on one node and on two, and why they are right though its own server has it end well.
EXPECTED = {
    "simpclient": (("well", "fails"), "it takes another node's data for a mistake: it was written for one node"),
    "simpdmodex": (("well", "fails"), "over several nodes it asks without saying which rank it means"),
    "simpft": (("fails", "fails"), "PMIx_Abort ends the step here; its own server only tells the others"),
    "simpdie": (("fails", "fails"), "a rank that ends with 1 ends the step here; its own server does not look"),
    "simpjctrl": (("fails", "fails"), "it asks for checkpoints, NOT_SUPPORTED here; its own server says yes to anything"),
    "pmix_client -n 2 --test-spawn": (("fails", "fails"), "it spawns no rank of a program that is not there; its own server says yes to anything"),
}


def clients():
    """(name, ranks, the program under this host, the command line of its own server)"""
    for name in SIMPLE:
        yield name, 4, [f"./{name}"], ["./simptest", "-n", "4", "-e", f"./{name}"]
    for words in CHECKS:
        # Its server would tell it its rank.
        yield f"pmix_client {words}", int(words.split()[1]), ["sh", "-c", f"exec ../pmix_client -r $PMIX_RANK {words}"], ["./pmix_test", *words.split()]


def end(cluster, where, *argv):
    """How a step ends ("well", "fails", "hangs"), and the lines that say why. What does not end well is tried twice more, on each side: doubleget asks for a key
    that its owner may not have put within 2 s, an error here and under its own server, and then cuts a pointer in half (ctime without time.h)."""
    for _ in range(3):
        done = cluster("launch", "--image", "mpi-openmpi", *argv, cwd=where, timeout=120)
        if done.returncode == 0:
            break
    lines = [line for line in (done.stdout + done.stderr).splitlines() if re.search("fail|error|slipway:|assert", line, re.I)]
    return ("well" if done.returncode == 0 else "hangs" if done.returncode == 124 else "fails"), lines[:1] + lines[-2:]


def judge(name, ours, theirs):
    """Prints a client's row, and where the sides differ otherwise than EXPECTED says, why; whether they do."""
    row = tuple(one for one, _ in ours)
    expected, why = EXPECTED.get(name, ((), ""))
    if row == ("well", "well"):
        verdict = "the same" if theirs[0] == "well" else "well here alone"
    else:
        verdict = "fails under its own server too" if theirs[0] != "well" else why if row == expected else "DIFFERENT"
    print(f"| {name} | {row[0]} | {row[1]} | {theirs[0]} | {verdict} |", flush=True)
    for _, lines in [*ours, theirs] if verdict == "DIFFERENT" else []:
        print("\n".join(f"    {line[:200]}" for line in lines))
    return verdict == "DIFFERENT"


def main():
    with two_nodes() as site:
        source = debian_source("pmix", site.home / "sources")
        site.own(site.home / "sources")
        code, output = site.batch("mpi-openmpi", BUILD.format(source=source, simple=" ".join(SIMPLE)), name="build", timeout=300)
        if code != 0:
            print("the clients could not be built:", output[-500:])
            return 1
        wrong = 0
        for name, ranks, program, server in clients():
            if sys.argv[1:] and name.split()[0] not in sys.argv[1:]:
                continue
            ours = [end(site.cluster, source / "built/bin", f"-N{nodes}", f"-n{ranks}", "--mpi=pmix", "--mpi-timeout", "20", "--", "timeout", "60", *program) for nodes in (1, 2)]
            theirs = end(site.cluster, source / "built/bin", "-N1", "-n1", "--mpi=none", "--", "timeout", "60", *server)
            wrong += judge(name, ours, theirs)
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
