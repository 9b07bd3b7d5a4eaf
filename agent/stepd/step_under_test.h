// SPDX-License-Identifier: Apache-2.0
// For tests: a whole step on N emulated nodes. Each node is the real slipway-stepd with a fake container's
// init; the test is every node's agent and the network between them.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/stepd/fake_init.h"
#include "base/loop/epoll_loop.h"
#include "base/os/process.h"
#include "base/os/socket.h"
#include "base/wire/stream.h"
#include "launcher/spec/step_protocol.h"
#include "launcher/spec/step_spec.h"

namespace slipway {

// `ranks` spread over `nodes` in blocks.
inline StepSpec SpecOf(std::uint32_t nodes, std::uint32_t ranks, std::vector<std::string> argv) {
  StepSpec spec;
  spec.step = {.job = 7, .attempt = 1, .step = 0};
  spec.cluster = "test";
  spec.job_name = "job";
  spec.user = "somebody";
  spec.home = "/";
  spec.uid = ::getuid();
  spec.gid = ::getgid();
  std::uint32_t next = 0;
  for (std::uint32_t node = 0; node < nodes; ++node) {
    spec.nodes.push_back(Cat("tnode", node));
    std::uint32_t count = ranks / nodes + (node < ranks % nodes ? 1 : 0);
    spec.tasks_per_node.push_back(count);
    spec.ranks.emplace_back();
    for (std::uint32_t i = 0; i < count; ++i) spec.ranks.back().push_back(next++);
  }
  spec.argv = std::move(argv);
  spec.cwd = "/";
  spec.env = {"LC_ALL=C"};
  return spec;
}

class StepUnderTest {
 public:
  struct Node {
    Process stepd, init;
    UniqueFd socket, status;
    Loop::WatchId watch;
    FrameReader reader;
    std::optional<StepState> state;
    std::optional<StepResult> result;
    std::string out, err;  // of all its ranks
    std::string path;
    bool lost = false;
  };

  // `starter`: the real slipway-starter as each node's init, instead of the fake one.
  explicit StepUnderTest(StepSpec spec, std::string starter = {})
      : spec_(std::move(spec)), starter_(std::move(starter)), loop_(*EpollLoop::Make()) {
    dir_ = *MakeTempDirectory("/tmp", "stepd-test-");
    for (std::uint32_t i = 0; i < spec_.nodes.size(); ++i) StartNode(i);
  }
  ~StepUnderTest() {
    for (auto& node : nodes_) {
      if (node->stepd) (void)node->stepd.Signal(SIGKILL);
      if (node->stepd) (void)node->stepd.Wait();
      if (node->init) (void)node->init.Wait();  // it goes with its socket
    }
    (void)RemoveTree(dir_);
  }

  Node& operator[](std::size_t i) { return *nodes_[i]; }
  std::string Dir() const { return dir_; }
  bool carry_exchange = true;
  bool grant_credit = true;
  // What the nodes say to one another is kept, by whom it is for, until Release.
  bool hold_exchange = false;
  const std::vector<StepExchange>& Held(std::size_t to) { return held_[to]; }
  // In one piece, so that it is read in one turn of that node's loop.
  void Release(std::size_t to) {
    std::string bytes;
    for (const StepExchange& held : held_[to]) bytes += WithLength(EncodeFrame(StepFrame::kExchangeIn, held));
    held_[to].clear();
    (void)WriteAll(nodes_[to]->socket.get(), bytes);
  }

  void Attach(std::size_t i) {
    Node& node = *nodes_[i];
    Detach(i);
    node.reader = FrameReader();
    node.socket = *ConnectUnix(node.path, SOCK_STREAM);
    node.watch = *loop_->Watch(node.socket.get(), EPOLLIN, [this, i](std::uint32_t) { OnReadable(i); });
    Send(i, StepFrame::kAttach, StepAttach{});
  }
  void Detach(std::size_t i) {
    Node& node = *nodes_[i];
    if (!node.socket) return;
    loop_->Unwatch(node.watch);
    node.socket.reset();
  }
  // Its stepd and all its ranks die at once, and every other node's agent says so.
  void LoseNode(std::size_t i, const std::string& reason) {
    Node& node = *nodes_[i];
    Detach(i);
    (void)node.stepd.Signal(SIGKILL);
    (void)node.init.Wait();  // it goes with its socket, and its ranks with it
    for (std::size_t other = 0; other < nodes_.size(); ++other) {
      if (other != i && nodes_[other]->socket)
        Send(other, StepFrame::kPeerGone, StepPeerGone{static_cast<std::uint32_t>(i), reason});
    }
  }
  template <class T>
  void Send(std::size_t i, StepFrame kind, const T& payload) {
    (void)WriteAll(nodes_[i]->socket.get(), WithLength(EncodeFrame(kind, payload)));
  }
  void Acknowledge(std::size_t i) {
    WireWriter frame;
    frame(static_cast<std::uint16_t>(StepFrame::kAcknowledge));
    (void)WriteAll(nodes_[i]->socket.get(), WithLength(frame.Take()));
  }

  // False after `limit`.
  bool RunUntil(std::function<bool()> done, std::chrono::seconds limit = std::chrono::seconds(30)) {
    done_ = std::move(done);
    bool late = false;
    auto timer = loop_->After(limit, [&] {
      late = true;
      loop_->Stop();
    });
    if (!done_()) loop_->Run();
    loop_->Cancel(timer);
    done_ = nullptr;
    return !late;
  }
  bool RunToEnd(std::chrono::seconds limit = std::chrono::seconds(30)) {
    return RunUntil(
        [this] {
          for (auto& node : nodes_) {
            if (!node->result) return false;
          }
          return true;
        },
        limit);
  }

 private:
  void StartNode(std::uint32_t i) {
    auto node = std::make_unique<Node>();
    StepSpec spec = spec_;
    spec.node_index = i;
    auto control = *MakeSocketPair(SOCK_SEQPACKET);
    if (!starter_.empty()) {
      node->init = *Spawn({.argv = {starter_, "rootless", "3"}, .fds = {{3, control.b.get()}}});
    } else if (node->init = *Clone3({}); !node->init) {
      int fd = control.b.release();
      // Only what it is told of: a copy of a neighbour's socket would keep that neighbour alive.
      for (int other = 3; other < 256; ++other) {
        if (other != fd) ::close(other);
      }
      FakeInit(fd, spec.nodes[i]).Run();
    }
    control.b.reset();
    node->path = Cat(dir_, "/sock", i);
    UniqueFd listener = *ListenUnix(node->path, SOCK_STREAM, 0600);
    node->status = *Open(Cat(dir_, "/status", i), O_RDWR | O_CREAT, 0600);
    UniqueFd memfd = *MakeSealedMemfd("spec", Encode(spec));
    auto stepd = Spawn(
        {.argv = {Cat(SLIPWAY_STEPD, OffersPmix(spec.mpi) ? "-pmix" : ""), "--spec-fd", "3", "--listen-fd",
                  "4", "--control-fd", "5", "--status-fd", "6", "--agent-uid", std::to_string(::getuid())},
         .fds = {{3, memfd.get()}, {4, listener.get()}, {5, control.a.get()}, {6, node->status.get()}},
         .parent_death_signal = SIGKILL});
    CHECK(stepd.has_value());
    node->stepd = std::move(*stepd);
    nodes_.push_back(std::move(node));
    Attach(i);
  }

  void OnReadable(std::size_t i) {
    Node& node = *nodes_[i];
    char buffer[64 << 10];
    ssize_t got = ::recv(node.socket.get(), buffer, sizeof buffer, 0);
    if (got <= 0) {
      node.lost = true;
      Detach(i);
    } else {
      node.reader.Feed({buffer, static_cast<std::size_t>(got)});
      while (auto frame = *node.reader.Next()) Handle(i, *frame);
    }
    if (done_ && done_()) loop_->Stop();
  }

  void Handle(std::size_t i, std::string_view bytes) {
    Node& node = *nodes_[i];
    auto frame = *SplitFrame<StepFrame>(bytes);
    if (frame.kind == StepFrame::kState) node.state = *Decode<StepState>(frame.payload, "state");
    if (frame.kind == StepFrame::kEnded) node.result = *Decode<StepResult>(frame.payload, "result");
    if (frame.kind == StepFrame::kOutput) {
      auto output = *Decode<StepOutput>(frame.payload, "output");
      (output.stream == 1 ? node.out : node.err) += output.bytes;
      if (grant_credit && !output.bytes.empty())
        Send(i, StepFrame::kCredit, static_cast<std::uint32_t>(output.bytes.size()));
    }
    if (frame.kind == StepFrame::kExchangeOut && carry_exchange) {
      auto exchange = *Decode<StepExchange>(frame.payload, "exchange");
      std::uint32_t to = exchange.node;
      exchange.node = static_cast<std::uint32_t>(i);
      if (hold_exchange)
        held_[to].push_back(std::move(exchange));
      else if (to < nodes_.size() && nodes_[to]->socket)
        Send(to, StepFrame::kExchangeIn, exchange);
    }
  }

  StepSpec spec_;
  std::string starter_, dir_;
  std::unique_ptr<EpollLoop> loop_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::function<bool()> done_;
  std::map<std::size_t, std::vector<StepExchange>> held_;
};

}  // namespace slipway
