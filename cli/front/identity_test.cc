// SPDX-License-Identifier: Apache-2.0
// Who the user is inside, and in which namespaces.
#include "cli/front/testdata/front_fixture.h"

namespace slipway {
namespace {

class IdentityTest : public FrontTest {};

TEST_F(IdentityTest, RootIsTheOnlyOneWhereNothingIsLent) {
  for (std::vector<std::string> options :
       {std::vector<std::string>{"--fakeroot", "--ignore-subuid"}, {"--remap-root", "--ignore-subuid"}}) {
    options.insert(options.begin(), "exec");
    options.insert(options.end(),
                   {path_ + "/root", "sh", "-c", "id -u; id -un; echo $HOME; cat /proc/self/uid_map"});
    Ended ended = Slipway(options);
    EXPECT_EQ(ended.err, "");
    EXPECT_THAT(ended.out, StartsWith("0\nroot\n/root\n"));
    EXPECT_EQ(Split(ended.out, '\n').size(), 5u) << ended.out;
  }
}

TEST_F(IdentityTest, WhomOnlyTheNameServiceKnowsHasHisName) {
  if (::geteuid() != 0) GTEST_SKIP() << "another getent(1) takes root";
  WriteTo(path_ + "/getent",
          "#!/bin/sh\n"
          "[ \"$*\" = 'passwd 20001' ] && echo 'sssd:x:20001:20001:by LDAP:/home/sssd:/bin/sh' && exit\n"
          "[ \"$*\" = 'group 20001' ] && echo 'people:x:20001:a,b' && exit\n"
          "exit 2\n",
          0755);
  Ended ended = Slipway({"exec", path_ + "/root", "id", "-un"}, {.getent = path_ + "/getent"});
  EXPECT_EQ(ended.out, "sssd\n") << ended.err;
  EXPECT_EQ(Slipway({"exec", path_ + "/root", "id", "-gn"}, {.getent = path_ + "/getent"}).out, "people\n");
}

TEST_F(IdentityTest, LentIdsAreMappedBehindRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "lending ids takes root";
  if (::access("/usr/bin/newuidmap", X_OK) < 0 || ::access("/etc/subuid", F_OK) < 0 ||
      ::access("/etc/subgid", F_OK) < 0)
    GTEST_SKIP() << "no newuidmap (uidmap) here";
  std::string folder = MakeFolder("/lent");
  Ended ended = Slipway({"exec", "--fakeroot", "--explain", "-B", folder + ":/lent", path_ + "/root", "sh",
                         "-c", "echo x > /lent/f && chown 5:6 /lent/f && stat -c %u:%g /lent/f"},
                        {.ranges = true});
  EXPECT_EQ(ended.out, "5:6\n") << ended.err;
  EXPECT_THAT(
      ended.err,
      HasSubstr(
          "uid_map: 0 inside is 20001 outside, 1 id\nuid_map: 1 inside is 700000 outside, 65536 ids\n"));
  struct stat info {};
  ASSERT_EQ(::stat((folder + "/f").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 700004u);
  EXPECT_EQ(info.st_gid, 700005u);
}

TEST_F(IdentityTest, SaysWhyRootIsAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "what /etc/subuid lends the caller is not ours to choose";
  WriteTo(path_ + "/subuid", "");
  Ended ended = Slipway({"exec", "-f", "--explain", path_ + "/root", "true"}, {.ranges = true});
  WriteTo(path_ + "/subuid", "20001:700000:65536\n");
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.err, HasSubstr("/etc/subuid has no range for"));
}

TEST_F(IdentityTest, RootInsideMayDoWhatHisNamespaceAllows) {
  Ended ended = Slipway({"exec", "-f", "--ignore-subuid", "--writable-tmpfs", path_ + "/bare", "true"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  std::string status =
      Slipway({"exec", "-f", "--ignore-subuid", path_ + "/root", "cat", "/proc/self/status"}).out;
  EXPECT_THAT(status, Not(HasSubstr("CapEff:\t0000000000000000")));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(Exec({"cat", "/proc/self/status"}).out, HasSubstr("CapEff:\t0000000000000000"));
}

TEST_F(IdentityTest, NoNetworkButLoopback) {
  for (std::vector<std::string> options : {std::vector<std::string>{"--net"}, {"--network", "none"}}) {
    options.insert(options.begin(), "exec");
    options.insert(options.end(), {path_ + "/root", "cat", "/proc/net/dev"});
    std::string devices = Slipway(options).out;
    EXPECT_THAT(devices, HasSubstr("lo:"));
    EXPECT_EQ(Split(devices, '\n').size(), 4u) << devices;
  }
  Ended bridge = Slipway({"exec", "--network", "bridge", path_ + "/root", "true"});
  EXPECT_EQ(bridge.code, 125);
  EXPECT_THAT(bridge.err, HasSubstr("--network bridge: only none is to be had"));
}

TEST_F(IdentityTest, UtsAndPidNamespacesAreOnesOwnWhenAskedFor) {
  std::string host;
  for (const char* kind : {"uts", "pid", "ipc", "net"}) {
    char link[64] = {};
    ASSERT_GT(::readlink(Cat("/proc/self/ns/", kind).c_str(), link, sizeof link - 1), 0);
    host += Cat(link, "\n");
  }
  const std::string show = "for n in uts pid ipc net; do stat -c %N /proc/self/ns/$n; done";
  auto of = [](const std::string& out, int line) {
    auto link = Split(out, '\n')[static_cast<std::size_t>(line)];
    return link.substr(link.rfind('\'', link.size() - 2) + 1,
                       link.rfind('\'') - link.rfind('\'', link.size() - 2) - 1);
  };
  std::vector<std::string> ours = Split(host, '\n');
  std::string plain = Exec({"sh", "-c", show}).out;
  EXPECT_EQ(of(plain, 0), ours[0]);
  EXPECT_NE(of(plain, 1), ours[1]);
  EXPECT_NE(of(plain, 2), ours[2]);
  EXPECT_EQ(of(plain, 3), ours[3]);
  std::string other = Slipway({"exec", "--uts", "--no-pid", "--net", path_ + "/root", "sh", "-c", show}).out;
  EXPECT_NE(of(other, 0), ours[0]);
  EXPECT_EQ(of(other, 1), ours[1]);
  EXPECT_NE(of(other, 3), ours[3]);
}

TEST_F(IdentityTest, OptionsOfApptainerThatMeanNothingHereAreAnswered) {
  Ended warned = Slipway({"exec", "--no-init", path_ + "/root", "true"});
  EXPECT_EQ(warned.code, 0);
  EXPECT_THAT(warned.err, HasSubstr("warning: --no-init changes nothing"));
  Ended refused = Slipway({"exec", "--fusemount", "container:x /y", path_ + "/root", "true"});
  EXPECT_EQ(refused.code, 125);
  EXPECT_THAT(refused.err, HasSubstr("--fusemount cannot be had: mount it on the host"));
  Ended compat = Slipway({"exec", "--compat", path_ + "/root", "sh", "-c",
                          "umask; echo x > /etc/new && cat /etc/new; echo ${OUTSIDE:-none}"});
  EXPECT_EQ(compat.out, "0022\nx\nnone\n");
}

}  // namespace
}  // namespace slipway
