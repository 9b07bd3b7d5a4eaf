// SPDX-License-Identifier: Apache-2.0
// The batch step's rendezvous hears the stepds of all of the job's steps, any of which a rank may have taken
// over; what they say in whatever order must not bring it down, nor have it answer twice, talk to whom it
// does not know or stop a command that it did not start.
//
// An input is a list of acts in the wire format, so that the seeds are messages as the stepds send them: each
// a byte for what, one for who, two for the service (or a number), a string for the data.
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "pmix/exchange/packed.h"
#include "pmix/exchange/rendezvous.h"
#include "tests/fuzz/exchange_frames.h"

namespace {

using namespace slipway;

enum class What : std::uint8_t {
  kRequest,
  kAnswer,
  kMessage,
  kBytes,
  kStepGone,
  kNodeGone,
  kLaunchEnded,
  kTick,
  kResend,
  kCount
};
struct Act {
  std::uint8_t what = 0, who = 0;
  std::uint16_t number = 0;
  std::string data;
};
void Fields(auto& archive, IsA<Act> auto& v) { archive(v.what, v.who, v.number, v.data); }

class Job {
 public:
  // False: the member said what ends its connection.
  bool Do(const Act& act) {
    Rendezvous::Member who = WhoIs(act.who);
    switch (static_cast<What>(act.what % static_cast<int>(What::kCount))) {
      case What::kRequest:
        return Send(who, {.kind = fuzz::Message::kRequest,
                          .name = ++peers_[who].asked,
                          .number = act.number,
                          .data = Pack(act.data)});
      case What::kAnswer:
        return Send(who, {.kind = fuzz::Message::kAnswer, .name = act.number, .data = Pack(act.data)});
      case What::kMessage:
        own_numbers_ = false;
        return Send(who, {.kind = static_cast<std::uint8_t>(act.number & 7),
                          .name = static_cast<std::uint64_t>(act.number >> 8),
                          .number = static_cast<std::uint64_t>(act.number >> 3 & 3),
                          .ok = false,
                          .data = act.data});
      case What::kBytes:
        own_numbers_ = false;
        return rendezvous_.Deliver(who, act.data).has_value();
      case What::kStepGone:
        rendezvous_.StepGone(who, "fuzz");
        return true;
      case What::kNodeGone:
        rendezvous_.NodeGone(who.node, "fuzz");
        return true;
      case What::kLaunchEnded:
        running_.erase(act.number);
        rendezvous_.LaunchEnded(act.number, act.who);
        return true;
      case What::kTick:
        if (rendezvous_.wants_tick()) rendezvous_.Tick();
        return true;
      default:
        rendezvous_.Resend();
        return true;
    }
  }

 private:
  struct Peer {
    std::uint64_t sent = 0, heard = 0, asked = 0;
    std::set<std::uint64_t> answered;
  };

  static Rendezvous::Member WhoIs(std::uint8_t who) {
    return {.step = 1U + who % 3, .node = who / 3 % 2 == 0 ? "n1" : "n2"};
  }

  bool Send(const Rendezvous::Member& who, const fuzz::Message& message) {
    Peer& peer = peers_[who];
    fuzz::LinkFrame frame{.sequence = ++peer.sent, .acknowledged = peer.heard, .piece = Encode(message)};
    return rendezvous_.Deliver(who, Encode(frame)).has_value();
  }

  void Hear(const Rendezvous::Member& to, const std::string& bytes, const std::string& gone) {
    CHECK(bytes.empty() != gone.empty());
    if (!gone.empty()) return;
    Peer& peer = peers_[to];
    auto frame = Decode<fuzz::LinkFrame>(bytes, "frame");
    CHECK(frame.has_value());
    if (frame->sequence <= peer.heard) return;  // an acknowledgement alone, or sent again
    CHECK(frame->sequence == peer.heard + 1);
    peer.heard = frame->sequence;
    auto message = Decode<fuzz::Message>(frame->piece, "message");
    CHECK(!frame->last || message.has_value());
    if (!message || message->kind != fuzz::Message::kAnswer) return;
    bool first = peer.answered.insert(message->name).second;
    CHECK(message->name <= peer.asked || !own_numbers_);
    CHECK(first || !own_numbers_);
  }

  std::map<Rendezvous::Member, Peer> peers_;
  std::set<std::uint64_t> running_;  // commands
  std::uint64_t last_ticket_ = 0;
  bool own_numbers_ = true;  // of requests: else one may come twice

  Rendezvous rendezvous_{{
      .send = [this](const Rendezvous::Member& to, const std::string& bytes,
                     const std::string& gone) { Hear(to, bytes, gone); },
      .launch = [this](std::uint64_t ticket, const JobLaunch& launch) -> Result<> {
        CHECK(ticket > last_ticket_);
        last_ticket_ = ticket;
        if (launch.limit_s % 4 == 3) return Fail(Code::kUnavailable, "fuzz");
        running_.insert(ticket);
        CHECK(running_.size() <= kLaunchesMax);
        return {};
      },
      .stop = [this](std::uint64_t ticket) { CHECK(running_.contains(ticket)); },
  }};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view all(reinterpret_cast<const char*>(data), size);
  Job job;
  while (!all.empty()) {
    WireReader reader(all);
    Act act;
    reader(act);
    if (reader.failed()) break;
    all.remove_prefix(all.size() - reader.bytes_left());
    if (!job.Do(act)) break;
  }
  return 0;
}
