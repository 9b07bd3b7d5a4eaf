// SPDX-License-Identifier: Apache-2.0
// What the controller wants of jobs and steps here, and what of them goes to it and to other nodes.
#include <malloc.h>
#include <unistd.h>

#include "agent/node/agent_parts.h"
#include "agent/node/bind_ranks.h"
#include "agent/node/convert.h"
#include "agent/node/node_edits.h"
#include "agent/steps/user_word.h"
#include "base/log/log.h"

namespace slipway {

void Agent::Parts::Launch(const v1::LaunchStep& launch) {
  NodeSide side{.client_dir = options.client_dir,
                .image_dir = welcome.rootless ? welcome.image_dir : std::string(),
                .agent_uid = ::getuid(),
                .private_shm = options.private_shm,
                .folder_timeout_s = options.folder_timeout_s,
                .private_tmp_bytes = options.private_tmp_bytes};
  auto plan = PlanOf(launch, side);
  if (!plan) return steps->Refuse(FromProto(launch.step()), plan.error().message);
  if (plan->spec.mpi != MpiKind::kNone) plan->spec.topology = options.facts.topology.xml;
  if (auto bound = BindRanks(options.facts.topology, plan->spec); !bound)
    return steps->Refuse(FromProto(launch.step()), bound.error().message);
  if (auto given = GiveRoom(options.room, options.facts.memory_bytes, welcome, *plan); !given)
    return steps->Refuse(FromProto(launch.step()), given.error().message);
  if (plan->lease_s == 0) plan->lease_s = static_cast<std::uint32_t>(options.lease.count());
  plan->devices.of_step = DevicesAt(options.allowed_devices);
  auto notes = AddNodeEdits(launch, EditFolders::OfTheHost(), options.devices, *plan);
  if (!notes) return steps->Refuse(FromProto(launch.step()), notes.error().message);
  AddTaskPrograms(options.task_prolog, options.task_epilog, plan->spec);
  images->Used(plan->spec.image_digest);
  for (const std::string& note : *notes) Log(Level::kWarn, note, {{"step", ToString(plan->spec.step)}});
  EnteringJob job{launch.step().job(), launch.step().attempt(), launch.uid(),
                  launch.gid(),        launch.user(),           launch.cluster()};
  StepId step = plan->spec.step;
  auto held = std::make_shared<LaunchPlan>(std::move(*plan));
  gate->Enter(job, step, [this, held] { steps->Launch(std::move(*held)); });
}

void Agent::Parts::EndJob(const v1::EndJob& end) {
  steps->EndJob(end.job(), end.attempt(), [this, job = end.job(), attempt = end.attempt()] {
    gate->Leave(job, attempt, [this, job, attempt] {
      v1::FromNode message;
      message.mutable_released()->set_job(job);
      message.mutable_released()->set_attempt(attempt);
      link->Send(std::move(message));
    });
  });
}

void Agent::Parts::Prefetch(const v1::Prefetch& prefetch) {
  if (images->Held(prefetch.digest())) return SendImageState({prefetch.digest(), true, {}, {}});
  images->Want(prefetch.digest(), prefetch.bytes(), Images::Need::kPrefetch, [](const Result<>&) {});
}

void Agent::Parts::SendImageState(const ImageNews& news) {
  v1::FromNode message;
  v1::ImageState& image = *message.mutable_image();
  image.set_digest(news.digest);
  image.set_held(news.held);
  image.set_error(news.error);
  image.set_chunks(news.counts.chunks);
  image.set_from_controller(news.counts.from_controller);
  image.set_from_peers(news.counts.from_peers);
  image.set_resumed(news.counts.resumed);
  // What a fetch took would stay with us as long as we live.
  ::malloc_trim(0);
  link->Send(std::move(message));
}

StepTableEvents Agent::Parts::TableEvents() {
  StepTableEvents events;
  events.report = [this](const StepNews& news) {
    v1::FromNode message;
    *message.mutable_report() = ToProto(news);
    link->Send(std::move(message));
  };
  events.output = [this](StepOutput output, const StepId& step) {
    v1::FromNode message;
    v1::StepOutputChunk& chunk = *message.mutable_output();
    *chunk.mutable_step() = ToProto(step);
    chunk.set_rank(output.rank);
    chunk.set_stream(output.stream);
    chunk.set_data(std::move(output.bytes));
    link->Send(std::move(message));
  };
  events.image_held = [this](const std::string& digest) { return images->Held(digest); };
  events.want_image = [this](const std::string& digest, std::uint64_t bytes,
                             std::function<void(Result<>)> done) {
    images->Want(digest, bytes, Images::Need::kStep, std::move(done));
  };
  events.began = [this](const StepId& step, const std::vector<std::string>& units) {
    meter->Began(step, units);
  };
  events.ended = [this](const StepId& step, std::uint64_t cpu_us) { return meter->Ended(step, cpu_us); };
  events.to_peer = [this](const KnownStep& known, std::uint32_t to_node, PeerWord word) {
    word.sender = options.node;
    word.from_node = known.node_index;
    peers->Send(known.nodes[to_node], known.addresses[to_node], known.step, to_node, std::move(word));
  };
  events.to_step = [this](const std::string& node, const std::string& address, const StepId& to,
                          PeerWord word) { peers->Send(node, address, to, 0, std::move(word)); };
  return events;
}

}  // namespace slipway
