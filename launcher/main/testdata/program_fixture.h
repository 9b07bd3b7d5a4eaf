// SPDX-License-Identifier: Apache-2.0
// slipway-broker and slipway-holder, the programs, on an image that can run a shell.
#pragma once

#include "launcher/broker/testdata/broker_fixture.h"

namespace slipway {

inline Result<> Exec(const char* program, const std::string& config) {
  ::execl(program, program, "--config", config.c_str(), nullptr);
  return ErrnoFail("exec", program);
}

struct Programs : BrokerFixture {
  Result<> BeBroker() override { return Exec(SLIPWAY_BROKER, dir + "/starter.conf"); }
  Result<> BeHolder() override { return Exec(SLIPWAY_HOLDER, dir + "/starter.conf"); }

  // A root that can run a shell: the programs, and the libraries that ldd names.
  void MakeImage() override {
    std::string root = dir + "/root";
    std::string script = Cat(
        "set -e; mkdir -p ", root, "/bin ", root, "/etc ", root, "/tmp ", root, "/proc ", root, "/dev ", root,
        "/sys; cd ", root,
        "; for p in /bin/sh /usr/bin/id /bin/cat /bin/sleep /usr/bin/readlink /bin/true /bin/stty; do cp $p "
        "bin/; ldd $p; done | grep -o '/[^ ]*' | sort -u | "
        "while read l; do mkdir -p .$(dirname $l); cp -L $l .$l; done; echo from the "
        "image > hello; chmod 0755 .");
    ASSERT_EQ(RunAndCapture({.argv = {"sh", "-c", script}})->status.exit_code(), 0);
    image_file = dir + "/image.sqsh";
    auto made = RunAndCapture({.argv = {"mksquashfs", root, image_file, "-noappend", "-quiet", "-no-progress",
                                        "-all-root", "-processors", "1"}});
    ASSERT_TRUE(made && made->status.exit_code() == 0);
    digest = DigestOfFile(Open(image_file, O_RDONLY).value().get()).value();
  }
};

}  // namespace slipway
