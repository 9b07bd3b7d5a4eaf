// SPDX-License-Identifier: Apache-2.0
// TLS, tokens and contexts as a user and a node meet them: with a real server on a loopback port or Unix
// socket.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "api/channel.h"
#include "api/pki.h"
#include "api/settings.h"
#include "api/status.h"
#include "api/tls.h"
#include "api/token.h"
#include "api/token_socket.h"
#include "base/loop/epoll_loop.h"
#include "base/os/fd.h"
#include "slipway/v1/node.grpc.pb.h"

namespace slipway {
namespace {

struct Folder {
  std::string path = *MakeTempDirectory("/tmp", "slipway-api-");
  ~Folder() { (void)RemoveTree(path); }
};

struct Keys {
  KeyPairPem pem = *MakeEd25519KeyPair();
  SigningKey signing = *SigningKey::FromPem(pem.private_key);
  VerifyingKey verifying = *VerifyingKey::FromPem(pem.public_key);
};

UserToken TokenOf(std::uint32_t uid) {
  return {.cluster = "c1", .uid = uid, .issued_ms = 1000, .expires_ms = 61000, .issuer = "controller"};
}

TEST(Token, SpeaksForItsUidUntilItExpires) {
  Keys keys;
  TokenVerifier verifier("c1", {keys.verifying});
  std::string text = SignToken(TokenOf(1001), keys.signing);
  EXPECT_EQ(verifier.Verify(text, 2000).value().uid, 1001u);
  EXPECT_EQ(verifier.Verify(text, 60999).value().uid, 1001u);
  for (int i = 0; i < 2; ++i) {  // the remembered one, then the forgotten one
    auto late = verifier.Verify(text, 63000);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Code::kUnauthenticated);
    EXPECT_EQ(late.error().message, "the token expired 2 s ago; fetch a new one");
  }
}

TEST(Token, IsRefusedWhenAnythingInItWasChanged) {
  Keys keys;
  std::string text = SignToken(TokenOf(1001), keys.signing);
  for (std::size_t i = 0; i < text.size(); ++i) {
    TokenVerifier verifier("c1", {keys.verifying});
    std::string altered = text;
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(verifier.Verify(altered, 2000)) << i;
  }
  TokenVerifier verifier("c1", {keys.verifying});
  for (const std::string& odd :
       std::vector<std::string>{"", "v1", "v1.", "v1..", "v1.A.A", "v2." + text.substr(3), text + "A",
                                text + ".", std::string(100000, 'A')}) {
    EXPECT_FALSE(verifier.Verify(odd, 2000)) << odd.substr(0, 40);
  }
}

TEST(Token, OfAnotherKeyOrClusterIsRefusedWithTheReason) {
  Keys ours, others;
  TokenVerifier verifier("c1", {ours.verifying});
  EXPECT_EQ(verifier.Verify(SignToken(TokenOf(7), others.signing), 2000).error().message,
            "the token was not signed by this controller");
  UserToken foreign = TokenOf(7);
  foreign.cluster = "c2";
  EXPECT_EQ(verifier.Verify(SignToken(foreign, ours.signing), 2000).error().message,
            "the token is of another cluster (c2)");
}

TEST(Token, RemembersBoundedlyMany) {
  Keys keys;
  TokenVerifier verifier("c1", {keys.verifying}, 2);
  std::string first = SignToken(TokenOf(1), keys.signing);
  for (std::uint32_t uid = 1; uid < 20; ++uid)
    EXPECT_TRUE(verifier.Verify(SignToken(TokenOf(uid), keys.signing), 2000));
  EXPECT_EQ(verifier.Verify(first, 2000).value().uid, 1u);
}

TEST(TokenSocket, GivesTheUidThatTheKernelKnows) {
  Folder folder;
  auto loop = *EpollLoop::Make();
  std::string path = folder.path + "/token.sock";
  auto server = TokenSocket::Listen(*loop, path, [](const PeerIdentity& peer, TokenSocket::Reply reply) {
    if (peer.uid == ::getuid()) return reply(Cat("token-of-", peer.uid));
    reply(Fail(Code::kPermissionDenied, "a stranger"));
  });
  ASSERT_TRUE(server);
  std::thread thread([&] { loop->Run(); });
  EXPECT_EQ(FetchToken(path).value(), Cat("token-of-", ::getuid()));
  loop->Stop();
  thread.join();
  server->reset();
  EXPECT_EQ(FetchToken(folder.path + "/none").error().code, Code::kUnavailable);  // worth another try
  EXPECT_NE(FetchToken(folder.path + "/none").error().message.find("is the daemon running?"),
            std::string::npos);
}

// Answers with the node whose certificate the caller holds.
class EchoNodes final : public v1::Nodes::Service {
  grpc::Status List(grpc::ServerContext* call, const v1::ListNodesRequest*,
                    v1::ListNodesReply* reply) override {
    auto node = PeerNode(*call->auth_context());
    if (!node) return ToStatus(node.error());
    reply->add_nodes()->set_name(*node);
    return grpc::Status::OK;
  }
};

class Tls : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(InitCluster(Dir("a"), "a"));
    ASSERT_TRUE(InitCluster(Dir("b"), "b"));
    ASSERT_TRUE(IssueNode(Dir("a"), "n1"));
    ASSERT_TRUE(IssueNode(Dir("b"), "n1"));
  }
  std::string Dir(std::string which) { return folder_.path + "/" + which; }
  void Serve(ClientCertificate policy) {
    grpc::ServerBuilder builder;
    auto credentials =
        MakeServerCredentials({Dir("a/ca.pem"), Dir("a/controller.crt"), Dir("a/controller.key")}, policy);
    ASSERT_TRUE(credentials) << credentials.error().message;
    builder.AddListeningPort("127.0.0.1:0", *credentials, &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_TRUE(server_);
  }
  Result<std::string> Call(const TlsFiles& files, std::string_view name = kControllerTlsName) {
    auto channel = TRY(DialTls(Cat("127.0.0.1:", port_), files, name));
    auto stub = v1::Nodes::NewStub(channel);
    grpc::ClientContext call;
    call.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::ListNodesReply reply;
    TRY(ResultOf(stub->List(&call, {}, &reply), "127.0.0.1"));
    return reply.nodes(0).name();
  }
  TlsFiles Node(const std::string& dir, const std::string& ca) {
    return {Dir(ca + "/ca.pem"), Dir(dir + "/nodes/n1.crt"), Dir(dir + "/nodes/n1.key")};
  }
  Folder folder_;
  EchoNodes service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(Tls, KnowsANodeByItsCertificate) {
  Serve(ClientCertificate::kOptional);
  auto node = Call(Node("a", "a"));
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(*node, "n1");
  auto user = Call({.ca = Dir("a/ca.pem")});
  ASSERT_FALSE(user);
  EXPECT_EQ(user.error().code, Code::kUnauthenticated);
  auto controller = Call({Dir("a/ca.pem"), Dir("a/controller.crt"), Dir("a/controller.key")});
  ASSERT_FALSE(controller);
  EXPECT_EQ(controller.error().message, "the certificate is not a node's");
}

TEST_F(Tls, SaysInOneLineThatTheCaIsWrong) {
  Serve(ClientCertificate::kOptional);
  auto foreign = Call({.ca = Dir("b/ca.pem")});
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, Code::kUnauthenticated) << foreign.error().message;
  EXPECT_NE(foreign.error().message.find("was not signed by the CA"), std::string::npos)
      << foreign.error().message;
  EXPECT_EQ(foreign.error().message.find('\n'), std::string::npos);
}

TEST_F(Tls, RefusesANodeOfAnotherCluster) {
  Serve(ClientCertificate::kRequired);
  auto node = Call(Node("b", "a"));
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().code, Code::kUnavailable) << node.error().message;
  EXPECT_LT(node.error().message.size(), 200u) << node.error().message;
  EXPECT_FALSE(Call({.ca = Dir("a/ca.pem")}));
  EXPECT_FALSE(Call(Node("a", "a"), NodeTlsName("n1")));  // the controller is not node n1
}

TEST_F(Tls, SaysThatNobodyListens) {
  Serve(ClientCertificate::kOptional);
  server_->Shutdown();
  auto call = Call({.ca = Dir("a/ca.pem")});
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().message, "127.0.0.1: nobody listens there; is the daemon running?");
}

TEST(Pki, DoesNotReplaceACaAndRefusesOddNodeNames) {
  Folder folder;
  auto keys = InitCluster(folder.path, "x");
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_EQ(ReadClusterId(folder.path).value(), keys->cluster_id);
  EXPECT_EQ(InitCluster(folder.path, "x").error().code, Code::kAlreadyExists);
  for (const char* name : {"", "../n1", "N1", "n1.node", "-n", "a b"})
    EXPECT_FALSE(IssueNode(folder.path, name)) << name;
  EXPECT_TRUE(IssueNode(folder.path, "n-1"));
  EXPECT_FALSE(IssueNode(folder.path + "/none", "n1"));
}

TEST(ContextFile, IsFoundByOptionThenVariableThenTheUsersCurrentOne) {
  Folder folder;
  ::setenv("XDG_CONFIG_HOME", folder.path.c_str(), 1);
  ::unsetenv("SLIPWAY_CONTEXT");
  Context dev{.name = "dev", .controller = "unix:/run/x.sock", .token_socket = "/run/t.sock"};
  ASSERT_TRUE(SetUserContext(dev));
  EXPECT_EQ(FindContext().value().controller, "unix:/run/x.sock");
  Context other{.name = "other", .controller = "h:1", .ca = "/ca.pem", .token_socket = "/t"};
  ASSERT_TRUE(WriteContext(folder.path + "/other.toml", other));
  EXPECT_EQ(FindContext(folder.path + "/other.toml").value().name, "other");
  ::setenv("SLIPWAY_CONTEXT", "dev", 1);
  EXPECT_EQ(FindContext().value().name, "dev");
  ::setenv("SLIPWAY_CONTEXT", "nowhere", 1);
  EXPECT_EQ(FindContext().error().code, Code::kNotFound);
  EXPECT_EQ(FindContext("../x").error().code, Code::kNotFound);
  ::unsetenv("SLIPWAY_CONTEXT");
  ASSERT_TRUE(RemoveUserContext("dev"));
  EXPECT_FALSE(WriteContext(folder.path + "/bad.toml",
                            Context{.name = "bad", .controller = "h:1", .token_socket = "/t"}));
  ::unsetenv("XDG_CONFIG_HOME");
}

TEST(DaemonSettings, ReadTheFileAndItsFolderOfParts) {
  Folder folder;
  ASSERT_TRUE(WriteFileAtomically(folder.path + "/slipway.toml",
                                  "[controller]\nlisten = 'a:1'\ntoken_lifetime = '2m'\n"));
  ASSERT_TRUE(MakeDirectories(folder.path + "/conf.d"));
  ASSERT_TRUE(WriteFileAtomically(folder.path + "/conf.d/x.toml", "controller.listen = 'b:2'\n"));
  auto config = LoadDaemonConfig(folder.path + "/slipway.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->String("controller.listen"), "b:2");
  EXPECT_EQ(config->Seconds("controller.token_lifetime").count(), 120);
  EXPECT_EQ(config->Seconds("controller.node_lost_after").count(), 30);
  EXPECT_EQ(LoadDaemonConfig(folder.path + "/none").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace slipway
