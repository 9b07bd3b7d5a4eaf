// SPDX-License-Identifier: Apache-2.0
// `slipway`: what needs no cluster is done here, within a millisecond of starting; image files are
// slipway-images' and everything else is slipway-remote's, which carry the libraries for it.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "cli/front/container_commands.h"
#include "cli/front/instance_commands.h"
#include "cli/gpu/declared/declared.h"
#include "cli/images/declared/declared.h"
#include "launcher/client/container_run.h"

int main(int argc, char** argv) {
  // A closed standard stream would become the number of the next file that we open, and be handed to the
  // container.
  for (int fd : {0, 1, 2}) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd) return 125;
  }
  // Called by another name (sbatch, …): slipway-remote knows which.
  const char* slash = std::strrchr(argv[0], '/');
  bool by_own_name = std::strcmp(slash != nullptr ? slash + 1 : argv[0], "slipway") == 0;
  std::string command = argc > 1 && by_own_name ? argv[1] : "";
  if (command == "exec" || command == "run" || command == "shell") {
    return slipway::cli::RunContainerCommand(command, std::vector<std::string>(argv + 2, argv + argc));
  }
  if (command == "instance") {
    return slipway::cli::RunInstanceCommand(std::vector<std::string>(argv + 2, argv + argc));
  }
  const char* companion = slipway::cli::IsImageFileCommand(command) ? "slipway-images"
                          : command == slipway::cli::kGpuWord       ? "slipway-gpu"
                                                                    : "slipway-remote";
  auto remote = slipway::FindCompanion(companion);
  if (!remote) {
    std::fprintf(stderr, "slipway: exec, run, shell and instance work without it, but '%s' needs %s: %s\n",
                 command.c_str(), companion, remote.error().message.c_str());
    return 125;
  }
  ::execv(remote->c_str(), argv);
  std::perror(("slipway: " + *remote).c_str());
  return 125;
}
