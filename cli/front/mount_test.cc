// SPDX-License-Identifier: Apache-2.0
// What of the host, and of image files, is to be seen in a container.
#include "cli/front/testdata/front_fixture.h"

namespace slipway {
namespace {

class MountTest : public FrontTest {};

TEST_F(MountTest, BindsWhatIsAskedForAndNamesWhatIsNotThere) {
  WriteTo(path_ + "/shared", "from outside\n");
  EXPECT_EQ(Slipway({"exec", "-B", path_ + "/shared:/opt/in:ro", path_ + "/root", "cat", "/opt/in"}).out,
            "from outside\n");
  Ended missing = Slipway({"exec", "-B", "/no/such:/x", path_ + "/root", "true"});
  EXPECT_EQ(missing.code, 125);
  EXPECT_THAT(missing.err, HasSubstr("--bind '/no/such:/x': No such file"));
  EXPECT_THAT(Slipway({"exec", "-B", "/tmp:/x:rx", path_ + "/root", "true"}).err,
              HasSubstr("they are ro, rw"));
}

TEST_F(MountTest, AMountIsABindThatCanNameAnyPath) {
  WriteTo(path_ + "/odd, \"path", "odd\n");
  std::string mount = Cat("type=bind,\"source=", path_, "/odd, \"\"path\",destination=/opt/odd,ro");
  EXPECT_EQ(Slipway({"exec", "--mount", mount, path_ + "/root", "cat", "/opt/odd"}).out, "odd\n");
  EXPECT_THAT(Slipway({"exec", "--mount", mount, path_ + "/root", "sh", "-c", "echo x > /opt/odd"}).err,
              HasSubstr("Read-only file system"));
  struct {
    const char *mount, *words;
  } cases[] = {{"type=tmpfs,destination=/x", "type=tmpfs is not to be had"},
               {"source=/tmp", "needs a source and a destination"},
               {"source=/tmp,destination=/x,colour=red", "unknown field 'colour'"},
               {"source=\"/tmp", "source and a destination"},
               {"\"source=/tmp", "a quote is not closed"},
               {"source=/tmp,destination=/x,bind-propagation=shared", "would carry mounts made inside out"}};
  for (auto [text, words] : cases) {
    Ended ended = Slipway({"exec", "--mount", text, path_ + "/root", "true"});
    EXPECT_EQ(ended.code, 125) << text;
    EXPECT_THAT(ended.err, HasSubstr(words)) << text;
    EXPECT_EQ(Split(ended.err, '\n').size(), 2u) << ended.err;
  }
}

TEST_F(MountTest, ABindTakesItsOptions) {
  WriteTo(path_ + "/a,b:c", "escaped\n");
  EXPECT_EQ(Slipway({"exec", "-B", path_ + "/a\\,b\\:c:/opt/x", path_ + "/root", "cat", "/opt/x"}).out,
            "escaped\n");
  Ended shared = Slipway({"exec", "-B", "/tmp:/x:rshared", path_ + "/root", "true"});
  EXPECT_EQ(shared.code, 125);
  EXPECT_THAT(shared.err, HasSubstr("rslave, the default, shows the host's later mounts inside"));
  Ended explained =
      Slipway({"exec", "--explain", "-B", "/tmp:/x:rprivate,/tmp:/y:ro", path_ + "/root", "true"});
  EXPECT_THAT(explained.err, HasSubstr("mount: bind /tmp at /x rw, private\n"));
  EXPECT_THAT(explained.err, HasSubstr("mount: bind /tmp at /y ro, slave of the host's\n"));
}

TEST_F(MountTest, ImageFilesAreBoundFrom) {
  if (!HasFuse()) GTEST_SKIP() << "no /dev/fuse";
  for (const char* bind : {"/image.sqfs:/data:image-src=/etc", "/image.sif:/data:image-src=/etc,id=1"})
    EXPECT_EQ(Slipway({"exec", "-B", path_ + bind, path_ + "/root", "cat", "/data/passwd"}).out,
              "root:x:0:0::/root:/bin/sh\n");
  EXPECT_EQ(
      Slipway({"exec", "-B", path_ + "/image.sqfs:/p:image-src=/etc/passwd", path_ + "/root", "cat", "/p"})
          .out,
      "root:x:0:0::/root:/bin/sh\n");
  EXPECT_THAT(Slipway({"exec", "-B", path_ + "/image.sif:/d:id=7", path_ + "/root", "true"}).err,
              HasSubstr("no partition with id=7; it has 1"));
  EXPECT_THAT(Slipway({"exec", "-B", path_ + "/image.sqfs:/d:image-src=/none", path_ + "/root", "true"}).err,
              HasSubstr("mounting /none of"));
  EXPECT_THAT(Slipway({"exec", "-B", path_ + "/root/bin/data:/d:image-src=/", path_ + "/root", "true"}).err,
              HasSubstr("a squashfs, an ext3 file system or a SIF"));
}

TEST_F(MountTest, AMountPointBelowABindIsMadeWhereTheUserMayAndRefusedElsewhere) {
  std::string outer = MakeFolder("/outer"), inner = MakeFolder("/inner");
  WriteTo(inner + "/file", "inner\n");
  std::vector<std::string> binds = {"exec", "-B", outer + ":/data," + inner + ":/data/sub", path_ + "/root"};
  binds.insert(binds.end(), {"cat", "/data/sub/file"});
  EXPECT_EQ(Slipway(binds).out, "inner\n");
  EXPECT_EQ(::access((outer + "/sub").c_str(), F_OK), 0);
  binds[2] = outer + ":/data:ro," + inner + ":/data/other";
  Ended refused = Slipway(binds);
  EXPECT_EQ(refused.code, 125);
  EXPECT_THAT(refused.err, HasSubstr("read-only: make it there (mkdir -p " + outer + "/other)"));
}

TEST_F(MountTest, DefaultsAreLeftOutByName) {
  std::string out = Slipway({"exec", "--no-mount", "tmp,home,/etc/hosts", "--no-mount", "cwd,devpts",
                             path_ + "/root", "sh", "-c", "ls -d /tmp /etc/hosts /dev/pts /dev/null"})
                        .out;
  EXPECT_EQ(out, "/dev/null\n");
  EXPECT_THAT(Slipway({"exec", "--no-mount", "temp", path_ + "/root", "true"}).err,
              HasSubstr("the names are proc, sys, dev"));
}

TEST_F(MountTest, HomeMayBeAnotherAndElsewhere) {
  std::string other = MakeFolder("/other");
  WriteTo(other + "/mine", "");
  EXPECT_EQ(Slipway({"exec", "--home", other + ":/h", path_ + "/root", "sh", "-c", "echo $HOME; ls /h"}).out,
            "/h\nmine\n");
  EXPECT_EQ(Slipway({"exec", "-c", "--home", other, path_ + "/root", "sh", "-c", "cd; pwd; ls"}).out,
            other + "\nmine\n");
  EXPECT_THAT(Slipway({"exec", "--home", "/no/such", path_ + "/root", "true"}).err,
              HasSubstr("--home /no/such: No such file"));
}

TEST_F(MountTest, ScratchIsEmptyAndKeptOnlyWithAWorkdir) {
  std::string kept = MakeFolder("/kept");
  EXPECT_EQ(Slipway({"exec", "--scratch", "/s", path_ + "/root", "sh", "-c", "echo x > /s/f; ls /s"}).out,
            "f\n");
  EXPECT_EQ(Slipway({"exec", "-c", "-S", "/s", "-W", kept, path_ + "/root", "sh", "-c",
                     "echo x > /s/f; echo y > /tmp/t; echo z > $HOME/h"})
                .code,
            0);
  EXPECT_EQ(*ReadFile(kept + "/scratch/s/f"), "x\n");
  EXPECT_EQ(*ReadFile(kept + "/tmp/t"), "y\n");
  EXPECT_EQ(*ReadFile(kept + "/home/h"), "z\n");
}

TEST_F(MountTest, ContainAllKeepsFilesAndEnvironmentOut) {
  WriteTo(path_ + "/secret", "x");
  Ended all = Slipway(
      {"exec", "-C", path_ + "/root", "sh", "-c", "ls $HOME " + path_ + "/secret; echo ${OUTSIDE:-none}"});
  EXPECT_THAT(all.out, StartsWith(path_ + "/home:\nnone\n"));
  EXPECT_THAT(all.err, HasSubstr("/secret"));
}

TEST_F(MountTest, AContainedOneHasSharedMemoryOfItsOwn) {
  const std::string show = "stat -c %d /dev/shm";
  std::string plain = Exec({"sh", "-c", show}).out;
  EXPECT_EQ(plain, RunAndCapture({.argv = {"stat", "-c", "%d", "/dev/shm"}})->out);
  EXPECT_NE(Slipway({"exec", "-c", path_ + "/root", "sh", "-c", show}).out, plain);
}

TEST_F(MountTest, NameServersReplaceTheHosts) {
  EXPECT_EQ(
      Slipway({"exec", "--dns", "192.0.2.1,2001:db8::1", path_ + "/root", "cat", "/etc/resolv.conf"}).out,
      "nameserver 192.0.2.1\nnameserver 2001:db8::1\n");
  EXPECT_THAT(Slipway({"exec", "--dns", "example", path_ + "/root", "true"}).err,
              HasSubstr("is not an IP address"));
}

// What an automounter does, by root's hand: in the namespace of the user's process, after the container
// stands.
TEST_F(MountTest, AMountThatTheHostMakesLaterIsSeenInside) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting on the host takes root";
  std::string folder = MakeFolder("/auto");
  Process outside = std::move(*Clone3({}));
  if (!outside) {
    bool made = ::unshare(CLONE_NEWNS) == 0 &&
                ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                ::mount("t", folder.c_str(), "tmpfs", 0, nullptr) == 0 &&
                ::mount(nullptr, folder.c_str(), nullptr, MS_SHARED, nullptr) == 0 &&
                ::mkdir((folder + "/later").c_str(), 0755) == 0;
    if (!made) ::_exit(1);
    Running running =
        Start({"exec", "-B", folder + ":/in", path_ + "/root", "sh", "-c",
               "echo up; while [ ! -e /in/later/file ]; do sleep 0.05; done; cat /in/later/file"},
              {.keep_mounts = true});
    if (ReadLine(running.out.get()) != "up") ::_exit(2);
    if (::mount("t", (folder + "/later").c_str(), "tmpfs", 0, nullptr) < 0) ::_exit(3);
    WriteTo(folder + "/later/file", "mounted later\n");
    ::_exit(Finish(std::move(running)).out == "mounted later\n" ? 0 : 4);
  }
  EXPECT_EQ(outside.Wait()->exit_code(), 0);
}

}  // namespace
}  // namespace slipway
