// SPDX-License-Identifier: Apache-2.0
// What a container's programs find in their environment.
#include "cli/front/testdata/front_fixture.h"

namespace slipway {
namespace {

class EnvironmentTest : public FrontTest {};

TEST_F(EnvironmentTest, EnvironmentIsOfHostImageAndUserInThatOrder) {
  std::string out = Slipway({"exec", "--env", "MINE=x", path_ + "/root", "env"}).out;
  for (const char* entry : {"OUTSIDE=host\n", "FROM_IMAGE=plain\n", "FROM_SHELL=plain shell\n",
                            "BOTH=image\n", "MINE=x\n", "SLIPWAY_NAME=root\n", "APPTAINER_NAME=root\n"}) {
    EXPECT_THAT(out, HasSubstr(entry));
  }
  EXPECT_THAT(out, Not(HasSubstr("SLIPWAYENV_")));
  std::string clean = Slipway({"exec", "-e", "--env", "BOTH=mine", path_ + "/root", "env"}).out;
  EXPECT_THAT(clean, Not(HasSubstr("OUTSIDE")));
  EXPECT_THAT(clean, HasSubstr("BOTH=mine\n"));
  EXPECT_THAT(clean, HasSubstr("HOME=" + path_ + "/home\n"));
}

TEST_F(EnvironmentTest, SeveralVariablesAndCommasInValues) {
  std::string out = Slipway({"exec", "--env", "A=1,B=x,y,C=3", path_ + "/root", "env"}).out;
  for (const char* entry : {"A=1\n", "B=x,y\n", "C=3\n"}) EXPECT_THAT(out, HasSubstr(entry));
  EXPECT_THAT(Slipway({"exec", "--env", "1x", path_ + "/root", "env"}).err,
              HasSubstr("'1x' is not NAME=VALUE"));
}

TEST_F(EnvironmentTest, AFileSetsThemAndNamesItsWrongLine) {
  WriteTo(path_ + "/good.env", "# words\nexport FROM_FILE=\"two words\"\nBOTH=file\nLITERAL='$HOME'\n\n");
  std::string out =
      Slipway({"exec", "--env-file", path_ + "/good.env", "--env", "BOTH=mine", path_ + "/root", "env"}).out;
  for (const char* entry : {"FROM_FILE=two words\n", "BOTH=mine\n", "LITERAL=$HOME\n"})
    EXPECT_THAT(out, HasSubstr(entry));
  WriteTo(path_ + "/bad.env", "A=1\nnot a variable\n");
  Ended bad = Slipway({"exec", "--env-file", path_ + "/bad.env", path_ + "/root", "env"});
  EXPECT_EQ(bad.code, 125);
  EXPECT_THAT(bad.err, HasSubstr("bad.env, line 2: 'not a variable' is not NAME=VALUE"));
}

TEST_F(EnvironmentTest, PathIsPrependedAndAppendedTo) {
  Besides besides{.env = {{"APPTAINERENV_PREPEND_PATH", "/first"}, {"SINGULARITYENV_APPEND_PATH", "/last"}}};
  std::string out = Slipway({"exec", path_ + "/root", "sh", "-c", "echo $PATH"}, besides).out;
  EXPECT_THAT(out, StartsWith("/first:/usr/local/sbin:"));
  EXPECT_THAT(out, HasSubstr(":/bin:/last\n"));
}

TEST_F(EnvironmentTest, NamedVariablesStayOutside) {
  std::string out = Slipway({"exec", "--no-env", "OUTSIDE,X", path_ + "/root", "env"}).out;
  EXPECT_THAT(out, Not(HasSubstr("OUTSIDE")));
}

TEST_F(EnvironmentTest, OptionsComeFromVariablesOfThreePrograms) {
  WriteTo(path_ + "/from_env", "bound\n");
  Besides besides{.env = {{"APPTAINER_BIND", path_ + "/from_env:/opt/a"}, {"SINGULARITY_CLEANENV", "1"}}};
  std::string out = Slipway({"exec", path_ + "/root", "sh", "-c", "cat /opt/a; env"}, besides).out;
  EXPECT_THAT(out, StartsWith("bound\n"));
  EXPECT_THAT(out, Not(HasSubstr("OUTSIDE")));
  // Ours before theirs, and a list is added to what the command line says.
  besides.env = {{"SLIPWAY_BIND", path_ + "/from_env:/opt/b"}, {"APPTAINER_BIND", "/no/such:/opt/a"}};
  EXPECT_EQ(
      Slipway({"exec", "-B", path_ + "/from_env:/opt/c", path_ + "/root", "cat", "/opt/b", "/opt/c"}, besides)
          .out,
      "bound\nbound\n");
  besides.env = {{"APPTAINER_CONTAIN", "maybe"}};
  EXPECT_THAT(Slipway({"exec", path_ + "/root", "true"}, besides).err,
              HasSubstr("APPTAINER_CONTAIN=maybe: is neither yes (1, true) nor no"));
}

TEST_F(EnvironmentTest, AnAppBringsItsEnvironmentAndItsRunscript) {
  std::string app = path_ + "/root/scif/apps/foo";
  ASSERT_TRUE(MakeDirectories(app + "/scif/env"));
  ASSERT_TRUE(MakeDirectories(app + "/bin"));
  WriteTo(app + "/scif/env/90-environment.sh", "export OF_APP=\"$SCIF_APPNAME\"\n");
  WriteTo(app + "/scif/runscript", "#!/bin/sh\necho app $OF_APP \"$@\"\n", 0755);
  WriteTo(app + "/bin/tool", "#!/bin/sh\necho tool of $SCIF_APPROOT\n", 0755);
  EXPECT_EQ(Slipway({"run", "--app", "foo", path_ + "/root", "x"}).out, "app foo x\n");
  EXPECT_EQ(Slipway({"exec", "--app", "foo", path_ + "/root", "tool"}).out, "tool of /scif/apps/foo\n");
  Ended none = Slipway({"run", "--app", "bar", path_ + "/root"});
  EXPECT_EQ(none.code, 125);
  EXPECT_THAT(none.err, HasSubstr("--app bar: the image has no such app; it has foo"));
}

TEST_F(EnvironmentTest, UmaskIsTheCallersUnlessAskedOtherwise) {
  mode_t before = ::umask(027);
  std::string inherited = Exec({"sh", "-c", "umask"}).out;
  std::string usual = Slipway({"exec", "--no-umask", path_ + "/root", "sh", "-c", "umask"}).out;
  ::umask(before);
  EXPECT_EQ(inherited, "0027\n");
  EXPECT_EQ(usual, "0022\n");
}

}  // namespace
}  // namespace slipway
