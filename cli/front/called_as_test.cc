// SPDX-License-Identifier: Apache-2.0
// Scripts of Apptainer's users: its name, the options before its commands, its scripts in images.
#include "cli/front/called_as.h"

#include "cli/front/testdata/front_fixture.h"

namespace slipway {
namespace {

using cli::ReadCall;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(CalledAs, OnlyApptainersNamesHaveOptionsBeforeTheCommand) {
  auto quiet = ReadCall({"/usr/bin/apptainer", "-d", "--quiet", "exec", "-q", "x.sif"});
  EXPECT_TRUE(quiet->quiet);
  EXPECT_THAT(quiet->words, ElementsAre("exec", "-q", "x.sif"));
  EXPECT_FALSE(ReadCall({"singularity", "--nocolor", "-v", "run"})->quiet);
  EXPECT_THAT(ReadCall({"singularity", "--version"})->words, ElementsAre("--version"));
  EXPECT_THAT(ReadCall({"apptainer", "-s"})->words, IsEmpty());
  EXPECT_THAT(ReadCall({"slipway", "-q", "exec"})->words, ElementsAre("-q", "exec"));
  EXPECT_FALSE(ReadCall({"/bin/sbatch", "-q", "x"})->with_commands);
  EXPECT_THAT(ReadCall({"apptainer", "-c", "f", "exec"}).error().message, HasSubstr("starter.conf"));
}

TEST_F(FrontTest, ByApptainersNameACommandIsTheSame) {
  ASSERT_EQ(::symlink("slipway", (path_ + "/bin/apptainer").c_str()), 0);
  Besides by_name;
  by_name.name = "apptainer";
  Ended ended = Slipway({"-q", "exec", "--no-init", path_ + "/root", "sh", "-c", "echo $0 in"}, by_name);
  EXPECT_EQ(ended.out, "sh in\n");
  EXPECT_EQ(ended.err, "") << "the warning about --no-init";
  EXPECT_THAT(Slipway({"exec", "--no-init", path_ + "/root", "true"}, by_name).err, HasSubstr("--no-init"));
}

TEST_F(FrontTest, TestAndRunHelpSayWhatTheImageSays) {
  WriteTo(path_ + "/root/.singularity.d/test", "#!/bin/sh\necho testing \"$@\"; exit 3\n", 0755);
  WriteTo(path_ + "/root/.singularity.d/runscript.help", "use it well\n");
  ASSERT_TRUE(MakeDirectories(path_ + "/root/scif/apps/calc/scif"));
  WriteTo(path_ + "/root/scif/apps/calc/scif/test", "#!/bin/sh\necho $SCIF_APPNAME\n", 0755);
  Ended test = Slipway({"test", path_ + "/root", "a b"});
  EXPECT_EQ(test.out, "testing a b\n");
  EXPECT_EQ(test.code, 3);
  EXPECT_EQ(Slipway({"test", "--app", "calc", path_ + "/root"}).out, "calc\n");
  EXPECT_EQ(Slipway({"run-help", path_ + "/root"}).out, "use it well\n");
  Ended none = Slipway({"run-help", "--app", "calc", path_ + "/root"});
  EXPECT_THAT(none.err, HasSubstr("calc has no help"));
  for (const char* name : {"/test", "/runscript.help"})
    ASSERT_EQ(::unlink(Cat(path_, "/root/.singularity.d", name).c_str()), 0);
}

TEST_F(FrontTest, AnImageThatPromisesNothingPassesItsTests) {
  Ended none = Slipway({"test", path_ + "/root"});
  EXPECT_EQ(none.code, 0) << none.err;
  EXPECT_THAT(none.err, HasSubstr("has no tests"));
}

}  // namespace
}  // namespace slipway
