// SPDX-License-Identifier: Apache-2.0
// Two nodes' servers in one process; a test types what a rank's library would send.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "pmix/pmi/mapping.h"
#include "pmix/pmi/pmi_server.h"

namespace slipway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Ranks 0 and 1 on the first node, 2 and 3 on the second.
class TwoNodes {
 public:
  TwoNodes() {
    for (std::uint32_t node = 0; node < 2; ++node) {
      PmiCallbacks callbacks{
          .send = [this](std::uint32_t rank, std::string bytes) { said_[rank] += bytes; },
          .connected = [this](std::uint32_t rank) { events.push_back(Cat("connected ", rank)); },
          .finalized = [this](std::uint32_t rank) { events.push_back(Cat("finalized ", rank)); },
          .aborted =
              [this](std::uint32_t rank, std::int32_t status, std::string message) {
                events.push_back(Cat("aborted ", rank, " ", status, message));
              },
          .fence =
              [this](std::string members, std::vector<std::uint32_t> nodes, std::string data,
                     Exchange::Reply reply) {
                auto& open = fences_[members];
                open.first += data;
                open.second.push_back(std::move(reply));
                if (open.second.size() < nodes.size()) return;
                auto done = std::move(open);
                fences_.erase(members);
                for (auto& answer : done.second) answer(done.first);
              },
          .name = [this](NameRequest request,
                         Exchange::Reply reply) { names_.Handle(std::move(request), std::move(reply)); },
          .spawn =
              [this](SpawnRequest request, Exchange::Reply reply) {
                spawns.push_back(std::move(request));
                if (spawns.back().image.empty()) return reply(std::string("w.1"));
                reply(Fail(Code::kUnimplemented, "no such image"));
              },
          .begun = [](std::uint64_t) {},
          .left = [this](std::uint32_t rank) { events.push_back(Cat("left ", rank)); },
          .broken = [this](std::uint32_t rank,
                           std::string why) { events.push_back(Cat("broken ", rank, ": ", why)); },
      };
      servers_.push_back(std::make_unique<PmiServer>(
          PmiWorld{.name = "w", .ranks = {{0, 1}, {2, 3}}, .node_index = node, .universe_size = 4},
          std::move(callbacks)));
    }
  }
  // What the rank is answered.
  std::string Say(std::uint32_t rank, std::string_view bytes) {
    said_[rank].clear();
    servers_[rank / 2]->Receive(rank, bytes);
    return said_[rank];
  }
  std::string Say2(std::uint32_t rank, const std::string& command) {
    std::string length = std::to_string(command.size());
    return Say(rank, std::string(6 - length.size(), ' ') + length + command);
  }
  void GreetAll(int version) {
    for (std::uint32_t rank = 0; rank < 4; ++rank)
      Say(rank, Cat("cmd=init pmi_version=", version, " pmi_subversion=", version == 1 ? 1 : 0, "\n"));
    events.clear();
  }
  PmiServer& node(std::size_t i) { return *servers_[i]; }
  std::string& said(std::uint32_t rank) { return said_[rank]; }
  std::vector<std::string> events;
  std::vector<SpawnRequest> spawns;

 private:
  std::map<std::uint32_t, std::string> said_;
  std::map<std::string, std::pair<std::string, std::vector<Exchange::Reply>>> fences_;
  NameDirectory names_;
  std::vector<std::unique_ptr<PmiServer>> servers_;
};

TEST(Pmi1, AnswersWhatAClientAsksBeforeItsFirstFence) {
  TwoNodes nodes;
  EXPECT_EQ(nodes.Say(0, "cmd=init pmi_version=1 pmi_subversion=1\n"),
            "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n");
  EXPECT_THAT(nodes.events, ElementsAre("connected 0"));
  EXPECT_EQ(nodes.Say(0, "cmd=get_maxes\n"), "cmd=maxes rc=0 kvsname_max=256 keylen_max=64 vallen_max=600\n");
  EXPECT_EQ(nodes.Say(0, "cmd=get_appnum\n"), "cmd=appnum rc=0 appnum=0\n");
  EXPECT_EQ(nodes.Say(0, "cmd=get_my_kvsname\n"), "cmd=my_kvsname rc=0 kvsname=w\n");
  EXPECT_EQ(nodes.Say(0, "cmd=get_universe_size\n"), "cmd=universe_size rc=0 size=4\n");
  EXPECT_THAT(nodes.Say(0, "cmd=get kvsname=w key=PMI_process_mapping\n"),
              HasSubstr("value=(vector,(0,2,2))\n"));
}

TEST(Pmi1, WhatWasPutIsEverywhereAfterTheFence) {
  TwoNodes nodes;
  nodes.GreetAll(1);
  EXPECT_THAT(nodes.Say(0, "cmd=put kvsname=w key=a value=1 2=3 x\n"), HasSubstr("rc=0"));
  EXPECT_THAT(nodes.Say(2, "cmd=get kvsname=w key=a\n"), HasSubstr("rc=-1"));
  EXPECT_EQ(nodes.Say(0, "cmd=barrier_in\n"), "");
  EXPECT_EQ(nodes.Say(1, "cmd=barrier_in\n"), "");
  EXPECT_EQ(nodes.Say(2, "cmd=barrier_in\n"), "");
  EXPECT_THAT(nodes.node(1).FenceWaitsFor(), ElementsAre(3));
  EXPECT_EQ(nodes.Say(3, "cmd=barrier_in\n"), "cmd=barrier_out rc=0\n");
  EXPECT_EQ(nodes.said(0), "cmd=barrier_out rc=0\n");
  EXPECT_THAT(nodes.Say(2, "cmd=get kvsname=w key=a\n"), HasSubstr("rc=0 msg=success value=1 2=3 x\n"));
  EXPECT_EQ(nodes.Say(3, "cmd=finalize\n"), "cmd=finalize_ack rc=0\n");
  EXPECT_THAT(nodes.events, ElementsAre("finalized 3"));
}

TEST(Pmi1, FencesGroupsByThemselves) {
  TwoNodes nodes;
  nodes.GreetAll(1);
  nodes.Say(1, "cmd=put kvsname=w key=g value=v\n");
  nodes.Say(0, "cmd=barrier_in\n");  // the world's, meanwhile
  EXPECT_EQ(nodes.Say(1, "cmd=barrier_in group=1,2\n"), "");
  EXPECT_EQ(nodes.Say(2, "cmd=barrier_in group=1,2\n"), "cmd=barrier_out rc=0\n");
  EXPECT_THAT(nodes.Say(2, "cmd=get kvsname=w key=g\n"), HasSubstr("value=v"));
}

TEST(Pmi1, KeepsNames) {
  TwoNodes nodes;
  nodes.GreetAll(1);
  EXPECT_THAT(nodes.Say(3, "cmd=lookup_name service=s\n"), HasSubstr("cmd=lookup_result info=failed rc=1"));
  EXPECT_THAT(nodes.Say(0, "cmd=publish_name service=s port=tag#0$host\n"), HasSubstr("info=ok rc=0"));
  EXPECT_THAT(nodes.Say(3, "cmd=lookup_name service=s\n"), HasSubstr("port=tag#0$host"));
  EXPECT_THAT(nodes.Say(3, "cmd=unpublish_name service=s\n"), HasSubstr("rc=1"));  // not his
  EXPECT_THAT(nodes.Say(0, "cmd=unpublish_name service=s\n"), HasSubstr("rc=0"));
}

TEST(Pmi1, SpawnsSeveralProgramsOnTheirLast) {
  TwoNodes nodes;
  nodes.GreetAll(1);
  EXPECT_EQ(nodes.Say(1,
                      "mcmd=spawn\nnprocs=1\nexecname=./a b\ntotspawns=2\nspawnssofar=1\narg1=x y\nargcnt=1\n"
                      "preput_num=1\npreput_key_0=PARENT_ROOT_PORT_NAME\npreput_val_0=tag#0$h\n"
                      "info_num=1\ninfo_key_0=host\ninfo_val_0=n1,n2\nendcmd\n"),
            "");
  EXPECT_EQ(nodes.Say(1, "mcmd=spawn\nnprocs=2\nexecname=c\ntotspawns=2\nspawnssofar=2\nargcnt=0\nendcmd\n"),
            "cmd=spawn_result rc=0\n");
  ASSERT_EQ(nodes.spawns.size(), 1u);
  const SpawnRequest& spawn = nodes.spawns[0];
  EXPECT_EQ(spawn.parent, "w");
  EXPECT_EQ(spawn.parent_rank, 1u);
  EXPECT_THAT(spawn.hosts, ElementsAre("n1", "n2"));
  EXPECT_THAT(spawn.put,
              ElementsAre(std::pair<std::string, std::string>("PARENT_ROOT_PORT_NAME", "tag#0$h")));
  ASSERT_EQ(spawn.programs.size(), 2u);
  EXPECT_THAT(spawn.programs[0].argv, ElementsAre("./a b", "x y"));
  EXPECT_EQ(spawn.programs[1].count, 2u);
  EXPECT_EQ(nodes.Say(1,
                      "mcmd=spawn\nnprocs=1\nexecname=c\ntotspawns=1\nspawnssofar=1\nargcnt=0\ninfo_num=1\n"
                      "info_key_0=container_image\ninfo_val_0=other\nendcmd\n"),
            "cmd=spawn_result rc=-1 msg=no_such_image\n");
}

TEST(Pmi1, BreaksWithASpawnThatClaimsMorePairsThanItCanHave) {
  TwoNodes nodes;
  nodes.GreetAll(1);
  nodes.Say(0, "mcmd=spawn\nnprocs=1\nexecname=c\ntotspawns=1\nspawnssofar=1\nargcnt=4000000000\nendcmd\n");
  ASSERT_EQ(nodes.events.size(), 1u);
  EXPECT_THAT(nodes.events[0], StartsWith("broken 0: PMI spawn: "));
}

TEST(Pmi2, SpawnsAllProgramsOfOneCommand) {
  TwoNodes nodes;
  nodes.GreetAll(2);
  EXPECT_THAT(
      nodes.Say2(
          3,
          "cmd=spawn;thrid=7;ncmds=2;preputcount=1;ppkey0=k;ppval0=v;subcmd=a;maxprocs=2;argc=1;argv0=x;"
          "infokeycount=1;infokey0=wdir;infoval0=/tmp;subcmd=b;maxprocs=1;argc=0;infokeycount=0;"),
      HasSubstr("cmd=spawn-response;thrid=7;jobid=w.1;nerrs=0;rc=0;"));
  ASSERT_EQ(nodes.spawns.size(), 1u);
  ASSERT_EQ(nodes.spawns[0].programs.size(), 2u);
  EXPECT_THAT(nodes.spawns[0].programs[0].argv, ElementsAre("a", "x"));
  EXPECT_EQ(nodes.spawns[0].programs[0].cwd, "/tmp");
  EXPECT_EQ(nodes.spawns[0].programs[1].count, 1u);
}

TEST(Pmi1, SaysWhoAbortedAndWithWhat) {
  TwoNodes nodes;
  nodes.GreetAll(1);
  nodes.Say(2, "cmd=abort exitcode=7\n");
  EXPECT_THAT(nodes.events, ElementsAre("aborted 2 7"));
}

TEST(Pmi1, AFenceThatCanNeverEndIsTold) {
  TwoNodes nodes;
  nodes.GreetAll(1);
  nodes.Say(0, "cmd=barrier_in\n");
  nodes.node(0).Gone(1);
  EXPECT_THAT(nodes.events, ElementsAre("left 1"));
}

TEST(Pmi1, BreaksWithARankThatDoesNotSpeakIt) {
  for (std::string garbage :
       {std::string("GET / HTTP/1.1\n"), std::string("cmd=put key=a value=b\n"), std::string("\n"),
        std::string("cmd=\n"), std::string(70000, 'x'), std::string(200000, 'x')}) {
    TwoNodes nodes;
    nodes.Say(0, garbage);
    ASSERT_EQ(nodes.events.size(), 1u) << garbage.substr(0, 30);
    EXPECT_THAT(nodes.events[0], StartsWith("broken 0: PMI"));
    EXPECT_EQ(nodes.Say(0, "cmd=init pmi_version=1 pmi_subversion=1\n"), "");
  }
}

TEST(Pmi1, BoundsWhatARankPuts) {
  TwoNodes nodes;
  nodes.GreetAll(1);
  EXPECT_THAT(nodes.Say(0, Cat("cmd=put kvsname=w key=a value=", std::string(2000, 'v'), "\n")),
              HasSubstr("rc=-1"));
  std::string last;
  for (int i = 0; i < 20000 && last.find("rc=-1") == std::string::npos; ++i)
    last = nodes.Say(0, Cat("cmd=put kvsname=w key=k", i, " value=", std::string(1000, 'v'), "\n"));
  EXPECT_THAT(last, HasSubstr("too_many_keys"));
}

TEST(Pmi2, SpeaksInFramesAfterTheFirstLine) {
  TwoNodes nodes;
  EXPECT_EQ(nodes.Say(2, "cmd=init pmi_version=2 pmi_subversion=0\n"),
            "cmd=response_to_init pmi_version=2 pmi_subversion=0 rc=0\n");
  EXPECT_EQ(
      nodes.Say2(2, "cmd=fullinit;pmirank=2;threaded=FALSE;"),
      "   113cmd=fullinit-response;pmi-version=2;pmi-subversion=0;rank=2;size=4;appnum=0;debugged=FALSE;"
      "pmiverbose=FALSE;rc=0;");
  EXPECT_THAT(nodes.Say2(2, "cmd=job-getid;thrid=9;"),
              HasSubstr("cmd=job-getid-response;thrid=9;jobid=w;rc=0;"));
  EXPECT_THAT(nodes.Say2(2, "cmd=info-getjobattr;key=PMI_process_mapping;"),
              HasSubstr("found=TRUE;value=(vector,(0,2,2));rc=0;"));
  EXPECT_THAT(nodes.Say2(2, "cmd=info-getjobattr;key=nothing;"), HasSubstr("found=FALSE;rc=0;"));
}

TEST(Pmi2, FencesAndFinds) {
  TwoNodes nodes;
  nodes.GreetAll(2);
  EXPECT_THAT(nodes.Say2(0, "cmd=kvs-put;key=a;value=x;;y;"), HasSubstr("rc=0;"));
  for (std::uint32_t rank : {0, 1, 2})
    EXPECT_EQ(nodes.Say2(rank, Cat("cmd=kvs-fence;thrid=", rank, ";")), "");
  EXPECT_THAT(nodes.Say2(3, "cmd=kvs-fence;"), HasSubstr("cmd=kvs-fence-response;rc=0;"));
  EXPECT_THAT(nodes.said(1), HasSubstr("thrid=1;rc=0;"));
  EXPECT_THAT(nodes.Say2(3, "cmd=kvs-get;jobid=w;srcid=-1;key=a;"), HasSubstr("found=TRUE;value=x;;y;rc=0;"));
}

TEST(Pmi2, WaitsForAnAttributeOfTheNode) {
  TwoNodes nodes;
  nodes.GreetAll(2);
  EXPECT_THAT(nodes.Say2(0, "cmd=info-getnodeattr;key=k;wait=FALSE;"), HasSubstr("found=FALSE"));
  EXPECT_EQ(nodes.Say2(0, "cmd=info-getnodeattr;key=k;wait=TRUE;"), "");
  nodes.Say2(1, "cmd=info-putnodeattr;key=k;value=v;");
  EXPECT_THAT(nodes.said(0), HasSubstr("found=TRUE;value=v;rc=0;"));
  EXPECT_THAT(nodes.Say2(2, "cmd=info-getnodeattr;key=k;wait=FALSE;"),
              HasSubstr("found=FALSE"));  // another node's
}

TEST(Pmi2, RefusesWhatItDoesNotOffer) {
  TwoNodes nodes;
  nodes.GreetAll(2);
  EXPECT_THAT(nodes.Say2(0, "cmd=job-connect;"), HasSubstr("errmsg=MPI_Comm_connect is not offered"));
  nodes.Say2(0, "cmd=unheard-of;");
  EXPECT_THAT(nodes.events, ElementsAre("broken 0: PMI: the command unheard-of is not known here"));
}

TEST(PmiMapping, SaysWhereRanksAre) {
  EXPECT_EQ(PmiProcessMapping({{0, 1}, {2, 3}, {4}}), "(vector,(0,2,2),(2,1,1))");
  EXPECT_EQ(PmiProcessMapping({{0, 2}, {1, 3}}), "(vector,(0,2,1),(0,2,1))");
  EXPECT_EQ(PmiProcessMapping({{0}}), "(vector,(0,1,1))");
}

}  // namespace
}  // namespace slipway
