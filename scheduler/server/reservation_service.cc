// SPDX-License-Identifier: Apache-2.0
// Reservations over gRPC. A change says what is to be other than it is, so the whole is put together on the
// owner's thread, from the state as it is then.
#include "api/status.h"
#include "scheduler/server/auth.h"
#include "scheduler/server/convert.h"
#include "scheduler/server/head.h"
#include "scheduler/server/services.h"
#include "scheduler/server/users.h"
#include "slipway/v1/reservation.grpc.pb.h"

namespace slipway::scheduler {
namespace {

constexpr int kNamesMax = 1'000'000, kUsersMax = 10'000;

// Names of users may have to be asked for: not on the owner's thread.
Result<std::vector<ReservationUser>> UsersOf(const v1::ReservationSpec& in) {
  std::vector<ReservationUser> users;
  for (const std::string& name : in.users().names()) {
    UserName who = TRY(WhoIs(name));
    users.push_back({who.uid, who.name});
  }
  return users;
}

Result<> CheckBounds(const v1::ReservationSpec& in) {
  constexpr std::int64_t kTimeMsMax = 253'402'300'799'000;
  if (in.start_ms() < 0 || in.start_ms() > kTimeMsMax)
    return Fail(Code::kInvalidArgument, "the start is no time");
  if (in.nodes().names_size() > kNamesMax) return Fail(Code::kInvalidArgument, "too many nodes");
  if (in.users().names_size() > kUsersMax)
    return Fail(Code::kInvalidArgument, "a reservation is for at most ", kUsersMax, " users");
  for (unsigned char c : in.comment() + in.partition() + in.features() + in.name()) {
    if (c < 0x20 || c == 0x7f) return Fail(Code::kInvalidArgument, "control characters are not allowed");
  }
  return {};
}

class ReservationService final : public v1::Reservations::CallbackService {
 public:
  explicit ReservationService(ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* call, const v1::ListReservationsRequest*,
                                 v1::ListReservationsReply* reply) override {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) return Refuse(reactor, by.error());
    context_.loop.Post([this, reactor, reply] {
      context_.head.AfterCommit([this, reactor, reply] {
        const State& state = context_.head.state();
        for (const auto& [name, reservation] : state.reservations)
          ToProto(state, reservation, context_.head.Now(), reply->add_reservations());
        reactor->Finish(grpc::Status::OK);
      });
    });
    return reactor;
  }

  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* call, const v1::ReservationSpec* in,
                                   v1::Reservation* reply) override {
    return Set(call, in, reply, true);
  }
  grpc::ServerUnaryReactor* Update(grpc::CallbackServerContext* call, const v1::ReservationSpec* in,
                                   v1::Reservation* reply) override {
    return Set(call, in, reply, false);
  }

  grpc::ServerUnaryReactor* Remove(grpc::CallbackServerContext* call, const v1::RemoveReservationRequest* in,
                                   v1::RemoveReservationReply*) override {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) return Refuse(reactor, by.error());
    context_.loop.Post([this, reactor, by = *by, in] {
      context_.head.ChangeReservations(by, ReservationRemoved{in->name()}, [reactor](Result<Answer> answer) {
        reactor->Finish(answer ? grpc::Status::OK : ToStatus(answer.error()));
      });
    });
    return reactor;
  }

 private:
  static grpc::ServerUnaryReactor* Refuse(grpc::ServerUnaryReactor* reactor, const Error& error) {
    reactor->Finish(ToStatus(error));
    return reactor;
  }

  grpc::ServerUnaryReactor* Set(grpc::CallbackServerContext* call, const v1::ReservationSpec* in,
                                v1::Reservation* reply, bool create) {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) return Refuse(reactor, by.error());
    // Before anybody is looked up for him; the core asks again.
    if (!by->admin)
      return Refuse(reactor, Error{Code::kPermissionDenied, 0, "reservations are made by administrators"});
    if (auto good = CheckBounds(*in); !good) return Refuse(reactor, good.error());
    auto users = UsersOf(*in);
    if (!users) return Refuse(reactor, users.error());
    context_.loop.Post([=, this, by = *by, users = std::move(*users)]() mutable {
      ReservationRequest request =
          ReservationRequestOf(context_.head.state(), *in, std::move(users), context_.head.Now(), create);
      context_.head.ChangeReservations(by, std::move(request), [=, this](Result<Answer> answer) {
        if (!answer) return reactor->Finish(ToStatus(answer.error()));
        const State& state = context_.head.state();
        if (auto made = state.reservations.find(in->name()); made != state.reservations.end())
          ToProto(state, made->second, context_.head.Now(), reply);
        reactor->Finish(grpc::Status::OK);
      });
    });
    return reactor;
  }

  ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeReservationService(ServiceContext& context) {
  return std::make_unique<ReservationService>(context);
}

}  // namespace slipway::scheduler
