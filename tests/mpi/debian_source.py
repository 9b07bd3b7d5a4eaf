# SPDX-License-Identifier: Apache-2.0
"""The sources of a Debian package as upstream released them, of the suite that this machine is of: where tests come from that
Debian does not pack."""
import pathlib
import subprocess

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def _source_lines(suite):
    """This machine's own mirrors of `suite`, as lines of deb-src: its apt may know of binaries alone."""
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages", "Component: main"],
                          check=True, capture_output=True, text=True)
    mirrors = {tuple(line.split()) for line in done.stdout.splitlines()}
    lines = [f"deb-src [signed-by={KEYRING}] {site} {suite} main" for site, release in sorted(mirrors) if release == suite]
    assert lines, f"apt knows no mirror of {suite}; apt-get update, or a deb line for it"
    return lines


def debian_source(package, folder, suite="bookworm"):
    """Unpacks the newest upstream release of `package` that `suite` has below `folder`; returns the sources' folder. Raises
    AssertionError with apt's own words where the mirror does not have them."""
    folder = pathlib.Path(folder)
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "sources.list").write_text("\n".join(_source_lines(suite)) + "\n")
    apt = ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=-",
           "-o", f"Dir::State::lists={folder}/lists", "-o", "APT::Sandbox::User=root"]
    for words in (["update"], ["source", "--download-only", package]):
        done = subprocess.run([*apt, *words], cwd=folder, capture_output=True, text=True)
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        assert done.returncode == 0, f"the mirror has no sources of {package} ({suite}): {'; '.join(errors)}"
    archive = next(folder.glob("*.orig.tar.*"))
    (folder / "source").mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", folder / "source", "--strip-components=1"], check=True)
    return folder / "source"
