#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules about the tree that a reviewer should not have to check by eye.

Layers (tools/layers.toml) against every #include, every CMake link and what each program links; licence lines; format;
marks of unfinished work; links in the documents; and the shape of the code, printed as a trend and never a wall.
Each rule is a test of its own, so that a failure names it.
"""
import argparse
import functools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
import unittest

ARGS = argparse.Namespace(source=".", build="build/dev")


def tracked(*patterns):
    out = subprocess.run(["git", "-C", ARGS.source, "ls-files", "-co", "--exclude-standard", *patterns],
                         check=True, capture_output=True, text=True).stdout
    return [p for p in out.splitlines() if os.path.isfile(os.path.join(ARGS.source, p))]


def read(path):
    with open(os.path.join(ARGS.source, path), encoding="utf-8") as f:
        return f.read()


@functools.cache
def layers():
    with open(os.path.join(ARGS.source, "tools/layers.toml"), "rb") as f:
        return tomllib.load(f)


def folder_of(path):
    """The longest folder of layers.toml that holds the path, or None."""
    names = [f for f in layers()["folders"] if path == f or path.startswith(f + "/")]
    return max(names, key=len) if names else None


def may_use(user, used):
    if user is None or used is None:
        return True
    allowed = layers()["folders"][user]
    if user == used or "*" in allowed:
        return True
    return any(used == a or used.startswith(a + "/") for a in allowed)


class Style(unittest.TestCase):
    maxDiff = None

    def none(self, findings, rule):
        self.assertEqual([], findings, f"\n{rule}:\n  " + "\n  ".join(findings))

    def test_every_source_file_says_its_licence(self):
        files = tracked("*.cc", "*.h", "*.c", "*.py", "*.proto", "*.cmake", "*CMakeLists.txt", "tools/*", ".ci/run", "packaging/systemd/*")
        self.none([f for f in files if "SPDX-License-Identifier: Apache-2.0" not in read(f)[:300]], "no SPDX line")

    def test_includes_point_downward(self):
        bad = []
        for f in tracked("*.cc", "*.h"):
            for line in re.findall(r'^#include "([^"]+)"', read(f), re.M):
                if line.startswith("slipway/v1/"):
                    line = "api/" + line
                if not may_use(folder_of(f), folder_of(line)):
                    bad.append(f"{f}: {line}")
        self.none(bad, "tools/layers.toml does not allow these includes")

    def test_every_code_folder_has_a_layer(self):
        bad = sorted({os.path.dirname(f) for f in tracked("*.cc", "*.h") if folder_of(f) is None})
        self.none(bad, "folders that tools/layers.toml does not name")

    def test_libraries_link_downward(self):
        bad = []
        for f in tracked("*CMakeLists.txt"):
            user = folder_of(os.path.dirname(f) + "/x")
            for body in re.findall(r"slipway_library\(([^)]*)\)", read(f)):
                body = body.split("TEST_DEPS")[0]
                for word in body.split()[1:]:
                    used = folder_of(word.replace("_", "/", 1))
                    if used is None and word == "api":
                        used = "api"
                    if not may_use(user, used):
                        bad.append(f"{f}: {word}")
        self.none(bad, "tools/layers.toml does not allow these links")

    def test_programs_link_only_what_they_may(self):
        bad = []
        for program, allowed in layers()["programs"].items():
            path = os.path.join(ARGS.build, "bin", program)
            if not os.path.exists(path):
                continue
            out = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
            for lib in re.findall(r"\(NEEDED\).*\[(.+)\]", out):
                if not any(lib.startswith(a) for a in allowed):
                    bad.append(f"{program}: {lib}")
        self.none(bad, "tools/layers.toml does not allow these libraries")

    def test_format_is_the_trees_own(self):
        tool = shutil.which("clang-format-14")
        if tool is None:
            self.skipTest("no clang-format-14 (tools/setup installs it)")
        files = tracked("*.cc", "*.h")
        out = subprocess.run([tool, "--dry-run", *files], cwd=ARGS.source, capture_output=True, text=True).stderr
        self.none(sorted(set(re.findall(r"^([^\s:]+):\d+:\d+: warning", out, re.M))), "run tools/format")

    def test_every_proto_field_says_what_it_is(self):
        bad = []
        for f in tracked("*.proto"):
            previous = ""
            for n, line in enumerate(read(f).splitlines(), 1):
                field = re.match(r"\s+(repeated |optional )?[\w.]+ \w+ = \d+;", line)
                if field and "//" not in line and not previous.strip().startswith("//"):
                    bad.append(f"{f}:{n}")
                previous = line
        self.none(bad, "proto fields without a comment (what, unit)")

    def test_nothing_is_left_for_later_in_the_code(self):
        mark = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
        bad = []
        for f in tracked("*.cc", "*.h", "*.proto", "*.sh", "*.py", "*.cmake"):
            for n, line in enumerate(read(f).splitlines(), 1):
                if mark.search(line) and "XXXXXX" not in line:
                    bad.append(f"{f}:{n}")
        self.none(bad, "marks of unfinished work")

    def test_no_path_of_one_machine(self):
        bad = []
        words = re.compile(r"(^|[^\w./])/wo" r"rk/|\.\./sha" r"red/")
        for f in tracked("*.cc", "*.h", "*.proto", "*.py", "*.md", "*.toml", "*.cmake", "tools/*", "images/*", ".ci/*"):
            for n, line in enumerate(read(f).splitlines(), 1):
                if words.search(line):
                    bad.append(f"{f}:{n}")
        self.none(bad, "paths of one machine")

    def test_links_in_documents_lead_somewhere(self):
        bad = []
        for f in tracked("*.md"):
            for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", read(f)):
                if re.match(r"[a-z]+:", target):
                    continue
                if not os.path.exists(os.path.normpath(os.path.join(ARGS.source, os.path.dirname(f), target))):
                    bad.append(f"{f}: {target}")
        self.none(bad, "links to nothing")

    def test_no_big_blobs(self):
        bad = [f for f in tracked() if os.path.getsize(os.path.join(ARGS.source, f)) > 512 * 1024]
        self.none(bad, "files over 512 KiB")

    def test_shape_is_shown(self):
        lengths = {f: read(f).count("\n") for f in tracked("*.cc", "*.h") if not f.endswith("_test.cc")}
        if len(lengths) < 2:
            self.skipTest("no code")
        values = sorted(lengths.values())
        p95 = statistics.quantiles(values, n=20)[-1]
        longest = sorted(lengths, key=lengths.get)[-5:]
        print(f"shape: {len(values)} files, {sum(values)} lines, median {statistics.median(values):.0f}, p95 {p95:.0f}, "
              f"longest {', '.join(f'{f} {lengths[f]}' for f in reversed(longest))}", file=sys.stderr)
        def code(files):
            return sum(1 for f in files for line in read(f).splitlines() if line.strip() and not line.strip().startswith("//"))
        programs = ("broker.cc", "holder.cc", "starter.cc", "setuid.cc", "setuid.h")
        privileged = [f for f in lengths if re.fullmatch(r"launcher/broker/[^/]+", f) or f in ["launcher/main/" + p for p in programs]]
        # What the setuid starter runs before it drops; the rest of launcher/broker is the broker's and the holder's.
        starters = [f for f in privileged if re.search(r"/(setuid|starter|identity|half_born|container_birth|image_mount|conf|"
                                                       r"exec_policy|holder_client|host_rules)\.(cc|h)$|/holder\.h$", f)]
        parser = [f for f in lengths if re.fullmatch(r"launcher/spec/starter_conf\.(cc|h)", f)]
        print(f"shape: what runs as root (launcher/broker, its programs in launcher/main): {sum(lengths[f] for f in privileged)} lines, "
              f"{code(privileged)} without blanks and comments (promise: 3000), {code(starters)} of them the starter's (promise: 1500); "
              f"beside it the parser of starter.conf, {code(parser)}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True)
    parser.add_argument("--build", required=True)
    ARGS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=1)
