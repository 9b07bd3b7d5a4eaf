// SPDX-License-Identifier: Apache-2.0
#include "launcher/client/way.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/os/socket.h"
#include "base/text/text.h"
#include "launcher/client/own_copy.h"
#include "launcher/spec/broker_protocol.h"
#include "launcher/spec/init_protocol.h"

namespace slipway {
namespace {

constexpr Way kAll[] = {Way::kBrokered, Way::kSetuid, Way::kRootless};

Result<UniqueFd> AskBroker(const std::string& path, const std::string& frame, int fd) {
  auto socket = ConnectUnix(path, SOCK_SEQPACKET);
  if (!socket)
    return Fail(Code::kUnavailable, "no slipway-broker serves users here (", socket.error().message, ")");
  // One who refuses us before he was asked has said so: what he said is read all the same.
  [[maybe_unused]] auto sent = SendMessage(socket->get(), frame, {fd});
  return socket;
}

// The answer's payload.
Result<std::string> HearBroker(int socket, BrokerFrame wanted) {
  Message answer = TRY_CONTEXT(ReceiveMessage(socket), "the broker did not answer");
  auto split = TRY(SplitFrame<BrokerFrame>(answer.bytes));
  if (split.kind == BrokerFrame::kError) {
    auto error = TRY(Decode<BrokerError>(split.payload, "the broker's answer"));
    return Fail(static_cast<Code>(error.code), error.message);
  }
  if (split.kind != wanted)
    return Fail(Code::kInternal, "the broker sent frame ", static_cast<int>(split.kind));
  return std::string(split.payload);
}

Result<Entered> BeginBrokered(const WayRequest& request) {
  // A terminal is handed through by us, which a process in the background may not do.
  if (::isatty(0) == 1 && ::tcgetpgrp(0) != ::getpgrp())
    return Fail(Code::kFailedPrecondition, "we are in the background of a terminal");
  SocketEnds ends = TRY(MakeSocketPair(SOCK_SEQPACKET));
  Entered begun;
  begun.way = Way::kBrokered;
  begun.broker =
      TRY(AskBroker(request.exec_socket,
                    EncodeFrame(BrokerFrame::kExec, ExecRequest{.digest = request.digest,
                                                                .pid_namespace = request.pid_namespace,
                                                                .changes_image = request.changes_image}),
                    ends.b.get()));
  begun.control = std::move(ends.a);
  return begun;
}

Result<> CheckSetuid(const std::string& starter) {
  struct stat info;
  if (::stat(starter.c_str(), &info) < 0) return ErrnoFail("stat", starter);
  if (info.st_uid != 0 || (info.st_mode & S_ISUID) == 0)
    return Fail(Code::kFailedPrecondition, starter, " is not installed setuid root");
  // Where the kernel would not give it its owner's rights, it is not asked: it would say so on stderr.
  struct statvfs on;
  if (::statvfs(starter.c_str(), &on) == 0 && (on.f_flag & ST_NOSUID) != 0)
    return Fail(Code::kFailedPrecondition, starter, " is on a file system mounted nosuid");
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
    return Fail(Code::kFailedPrecondition, "this process may gain no privileges (no_new_privs)");
  return {};
}

Result<Entered> StartStarter(const WayRequest& request, Way way) {
  std::vector<std::string> arguments;
  if (!request.digest.empty()) arguments.push_back(request.digest);
  if (!request.digest.empty() && request.changes_image) arguments.push_back("changes");
  if (way == Way::kRootless) arguments = request.rootless_arguments;
  StarterProcess started =
      TRY(SpawnStarter(request.starter, way == Way::kSetuid ? "exec" : "rootless", arguments));
  Entered entered;
  entered.way = way;
  entered.starter = std::move(started.process);
  entered.control = std::move(started.control);
  return entered;
}

Result<Entered> Begin(const WayRequest& request, Way way) {
  if (way != Way::kRootless && !request.why_own_namespace.empty())
    return Fail(Code::kFailedPrecondition, request.why_own_namespace);
  if (way == Way::kBrokered) return BeginBrokered(request);
  if (way == Way::kSetuid) TRY(CheckSetuid(request.starter));
  if (way == Way::kRootless && !request.digest.empty())
    return Fail(Code::kFailedPrecondition,
                "the node's store is root's: its images take the broker or the setuid starter");
  return StartStarter(request, way);
}

Result<> HearSetuid(Entered& entered) {
  auto first = ReceiveMessage(entered.control.get());
  auto refused = [&](std::string reason) -> Result<> {
    auto ended = entered.starter.Wait();
    bool spoke = ended && ended->exit_code() == kStarterRefused;
    return Fail(Code::kPermissionDenied, spoke ? "slipway-starter refused (its words are above)" : reason);
  };
  if (!first) return refused("slipway-starter ended without a word");
  auto frame = TRY(SplitFrame<InitFrame>(first->bytes));
  if (frame.kind == InitFrame::kBorn) return {};
  return refused(Decode<std::string>(frame.payload, "refusal").value_or("malformed refusal"));
}

Result<> HearAnswer(Entered& entered) {
  if (entered.way == Way::kSetuid) return HearSetuid(entered);
  if (entered.way != Way::kBrokered) return {};
  std::string started = TRY(HearBroker(entered.broker.get(), BrokerFrame::kStarted));
  entered.init = static_cast<pid_t>(TRY(Decode<Answer>(started, "the broker's answer")).id);
  return {};
}

Result<std::string> ImportBySetuid(const WayRequest& request, int image_fd, bool as_is) {
  TRY(CheckSetuid(request.starter));
  Output output = TRY(RunAndCapture(
      {.argv = {request.starter, as_is ? "import-as-is" : "import", "3"}, .fds = {{3, image_fd}}}));
  std::string digest = output.out.substr(0, output.out.find('\n'));
  if (output.status.wait_status != 0)
    return Fail(Code::kFailedPrecondition, "slipway-starter failed (its words are above)");
  return digest;
}

}  // namespace

std::string_view NameOf(Way way) {
  constexpr std::string_view kNames[] = {"brokered", "setuid", "rootless"};
  return kNames[static_cast<int>(way)];
}

Result<std::optional<Way>> ParseWay(std::string_view text) {
  if (text.empty() || text == "auto") return std::optional<Way>();
  for (Way way : kAll) {
    if (NameOf(way) == text) return std::optional(way);
  }
  return Fail(Code::kInvalidArgument, "--way '", text.substr(0, 64),
              "': it is brokered, setuid, rootless or auto");
}

Result<> Entrance::BeginNext() {
  while (next_ < std::size(kAll)) {
    Way way = kAll[next_++];
    if (request_.only && *request_.only != way) continue;
    auto begun = slipway::Begin(request_, way);
    if (begun) {
      begun_ = std::move(*begun);
      return {};
    }
    passed_over_.push_back(Cat(NameOf(way), ": ", begun.error().message));
  }
  return Fail(Code::kFailedPrecondition, "no way to make this container: ", Join(passed_over_, "; "));
}

Result<Entrance> Entrance::Begin(WayRequest request) {
  Entrance entrance(std::move(request));
  TRY(entrance.BeginNext());
  return entrance;
}

Result<Entered> Entrance::Await(const std::function<Result<>(const Entered&)>& send) && {
  for (;;) {
    TRY(send(begun_));
    auto heard = HearAnswer(begun_);
    if (heard) break;
    passed_over_.push_back(Cat(NameOf(begun_.way), ": ", heard.error().message));
    TRY(BeginNext());
  }
  begun_.passed_over = std::move(passed_over_);
  return std::move(begun_);
}

Result<StarterProcess> SpawnStarter(const std::string& starter, const std::string& way,
                                    const std::vector<std::string>& arguments) {
  SocketEnds ends = TRY(MakeSocketPair(SOCK_SEQPACKET));
  SpawnOptions options;
  options.argv = {starter, way, "3"};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.fds = {{3, ends.b.get()}};
  // A setuid one is root's and cannot be written; a copy of it would have no rights.
  UniqueFd copy = TRY(SealedCopyIfWritable(starter));
  if (copy) {
    options.argv[0] = "/proc/self/fd/4";
    options.fds.emplace_back(4, copy.get());
  }
  StarterProcess started;
  started.process = TRY(Spawn(options));
  started.control = std::move(ends.a);
  return started;
}

Result<std::string> ImportIntoStore(const WayRequest& request, int image_fd, bool as_is) {
  std::vector<std::string> why;
  if (request.only.value_or(Way::kBrokered) == Way::kBrokered) {
    auto asked = [&]() -> Result<std::string> {
      UniqueFd socket = TRY(AskBroker(
          request.exec_socket, EncodeFrame(BrokerFrame::kImportImage, ImportRequest{1, as_is}), image_fd));
      return HearBroker(socket.get(), BrokerFrame::kImported);
    }();
    if (asked) return TRY(Decode<ImportedImage>(*asked, "imported image")).digest;
    // What cannot be parsed there cannot be parsed elsewhere.
    if (asked.error().code == Code::kInvalidArgument) return Failure(std::move(asked).error());
    why.push_back(Cat("brokered: ", asked.error().message));
  }
  if (request.only.value_or(Way::kSetuid) == Way::kSetuid) {
    auto digest = ImportBySetuid(request, image_fd, as_is);
    if (digest) return digest;
    why.push_back(Cat("setuid: ", digest.error().message));
  }
  if (why.empty()) why.push_back("rootless: the node's store is root's");
  return Fail(Code::kFailedPrecondition,
              "--import: the node's store takes the broker or the setuid starter: ", Join(why, "; "));
}

}  // namespace slipway
