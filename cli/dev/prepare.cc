// SPDX-License-Identifier: Apache-2.0
#include "cli/dev/prepare.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/context.h"
#include "api/pki.h"
#include "base/os/fd.h"
#include "base/os/program.h"
#include "cli/habits/declared/declared.h"

namespace slipway::dev {
namespace {

const char* const kPrograms[] = {"slipway",        "slipway-remote",    "slipwayd",
                                 "slipway-agent",  "slipway-broker",    "slipway-holder",
                                 "slipway-import", "slipway-stepd",     "slipway-stepd-pmix",
                                 "slipway-gpu",    "slipway-squashfuse"};

Result<> Give(const std::string& path, const Identities& who) {
  if (who.rootless) return {};
  if (::lchown(path.c_str(), who.daemon_uid, who.daemon_gid) < 0) return ErrnoFail("chown", path);
  return {};
}

Result<> MakeOwned(const std::string& path, const Identities& who, unsigned mode = 0755) {
  TRY(MakeDirectories(path, mode));
  return Give(path, who);
}

Result<> Copy(const std::string& from, const std::string& to) {
  UniqueFd in = TRY(Open(from, O_RDONLY));
  UniqueFd out = TRY(Open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755));
  for (;;) {
    ssize_t n = ::copy_file_range(in.get(), nullptr, out.get(), nullptr, 1 << 30, 0);
    if (n == 0) return {};
    if (n < 0) break;
  }
  // Between some file systems the kernel does not copy; then we do.
  if (::lseek(in.get(), 0, SEEK_SET) < 0 || ::ftruncate(out.get(), 0) < 0 ||
      ::lseek(out.get(), 0, SEEK_SET) < 0)
    return ErrnoFail("copy", from);
  char buffer[1 << 16];
  for (ssize_t n; (n = ::read(in.get(), buffer, sizeof buffer)) != 0;) {
    if (n < 0) return ErrnoFail("read", from);
    TRY(WriteAll(out.get(), {buffer, static_cast<std::size_t>(n)}));
  }
  return {};
}

// A link is the program as it is now: a rebuild beside a running cluster does not exchange it. It is also
// readable where the folder that it was built in is not.
Result<> LinkProgram(const std::string& from, const std::string& to) {
  ::unlink(to.c_str());
  if (::link(from.c_str(), to.c_str()) == 0) return {};
  return Copy(from, to);
}

Result<> PrepareBroker(const Layout& layout, const Identities& who, const std::string& id,
                       const std::string& node, const std::string& folder) {
  TRY(MakeDirectories(folder + "/run"));
  TRY(MakeDirectories(folder + "/broker", 0755));
  return WriteFileAtomically(folder + "/starter.conf", BrokerConf(layout, who, id, node, folder));
}

Result<> PrepareNode(const Layout& layout, const Options& options, const Identities& who,
                     const std::string& id, unsigned k) {
  std::string name = NodeName(k), folder = layout.node(name);
  TRY(IssueNode(layout.cluster(), name));
  TRY(Give(Cat(layout.cluster(), "/nodes/", name, ".key"), who));
  TRY(PrepareBroker(layout, who, id, name, folder));
  TRY(MakeOwned(folder + "/state", who, 0700));
  TRY(MakeOwned(folder + "/client", who));
  TRY(MakeDirectories(folder + "/client/bin"));
  for (const char* program : {"slipway", "slipway-remote"})
    TRY(LinkProgram(Cat(layout.bin(), "/", program), Cat(folder, "/client/bin/", program)));
  // Batch scripts call us by the names that they know.
  for (const cli::Habit& habit : cli::Habits()) {
    std::string link = Cat(folder, "/client/bin/", habit.name);
    ::unlink(link.c_str());
    if (::symlink("slipway", link.c_str()) < 0) return ErrnoFail("symlink", link);
  }
  TRY(WriteFileAtomically(folder + "/client/ca.pem", TRY(ReadFile(layout.cluster() + "/ca.pem"))));
  Context inside{layout.name, Cat(kControllerAddress, ":6821"), "/run/slipway/client/ca.pem",
                 "/run/slipway/client/token.sock", ""};
  TRY(WriteContext(folder + "/client/context.toml", inside));
  return WriteFileAtomically(folder + "/slipway.toml", AgentToml(layout, options, id, k));
}

Result<> PrepareController(const Layout& layout, const Options& options, const Identities& who,
                           const std::string& id) {
  std::string dir = layout.controller();
  for (const char* key : {"/controller.key", "/signing.key"}) TRY(Give(layout.cluster() + key, who));
  TRY(MakeDirectories(dir));
  TRY(MakeOwned(dir + "/state", who, 0700));
  TRY(MakeOwned(dir + "/run", who));
  TRY(PrepareBroker(layout, who, id, "controller", dir + "/broker"));
  TRY(WriteFileAtomically(dir + "/slipway.toml", ControllerToml(layout, options, id)));
  return WriteContext(layout.context(),
                      Context{layout.name, "unix:" + layout.socket(), "", layout.token_socket(), ""});
}

}  // namespace

Identities IdentitiesOfCaller() {
  bool systemd = ::access("/run/systemd/system", F_OK) == 0;  // as sd_booted(3) has it
  if (::geteuid() != 0) return {true, ::geteuid(), ::geteuid(), ::getegid(), ::getegid(), systemd};
  return {false, kDaemonUid, kImportUid, kDaemonUid, kImportUid, systemd};
}

Result<> Prepare(const Layout& layout, const Options& options, const Identities& who,
                 const std::string& self) {
  TRY(MakeDirectories(layout.state));
  for (const char* folder : {"/log", "/run", "/bin"}) TRY(MakeDirectories(layout.state + folder));
  auto hosts = ReadFile("/etc/hosts");
  TRY(WriteFileAtomically(layout.hosts(),
                          HostsFile(hosts ? *hosts : "127.0.0.1\tlocalhost\n", options.nodes)));
  if (!options.daemons) return {};
  for (const char* program : kPrograms)
    TRY(LinkProgram(TRY(FindBeside(self, program)), Cat(layout.bin(), "/", program)));
  if (auto made = InitCluster(layout.cluster(), layout.name);
      !made && made.error().code != Code::kAlreadyExists)
    return Failure(std::move(made).error());
  std::string id = TRY(ReadClusterId(layout.cluster()));
  TRY(PrepareController(layout, options, who, id));
  for (unsigned k = 1; k <= options.nodes; ++k)
    TRY_CONTEXT(PrepareNode(layout, options, who, id, k), NodeName(k));
  return {};
}

}  // namespace slipway::dev
