// SPDX-License-Identifier: Apache-2.0
// Accounts over gRPC. A request says what is to change; the rest of an account stays, so the whole of it is
// put together on the owner's thread, from the state as it is then.
#include "api/status.h"
#include "scheduler/server/auth.h"
#include "scheduler/server/convert.h"
#include "scheduler/server/head.h"
#include "scheduler/server/limits_of.h"
#include "scheduler/server/services.h"
#include "scheduler/server/users.h"
#include "slipway/v1/account.grpc.pb.h"

namespace slipway::scheduler {
namespace {

class AccountService final : public v1::Accounts::CallbackService {
 public:
  explicit AccountService(ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* call, const v1::ListAccountsRequest*,
                                 v1::ListAccountsReply* reply) override {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) return Refuse(reactor, by.error());
    context_.loop.Post([this, reactor, reply] {
      context_.head.AfterCommit([this, reactor, reply] {
        ToProto(context_.head.state(), context_.head.Shares(), reply);
        reactor->Finish(grpc::Status::OK);
      });
    });
    return reactor;
  }

  grpc::ServerUnaryReactor* SetAccount(grpc::CallbackServerContext* call, const v1::SetAccountRequest* in,
                                       v1::ChangeAccountReply*) override {
    return Change(call, [this, in]() -> Result<AccountChange> {
      const State& state = context_.head.state();
      auto known = state.accounts.find(in->name());
      Account account{in->name(), in->name() == kRootAccount ? "" : kRootAccount, 1, "", {}};
      if (known != state.accounts.end()) account = known->second;
      if (in->has_parent()) account.parent = in->parent();
      if (in->has_shares()) account.shares = in->shares();
      if (in->has_description()) account.description = in->description();
      MergeLimits(in->limits(), account.limits);
      return AccountSet{std::move(account)};
    });
  }

  grpc::ServerUnaryReactor* RemoveAccount(grpc::CallbackServerContext* call,
                                          const v1::RemoveAccountRequest* in,
                                          v1::ChangeAccountReply*) override {
    return Change(call, [in]() -> Result<AccountChange> { return AccountRemoved{in->name()}; });
  }

  grpc::ServerUnaryReactor* SetUser(grpc::CallbackServerContext* call, const v1::SetUserRequest* in,
                                    v1::ChangeAccountReply*) override {
    auto who = WhoIs(in->user());  // may ask a directory: not on the owner's thread
    return Change(call, [this, in, who]() -> Result<AccountChange> {
      if (!who) return Failure(who.error());
      AssociationKey key{in->account(), who->uid};
      const Association* known = context_.head.state().FindAssociation(key);
      Association part = known != nullptr ? *known : Association{};
      part.user = who->name;
      part.implied = false;
      if (in->has_shares()) part.shares = in->shares();
      if (in->has_is_default()) part.is_default = in->is_default();
      MergeLimits(in->limits(), part.limits);
      return AssociationSet{std::move(key), std::move(part)};
    });
  }

  grpc::ServerUnaryReactor* RemoveUser(grpc::CallbackServerContext* call, const v1::RemoveUserRequest* in,
                                       v1::ChangeAccountReply*) override {
    auto who = WhoIs(in->user());
    return Change(call, [in, who]() -> Result<AccountChange> {
      if (!who) return Failure(who.error());
      return AssociationRemoved{{in->account(), who->uid}};
    });
  }

 private:
  static grpc::ServerUnaryReactor* Refuse(grpc::ServerUnaryReactor* reactor, const Error& error) {
    reactor->Finish(ToStatus(error));
    return reactor;
  }

  // `make` runs on the owner's thread.
  template <class Make>
  grpc::ServerUnaryReactor* Change(grpc::CallbackServerContext* call, Make make) {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) return Refuse(reactor, by.error());
    context_.loop.Post([this, reactor, by = *by, make] {
      Result<AccountChange> change = make();
      if (!change) return reactor->Finish(ToStatus(change.error()));
      context_.head.ChangeAccounts(by, std::move(*change), [reactor](Result<Answer> answer) {
        reactor->Finish(answer ? grpc::Status::OK : ToStatus(answer.error()));
      });
    });
    return reactor;
  }

  ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAccountService(ServiceContext& context) {
  return std::make_unique<AccountService>(context);
}

}  // namespace slipway::scheduler
