// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <atomic>
#include <set>
#include <thread>

#include "base/os/process.h"
#include "launcher/spec/credential.h"
#include "scheduler/server/test_cluster.h"

namespace slipway::scheduler {
namespace {

TEST_F(Cluster, RunsAJobFromSubmissionToItsEnd) {
  auto node = Join("n1");
  auto id = Submit(kAnn, Batch(folder_.image));
  ASSERT_TRUE(id) << id.error().message;
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  const v1::LaunchStep launch = message.launch();
  EXPECT_EQ(launch.step().job(), *id);
  EXPECT_EQ(launch.user(), "daemon");
  EXPECT_EQ(launch.program().env(0), "SECRET=xyzzy");
  EXPECT_EQ(launch.program().stdout_path(), Cat("/home/somebody/slipway-", *id, ".out"));
  EXPECT_EQ(launch.ranks_size(), 1);

  VerifyingKey key = *VerifyingKey::FromPem(*ReadFile(folder_.path + "/controller.pub"));
  auto credential =
      VerifyCredential({launch.credential_body(), launch.credential_signature()}, std::span(&key, 1));
  ASSERT_TRUE(credential) << credential.error().message;
  EXPECT_EQ(credential->node, "n1");
  EXPECT_EQ(credential->uid, kAnn);
  EXPECT_EQ(credential->image_digest, folder_.image);
  EXPECT_EQ(credential->epoch, message.epoch());
  EXPECT_EQ(credential->cluster, folder_.keys.cluster_id);
  EXPECT_EQ(credential->step.job, *id);
  EXPECT_GE(credential->epoch, 1u);

  node->Report(launch.step(), v1::StepReport::STAGING);
  node->Report(launch.step(), v1::StepReport::STARTED);
  node->Report(launch.step(), v1::StepReport::ENDED, 3);
  do {
    ASSERT_TRUE(node->Next(v1::ToNode::kAck, message));
  } while (message.ack().sequence() != v1::StepReport::ENDED);
  ASSERT_TRUE(node->Next(v1::ToNode::kEndJob, message));
  EXPECT_EQ(Get(kAnn, *id)->state(), v1::JOB_STATE_COMPLETING);
  node->Released(message.end_job());
  auto job = Ended(kAnn, *id);
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(job->exit_code(), 3);
  EXPECT_EQ(job->steps(0).state(), "FAILED");
}

TEST_F(Cluster, TellsABatchStepOfAllNodesOfItsJob) {
  auto first = Join("n1"), second = Join("n2");
  v1::SubmitRequest request = Batch(folder_.image);
  request.mutable_spec()->mutable_resources()->set_nodes_min(2);
  request.mutable_spec()->mutable_resources()->set_tasks(2);
  ASSERT_TRUE(Submit(kAnn, request));
  v1::ToNode message;
  ASSERT_TRUE(first->Next(v1::ToNode::kLaunch, message));
  const v1::LaunchStep& launch = message.launch();
  EXPECT_EQ(launch.nodes_size(), 1);
  ASSERT_EQ(launch.job_nodes_size(), 2);
  EXPECT_EQ(launch.job_nodes(0), "n1");
  EXPECT_EQ(launch.job_nodes(1), "n2");
  EXPECT_EQ(launch.job_node_addresses(1), "127.0.0.1:1");
}

TEST_F(Cluster, RefusesWhatCannotBeWithOneLine) {
  auto node = Join("n1");
  auto expect = [&](Result<std::uint64_t> result, Code code, const std::string& part) {
    ASSERT_FALSE(result) << part;
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
  };
  expect(Submit(0, Batch(folder_.image)), Code::kPermissionDenied, "jobs of uid 0 are refused");
  expect(Submit(2'000'000'000, Batch(folder_.image)), Code::kNotFound, "has no account");
  expect(Submit(kAnn, Batch("nowhere")), Code::kNotFound, "nowhere");
  expect(Submit(kAnn, Batch("")), Code::kInvalidArgument, "no image");
  expect(Submit(kAnn, Batch(DigestOf("other"))), Code::kNotFound, "upload it first");
  auto wide = Batch(folder_.image);
  wide.mutable_spec()->mutable_resources()->set_nodes_min(5);
  expect(Submit(kAnn, wide), Code::kFailedPrecondition, "5 nodes");
  auto nice = Batch(folder_.image);
  nice.mutable_spec()->set_nice(-5);
  expect(Submit(kAnn, nice), Code::kPermissionDenied, "administrators");
  auto array = Batch(folder_.image);
  array.mutable_spec()->set_array("9-1");
  expect(Submit(kAnn, array), Code::kInvalidArgument, "array");
}

TEST_F(Cluster, KeepsUsersApart) {
  auto node = Join("n1");
  auto request = Batch(folder_.image);
  request.mutable_spec()->set_comment("for my eyes");
  auto id = Submit(kAnn, request);
  ASSERT_TRUE(id) << id.error().message;
  auto theirs = Cancel(kBob, *id);
  ASSERT_FALSE(theirs);
  EXPECT_EQ(theirs.error().code, Code::kPermissionDenied) << theirs.error().message;
  auto seen = Get(kBob, *id);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->user(), "daemon");
  EXPECT_EQ(seen->comment() + seen->cwd() + seen->stdout_path(), "");
  EXPECT_EQ(seen->SerializeAsString().find("xyzzy"), std::string::npos);
  EXPECT_EQ(Get(kAnn, *id)->comment(), "for my eyes");
  grpc::ClientContext call;
  Prepare(call, folder_.Token(kBob));
  auto attach = jobs_->Attach(&call);
  v1::AttachInput first;
  first.set_job_id(*id);
  first.set_step_id(kBatchStep);
  attach->Write(first);
  EXPECT_EQ(attach->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(Cancel(0, *id));
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kEndJob, message));
  node->Released(message.end_job());
  EXPECT_EQ(Ended(kAnn, *id)->state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(Cluster, RefusesTokensThatAreNotGood) {
  auto call_with = [&](const std::string& token) {
    grpc::ClientContext call;
    Prepare(call, token);
    v1::ListJobsReply reply;
    return jobs_->List(&call, {}, &reply);
  };
  EXPECT_TRUE(call_with(folder_.Token(kAnn)).ok());
  EXPECT_EQ(call_with("").error_message(), "this call needs a token");
  auto expired = call_with(folder_.Token(kAnn, -5000));
  EXPECT_EQ(expired.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_NE(expired.error_message().find("expired"), std::string::npos);
  ClusterFolder other;
  EXPECT_EQ(call_with(other.Token(kAnn)).error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(Cluster, KnowsNodesByTheirCertificatesOnly) {
  FakeNode impostor(folder_, server_->port(), "n1", "n2");
  v1::ToNode message;
  EXPECT_FALSE(impostor.Next(v1::ToNode::kRegistered, message));
  EXPECT_EQ(impostor.Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);

  // A user, with a token and without a certificate, on either door.
  for (auto channel :
       {folder_.UserChannel(),
        *DialTls(Cat("127.0.0.1:", server_->port()), {.ca = folder_.path + "/ca.pem"}, kControllerTlsName)}) {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(0));
    v1::VouchReply reply;
    EXPECT_EQ(v1::NodeLink::NewStub(channel)->Vouch(&call, {}, &reply).error_code(),
              grpc::StatusCode::UNAUTHENTICATED);
    grpc::ClientContext fetch_call;
    Prepare(fetch_call, folder_.Token(0));
    v1::ImageManifest manifest;
    EXPECT_EQ(v1::ImageSource::NewStub(channel)->Manifest(&fetch_call, {}, &manifest).error_code(),
              grpc::StatusCode::UNAUTHENTICATED);
  }
  // A node of another cluster is not let in at all.
  ClusterFolder other;
  FakeNode stranger(other, server_->port(), "n1", "n1");
  EXPECT_FALSE(stranger.Next(v1::ToNode::kRegistered, message));
  EXPECT_EQ(stranger.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(Cluster, LetsANodeVouchOnlyForUsersWithALiveJobThere) {
  auto node = Join("n1");
  ASSERT_TRUE(Submit(kAnn, Batch(folder_.image)));
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  auto vouch = [&](std::uint32_t uid) {
    grpc::ClientContext call;
    Prepare(call, "");
    v1::VouchRequest request;
    request.set_uid(uid);
    v1::VouchReply reply;
    auto status = node->stub().Vouch(&call, request, &reply);
    return std::pair(status.error_code(), reply.token());
  };
  EXPECT_EQ(vouch(0).first, grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(vouch(kBob).first, grpc::StatusCode::PERMISSION_DENIED);
  auto [code, token] = vouch(kAnn);
  ASSERT_EQ(code, grpc::StatusCode::OK);
  EXPECT_EQ(PeekToken(token)->uid, kAnn);
  EXPECT_EQ(PeekToken(token)->issuer, "n1");
}

TEST_F(Cluster, ServesImagesToNodesPieceByPiece) {
  auto channel = *DialTls(Cat("127.0.0.1:", server_->port()), folder_.NodeFiles("n1"), kControllerTlsName);
  auto images = v1::ImageSource::NewStub(channel);
  grpc::ClientContext call, fetch_call;
  Prepare(call, "");
  Prepare(fetch_call, "");
  v1::ImageManifestRequest request;
  request.set_digest(folder_.image);
  v1::ImageManifest manifest;
  ASSERT_TRUE(images->Manifest(&call, request, &manifest).ok());
  v1::FetchRequest fetch;
  fetch.set_digest(folder_.image);
  auto reader = images->Fetch(&fetch_call, fetch);
  v1::FetchChunk chunk;
  std::string bytes;
  while (reader->Read(&chunk)) bytes += chunk.data();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(DigestOf(bytes), folder_.image);
  EXPECT_EQ(manifest.bytes(), bytes.size());
  EXPECT_EQ(manifest.chunk_digests(0), folder_.image);  // smaller than a chunk
}

TEST_F(Cluster, NamesImagesAndRefusesUploadsWithoutAnImporter) {
  auto node = Join("n1");
  auto images = v1::Images::NewStub(folder_.UserChannel());
  grpc::ClientContext add_call, upload_call, find_call;
  for (auto* call : {&add_call, &upload_call, &find_call}) Prepare(*call, folder_.Token(kAnn));
  v1::AddImageRequest add;
  add.set_name("tools");
  add.set_digest(folder_.image);
  v1::Image image;
  auto added = images->Add(&add_call, add, &image);
  ASSERT_TRUE(added.ok()) << added.error_message();
  EXPECT_EQ(image.owner(), "daemon");
  EXPECT_TRUE(Submit(kBob, Batch("tools")));
  v1::UploadReply reply;
  auto writer = images->Upload(&upload_call, &reply);
  v1::UploadChunk chunk;
  chunk.set_source_digest(DigestOf("abc"));
  chunk.set_source_bytes(3);
  chunk.set_data("abc");
  writer->Write(chunk);
  writer->WritesDone();
  auto status = writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << status.error_message();
  v1::FindImageRequest find;
  find.set_source_digest(DigestOf("abc"));
  EXPECT_EQ(images->Find(&find_call, find, &reply).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(Cluster, AnswersTheSameRequestWithTheSameJob) {
  auto node = Join("n1");
  auto request = Batch(folder_.image);
  request.set_request_id("r1");
  auto first = Submit(kAnn, request), again = Submit(kAnn, request), other = Submit(kBob, request);
  ASSERT_TRUE(first && again && other);
  EXPECT_EQ(*first, *again);
  EXPECT_NE(*first, *other);
}

class ImpatientCluster : public Cluster {
 protected:
  std::string ControllerSettings() const override { return "node_lost_after = '2s'\n"; }
};

TEST_F(ImpatientCluster, CountsASilentNodeAsUnknownAndLetsItsJobRunOn) {
  auto node = Join("n1");
  auto id = Submit(kAnn, Batch(folder_.image));
  v1::ToNode message;
  ASSERT_TRUE(node->Next(v1::ToNode::kLaunch, message));
  v1::StepKey step = message.launch().step();
  node->Report(step, v1::StepReport::STARTED);
  EXPECT_EQ(node->Finish().error_message(), "nothing was heard from this node for too long");
  grpc::ClientContext call;
  Prepare(call, folder_.Token(kBob));
  v1::ListNodesReply nodes;
  ASSERT_TRUE(v1::Nodes::NewStub(folder_.UserChannel())->List(&call, {}, &nodes).ok());
  EXPECT_EQ(nodes.nodes(0).state(), "UNKNOWN");
  EXPECT_EQ(Get(kAnn, *id)->state(), v1::JOB_STATE_RUNNING);
  // It comes back with the step, which has ended in the meantime.
  node = std::make_unique<FakeNode>(folder_, server_->port(), "n1", "n1", 4, step);
  node->Report(step, v1::StepReport::ENDED, 0);
  ASSERT_TRUE(node->Next(v1::ToNode::kEndJob, message));
  node->Released(message.end_job());
  EXPECT_EQ(Ended(kAnn, *id)->state(), v1::JOB_STATE_COMPLETED);
}

// The program itself, killed without warning while several users submit.
class Killed : public ::testing::Test {
 protected:
  // With a node, so that there is somewhere for jobs to run; nothing ever does.
  Process StartDaemon() {
    std::string log = Cat(folder_.path, "/log.", ++starts_);
    UniqueFd file = *Open(log, O_WRONLY | O_CREAT, 0600);
    auto process = Spawn({.argv = {SLIPWAYD, "--config", folder_.WriteSettings()},
                          .fds = {{2, file.get()}},
                          .parent_death_signal = SIGKILL});
    EXPECT_TRUE(process) << process.error().message;
    auto channel = folder_.UserChannel();
    EXPECT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20)));
    jobs_ = v1::Jobs::NewStub(channel);
    std::string text;
    std::size_t port = std::string::npos;
    while (process->Poll() && (text = *ReadFile(log), port = text.find(" port=")) == std::string::npos)
      std::this_thread::yield();
    node_ = std::make_unique<FakeNode>(folder_, std::atoi(text.c_str() + port + 6), "n1", "n1");
    v1::ToNode message;
    EXPECT_TRUE(node_->Next(v1::ToNode::kRegistered, message));
    return std::move(*process);
  }
  std::optional<std::uint64_t> Submit(std::uint32_t uid, const std::string& request_id) {
    grpc::ClientContext call;
    Prepare(call, folder_.Token(uid));
    v1::SubmitRequest request = Batch(folder_.image);
    request.set_request_id(request_id);
    v1::SubmitReply reply;
    if (!jobs_->Submit(&call, request, &reply).ok()) return std::nullopt;
    return reply.job_id();
  }
  ClusterFolder folder_;
  int starts_ = 0;
  std::unique_ptr<v1::Jobs::Stub> jobs_;
  std::unique_ptr<FakeNode> node_;
};

TEST_F(Killed, LosesNoJobThatWasAcknowledgedAndMakesNoneTwice) {
  constexpr int kThreads = 4;
  Process daemon = StartDaemon();
  std::map<std::string, std::uint64_t> answered[kThreads];
  std::atomic<int> total{0};
  std::vector<std::thread> users;
  for (int t = 0; t < kThreads; ++t) {
    users.emplace_back([&, t] {
      for (int i = 0; i < 10'000; ++i) {
        std::string request = Cat("r", t, "-", i);
        auto id = Submit(t % 2 == 0 ? kAnn : kBob, request);
        if (!id) return;
        answered[t][request] = *id;
        if (total.fetch_add(1) == 200) {
          EXPECT_TRUE(daemon.Signal(SIGKILL));
        }
      }
    });
  }
  for (auto& user : users) user.join();
  ASSERT_GT(total.load(), 200);
  EXPECT_EQ(daemon.Wait()->signal(), SIGKILL);

  daemon = StartDaemon();
  grpc::ClientContext call;
  Prepare(call, folder_.Token(0));
  v1::ListJobsReply list;
  ASSERT_TRUE(jobs_->List(&call, {}, &list).ok());
  std::set<std::uint64_t> there;
  for (const v1::Job& job : list.jobs()) there.insert(job.job_id());
  for (int t = 0; t < kThreads; ++t) {
    for (const auto& [request, id] : answered[t]) EXPECT_TRUE(there.contains(id)) << id;
    EXPECT_EQ(Submit(t % 2 == 0 ? kAnn : kBob, answered[t].rbegin()->first), answered[t].rbegin()->second);
  }
  ASSERT_TRUE(daemon.Signal(SIGTERM));
  EXPECT_EQ(node_->Finish().error_message(), "the controller is stopping");
  EXPECT_EQ(daemon.Wait()->exit_code(), 0);
}

TEST_F(Killed, ASecondControllerOnTheSameStateIsRefused) {
  Process daemon = StartDaemon();
  auto second = RunAndCapture(
      {.argv = {"/bin/sh", "-c", Cat("exec ", SLIPWAYD, " --config ", folder_.WriteSettings(), " 2>&1")}});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->status.exit_code(), 1);
  EXPECT_EQ(std::count(second->out.begin(), second->out.end(), '\n'), 1) << second->out;
  EXPECT_TRUE(Submit(kAnn, "x"));  // the first is unharmed
  ASSERT_TRUE(daemon.Signal(SIGTERM));
  EXPECT_EQ(node_->Finish().error_message(), "the controller is stopping");
  EXPECT_EQ(daemon.Wait()->exit_code(), 0);
}

}  // namespace
}  // namespace slipway::scheduler
