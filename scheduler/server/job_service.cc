// SPDX-License-Identifier: Apache-2.0
#include "api/status.h"
#include "scheduler/server/auth.h"
#include "scheduler/server/convert.h"
#include "scheduler/server/fill_job.h"
#include "scheduler/server/head.h"
#include "scheduler/server/image_desk.h"
#include "scheduler/server/outbox.h"
#include "scheduler/server/services.h"
#include "scheduler/server/site_hooks.h"
#include "scheduler/server/users.h"
#include "scheduler/server/watch_job.h"
#include "scheduler/server/watcher_slot.h"
#include "slipway/v1/job.grpc.pb.h"

namespace slipway::scheduler {
namespace {

constexpr std::uint32_t kListMax = 10'000;
constexpr std::size_t kStdinBytesMax = 64 << 10;

// A task that is named as one of its array's.
Result<JobId> MeantBy(const State& state, const v1::GetJobRequest& request) {
  JobId id{request.job_id()};
  if (!request.has_array_task_id()) return id;
  auto array = state.arrays.find(id);
  if (array != state.arrays.end()) {
    const std::vector<std::uint32_t>& indices = array->second.spec->array->indices;
    auto place = std::ranges::lower_bound(indices, request.array_task_id());
    if (place != indices.end() && *place == request.array_task_id())
      return array->second.TaskId(static_cast<std::uint32_t>(place - indices.begin()));
  }
  return Fail(Code::kNotFound, "there is no job ", id.value, '_', request.array_task_id());
}

Result<CreateStep> PrepareStep(ServiceContext& context, const Requester& by,
                               const v1::CreateStepRequest& request) {
  CreateStep create = TRY(CreateStepOf(request));
  create.by = by;
  create.command.request_id = request.request_id();
  if (!request.image().empty()) create.command.image = TRY(context.images.Resolve(request.image(), by));
  return create;
}

// Loop's thread; `done` with the step's number once it cannot be lost.
void EnterStep(ServiceContext& context, CreateStep create, std::function<void(Result<std::uint32_t>)> done) {
  // A step without an image of its own runs in the job's.
  const Job* job = context.head.state().FindJob(create.job);
  const ImageRef& own = create.command.image;
  const ImageRef& image = own.digest.empty() && job != nullptr ? job->spec->command.image : own;
  if (auto can = context.images.CheckMpi(image, create.command.mpi); !can) return done(Failure(can.error()));
  context.head.Create(std::move(create), [done = std::move(done)](Result<Answer> answer) {
    if (!answer) return done(Failure(answer.error()));
    done(std::get<StepAccepted>(*answer).step.step);
  });
}

class AttachStream final : public grpc::ServerBidiReactor<v1::AttachInput, v1::AttachOutput>,
                           public ClientPort {
 public:
  AttachStream(ServiceContext& context, Result<Requester> by)
      : context_(context),
        slot_(context),
        outbox_([this](const v1::AttachOutput* message) { StartWrite(message); },
                [this](const Result<>& how) {
                  ServerBidiReactor::Finish(how ? grpc::Status::OK : ToStatus(how.error()));
                }) {
    if (auto room = slot_.Check(); by && !room) by = Failure(room.error());
    if (by) {
      by_ = *by;
      StartRead(&in_);
      return;
    }
    context_.loop.Post([this, error = by.error()] { outbox_.Finish(Failure(error)); });
  }
  void OnReadDone(bool ok) override {
    if (!ok || !in_.has_create()) return context_.loop.Post([this, ok] { Read(ok); });
    auto create = std::make_shared<Result<CreateStep>>(PrepareStep(context_, by_, in_.create()));
    context_.loop.Post([this, create] { Create(std::move(*create)); });
  }
  void OnWriteDone(bool ok) override {
    context_.loop.Post([this, ok] { outbox_.Written(ok); });
  }
  void OnCancel() override {
    context_.loop.Post([this] {
      context_.head.relays().Detach(this);
      outbox_.Abort(Error{Code::kCancelled, 0, "cancelled"});
    });
  }
  void OnDone() override {
    context_.loop.Post([this] {
      context_.head.relays().Detach(this);
      *alive_ = false;
      delete this;
    });
  }
  void Send(const v1::AttachOutput& message, std::function<void()> written) override {
    outbox_.Send(message, std::move(written));
  }
  void Finish(Result<> how) override { outbox_.Finish(std::move(how)); }

 private:
  // Who goes away meanwhile leaves the step as if he had created it by a call.
  void Create(Result<CreateStep> create) {
    if (outbox_.closed()) return;
    if (attached_)
      return outbox_.Finish(Fail(Code::kInvalidArgument, "a step is created by the first message of Attach"));
    if (!create) return outbox_.Finish(Failure(create.error()));
    in_.set_job_id(create->job.value);
    EnterStep(context_, std::move(*create), [this, alive = alive_](Result<std::uint32_t> step) {
      if (!*alive || outbox_.closed()) return;
      if (!step) return outbox_.Finish(Failure(step.error()));
      in_.set_step_id(*step);
      v1::AttachOutput created;
      created.set_step_id(*step);
      outbox_.Send(created, [] {});
      Read(true);
    });
  }
  void Read(bool ok) {
    if (outbox_.closed()) return;
    if (!attached_) {
      if (!ok)
        return outbox_.Finish(Fail(Code::kInvalidArgument, "the first message of Attach says which step"));
      JobId job{in_.job_id()};
      auto may = context_.head.CheckOwner(job, by_);
      if (may) may = context_.head.relays().Attach(job, in_.step_id(), this);
      if (!may) return outbox_.Finish(may);
      attached_ = true;
    }
    if (in_.stdin().size() > kStdinBytesMax)
      return outbox_.Finish(Fail(Code::kInvalidArgument, "stdin: at most 64 KiB a message"));
    StdinPiece piece;
    if (ok) {
      piece.data = std::move(*in_.mutable_stdin());
      piece.eof = in_.stdin_eof();
      if (in_.has_terminal()) piece.terminal = in_.terminal();
      piece.signal = in_.signal() >= 0 && in_.signal() <= 64 ? in_.signal() : 0;
    }
    in_.Clear();
    if (!ok) return;  // the client has closed its side; it said so before if that is the end of stdin, too
    context_.head.relays().Feed(this, std::move(piece), [this] {
      if (!outbox_.closed()) StartRead(&in_);
    });
  }
  ServiceContext& context_;
  WatcherSlot slot_;
  Outbox<v1::AttachOutput> outbox_;
  Requester by_;
  v1::AttachInput in_;
  bool attached_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

class JobService final : public v1::Jobs::CallbackService {
 public:
  explicit JobService(ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* call, const v1::SubmitRequest* request,
                                   v1::SubmitReply* reply) override {
    auto* reactor = call->DefaultReactor();
    auto by = Authenticate(*call, *request);
    if (!by) return Refuse(reactor, by.error());
    if (!context_.hooks.any()) {
      Enter(reactor, reply, Prepare(*by, *request), *request);
      return reactor;
    }
    auto user = LookUpUser(by->uid);
    if (!user) return Refuse(reactor, user.error());
    std::vector<v1::HookQuestion> questions(1 + static_cast<std::size_t>(request->components_size()));
    for (std::size_t i = 0; i < questions.size(); ++i) {
      questions[i].set_user(user->name);
      questions[i].set_uid(by->uid);
      questions[i].set_admin(by->admin);
      *questions[i].mutable_spec() = i == 0 ? request->spec() : request->components(static_cast<int>(i) - 1);
    }
    context_.hooks.Ask(std::move(questions), [this, reactor, reply, by = *by,
                                              request](Result<std::vector<v1::JobSpec>> specs) {
      if (!specs) return reactor->Finish(ToStatus(specs.error()));
      v1::SubmitRequest changed;
      changed.set_request_id(request->request_id());
      for (std::size_t i = 0; i < specs->size(); ++i)
        *(i == 0 ? changed.mutable_spec() : changed.add_components()) = std::move((*specs)[i]);
      changed.set_test_only(request->test_only());
      Enter(reactor, reply, Prepare(by, changed), changed);
    });
    return reactor;
  }

  // When and where it would start.
  void Ask(grpc::ServerUnaryReactor* reactor, v1::SubmitReply* reply, std::vector<JobSpec> specs) {
    if (specs.size() > 1)
      return reactor->Finish(ToStatus(Error{
          Code::kInvalidArgument, 0, "--test-only: not of a heterogeneous job; ask for each component"}));
    context_.loop.Post([this, reactor, reply, spec = std::move(specs.front())] {
      Result<std::optional<PlannedStart>> start = context_.head.WhenWould(spec);
      if (!start) return reactor->Finish(ToStatus(start.error()));
      reply->set_image_digest(spec.command.image.digest);
      if (*start) {
        reply->set_planned_start_ms((*start)->at.us / 1000);
        for (const PlannedNode& node : (*start)->nodes) reply->add_planned_nodes(node.node);
      }
      reactor->Finish(grpc::Status::OK);
    });
  }

  // The job, or a heterogeneous one's components.
  void Enter(grpc::ServerUnaryReactor* reactor, v1::SubmitReply* reply, Result<std::vector<JobSpec>> specs,
             const v1::SubmitRequest& request) {
    if (!specs) return reactor->Finish(ToStatus(specs.error()));
    if (request.test_only()) return Ask(reactor, reply, std::move(*specs));
    const std::uint32_t lease_s = request.spec().lease_s();
    context_.loop.Post(
        [this, reactor, reply, lease_s, specs = std::make_shared<std::vector<JobSpec>>(std::move(*specs))] {
          JobSpec spec = std::move(specs->front());
          specs->erase(specs->begin());
          std::string digest = spec.command.image.digest;
          for (const JobSpec& other : *specs) context_.images.NoteUse(other.command.image.digest);
          context_.head.Submit(std::move(spec), std::move(*specs), lease_s,
                               [this, reactor, reply, digest](Result<Answer> answer) {
                                 if (!answer) return reactor->Finish(ToStatus(answer.error()));
                                 JobId id = std::get<JobAccepted>(*answer).job;
                                 reply->set_job_id(id.value);
                                 reply->set_image_digest(digest);
                                 // Sent again, it is the first submission's digest that counts.
                                 if (const Job* job = context_.head.state().FindJob(id))
                                   reply->set_image_digest(job->spec->command.image.digest);
                                 context_.images.NoteUse(reply->image_digest());
                                 reactor->Finish(grpc::Status::OK);
                               });
        });
  }

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* call, const v1::ListJobsRequest* request,
                                 v1::ListJobsReply* reply) override {
    return Read(call, [this, request, reply](Requester by) -> Result<> {
      std::uint32_t left = request->limit() != 0 ? std::min(request->limit(), kListMax) : kListMax;
      const State& state = context_.head.state();
      for (JobId id : state.unmade) {
        const Array& array = state.arrays.at(id);
        std::uint32_t uid = array.spec->user.uid;
        if ((request->has_uid_filter() && uid != request->uid_filter()) || left == 0) continue;
        UnmadeToProto(array, {.full = by.admin || by.uid == uid, .now = context_.head.Now()},
                      reply->add_jobs());
        --left;
      }
      for (auto at = state.jobs.rbegin(); at != state.jobs.rend() && left > 0; ++at) {
        const Job& job = at->second;
        if (IsTerminal(job.state) && !request->all()) continue;
        if (request->has_uid_filter() && job.spec->user.uid != request->uid_filter()) continue;
        TRY(FillJob(context_.head, job.id, by, reply->add_jobs()));
        --left;
      }
      return {};
    });
  }

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* call, const v1::GetJobRequest* request,
                                v1::Job* reply) override {
    return Read(call, [this, request, reply](Requester by) -> Result<> {
      return FillJob(context_.head, TRY(MeantBy(context_.head.state(), *request)), by, reply);
    });
  }

  grpc::ServerWriteReactor<v1::Job>* Watch(grpc::CallbackServerContext* call,
                                           const v1::GetJobRequest* request) override {
    return WatchJob(context_, context_.authenticator.User(*call), {request->job_id()});
  }

  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* call, const v1::CancelRequest* request,
                                   v1::CancelReply*) override {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) return Refuse(reactor, by.error());
    context_.loop.Post([this, reactor, request, by = *by] {
      JobId job{request->job_id()};
      std::uint32_t step = request->step_id();
      auto done = [reactor](Result<Answer> answer) {
        reactor->Finish(answer ? grpc::Status::OK : ToStatus(answer.error()));
      };
      if (request->signal() != 0) {
        auto sent =
            context_.head.SignalSteps(job, request->has_step_id() ? &step : nullptr, request->signal(), by);
        return reactor->Finish(sent ? grpc::Status::OK : ToStatus(sent.error()));
      }
      request->has_step_id() ? context_.head.CancelOneStep(job, step, by, done)
                             : context_.head.Cancel(job, by, done);
    });
    return reactor;
  }

  grpc::ServerUnaryReactor* Change(grpc::CallbackServerContext* call, const v1::ChangeJobRequest* request,
                                   v1::ChangeJobReply*) override {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) return Refuse(reactor, by.error());
    if (request->has_suspend()) {
      context_.loop.Post([this, reactor, job = JobId{request->job_id()}, by = *by, on = request->suspend()] {
        context_.head.Suspend(job, by, on, [reactor](Result<Answer> answer) {
          reactor->Finish(answer ? grpc::Status::OK : ToStatus(answer.error()));
        });
      });
      return reactor;
    }
    auto update = JobUpdateOf(*request, *by);
    if (!update) return Refuse(reactor, update.error());
    context_.loop.Post([this, reactor, job = JobId{request->job_id()}, by = *by, update = *update] {
      context_.head.Change(job, by, update, [reactor](Result<Answer> answer) {
        reactor->Finish(answer ? grpc::Status::OK : ToStatus(answer.error()));
      });
    });
    return reactor;
  }

  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext* call, const v1::GetJobRequest* request,
                                    v1::Explanation* reply) override {
    return Read(call, [this, request, reply](Requester by) -> Result<> {
      JobId id{request->job_id()};
      TRY(context_.head.CheckOwner(id, by));
      const State& state = context_.head.state();
      const Job* job = state.FindJob(id);
      std::optional<Job> unmade = state.FindUnmade(id);
      if (job == nullptr && unmade) job = &*unmade;
      if (job == nullptr)
        return Fail(Code::kInvalidArgument, "job ", id.value, " is an array: ask about one of its tasks");
      reply->set_job_id(id.value);
      reply->set_state(std::string(JobStateName(job->state)));
      ToProto(state, context_.head.Explain(id), reply);
      return {};
    });
  }

  grpc::ServerUnaryReactor* CreateStep(grpc::CallbackServerContext* call,
                                       const v1::CreateStepRequest* request,
                                       v1::CreateStepReply* reply) override {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) return Refuse(reactor, by.error());
    auto create = PrepareStep(context_, *by, *request);
    if (!create) return Refuse(reactor, create.error());
    context_.loop.Post(
        [this, reactor, reply, create = std::make_shared<scheduler::CreateStep>(std::move(*create))] {
          EnterStep(context_, std::move(*create), [reactor, reply](Result<std::uint32_t> step) {
            if (!step) return reactor->Finish(ToStatus(step.error()));
            reply->set_step_id(*step);
            reactor->Finish(grpc::Status::OK);
          });
        });
    return reactor;
  }

  grpc::ServerBidiReactor<v1::AttachInput, v1::AttachOutput>* Attach(
      grpc::CallbackServerContext* call) override {
    return new AttachStream(context_, context_.authenticator.User(*call));
  }

 private:
  static grpc::ServerUnaryReactor* Refuse(grpc::ServerUnaryReactor* reactor, const Error& error) {
    reactor->Finish(ToStatus(error));
    return reactor;
  }

  // What is read was committed before it is told.
  template <class Fill>
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* call, Fill fill) {
    auto* reactor = call->DefaultReactor();
    auto by = context_.authenticator.User(*call);
    if (!by) return Refuse(reactor, by.error());
    context_.loop.Post([this, reactor, by = *by, fill] {
      context_.head.AfterCommit([reactor, by, fill] {
        Result<> done = fill(by);
        reactor->Finish(done ? grpc::Status::OK : ToStatus(done.error()));
      });
    });
    return reactor;
  }

  // All that needs no state: who he is, what he may ask for, which image that is.
  Result<Requester> Authenticate(const grpc::CallbackServerContext& call, const v1::SubmitRequest& request) {
    Requester by = TRY(context_.authenticator.User(call));
    if (by.uid == 0)
      return Fail(Code::kPermissionDenied, "jobs of uid 0 are refused: submit as an ordinary user");
    if (!by.admin && request.spec().nice() < 0)
      return Fail(Code::kPermissionDenied, "a negative nice is for administrators");
    if (!by.admin && request.spec().priority() > 0)
      return Fail(Code::kPermissionDenied, "raising the priority is for administrators");
    if (static_cast<std::size_t>(request.components_size()) >= kHetComponentsMax)
      return Fail(Code::kInvalidArgument, "a heterogeneous job: more than ", kHetComponentsMax,
                  " components");
    if (request.request_id().size() > 64) return Fail(Code::kInvalidArgument, "request_id: at most 64 bytes");
    return by;
  }

  Result<std::vector<JobSpec>> Prepare(const Requester& by, const v1::SubmitRequest& request) {
    std::vector<JobSpec> specs{TRY(PrepareOne(by, request.spec()))};
    for (int i = 0; i < request.components_size(); ++i)
      specs.push_back(TRY_CONTEXT(PrepareOne(by, request.components(i)), Cat("component ", i + 1)));
    specs.front().command.request_id = request.request_id();
    return specs;
  }

  Result<JobSpec> PrepareOne(const Requester& by, const v1::JobSpec& from) {
    JobSpec spec = TRY(JobSpecOf(from));
    spec.user = TRY(LookUpUser(by.uid));
    spec.command.image = TRY(context_.images.Resolve(from.image(), by));
    TRY(context_.images.CheckMpi(spec.command.image, spec.command.mpi));
    return spec;
  }

  ServiceContext& context_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeJobService(ServiceContext& context) {
  return std::make_unique<JobService>(context);
}

}  // namespace slipway::scheduler
