// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/deffile.h"

#include <gtest/gtest.h>

#include "imagestore/build/apt_sources.h"
#include "imagestore/build/metadata.h"

#include <fstream>

#include "base/os/fd.h"

namespace slipway::build {
namespace {

void ExpectRefused(const std::string& text, const std::string& message, Code code = Code::kInvalidArgument) {
  auto recipe = ParseRecipe(text, "x.def");
  ASSERT_FALSE(recipe) << text;
  EXPECT_EQ(recipe.error().code, code) << recipe.error().message;
  EXPECT_NE(recipe.error().message.find(message), std::string::npos) << recipe.error().message;
}

TEST(Recipe, WholeExampleIsRead) {
  auto recipe = ParseRecipe(
      "# an image\n"
      "BootStrap: debootstrap\n"
      "OSVersion: bookworm\n"
      "MirrorURL: http://mirror.example/debian\n"
      "Include: openmpi-bin, python3  hpcc\n"
      "\n"
      "%files\n"
      "  a.txt /opt/a.txt\n"
      "  # nothing\n"
      "  \"with space\"\n"
      "%post -c /bin/bash\n"
      "  echo 100%\n"
      "  # kept\n"
      "%labels\n"
      "  Author Some One\n"
      "  Quoted \"a b\"\n"
      "%environment\r\n"
      "  export A=1\r\n"
      "%runscript\n"
      "  exec \"$@\"\n"
      "%post\n"
      "  echo more\n",
      "x.def");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(recipe->bootstrap, "debootstrap");
  EXPECT_EQ(recipe->os_version, "bookworm");
  EXPECT_EQ(recipe->mirror_url, "http://mirror.example/debian");
  EXPECT_EQ(recipe->include, (std::vector<std::string>{"openmpi-bin", "python3", "hpcc"}));
  ASSERT_EQ(recipe->files.size(), 2U);
  EXPECT_EQ(recipe->files[0].destination, "/opt/a.txt");
  EXPECT_EQ(recipe->files[1].source, "with space");
  EXPECT_EQ(recipe->files[1].line, 10);
  EXPECT_EQ(recipe->post.line, 11);
  EXPECT_EQ(recipe->post.shell, "/bin/bash");
  EXPECT_EQ(recipe->post.text, "  echo 100%\n  # kept\n  echo more\n\n");
  EXPECT_EQ(recipe->labels[0], (std::pair<std::string, std::string>{"Author", "Some One"}));
  EXPECT_EQ(recipe->labels[1].second, "a b");
  EXPECT_EQ(recipe->environment.text, "  export A=1\n");
  EXPECT_FALSE(recipe->test);
}

TEST(Recipe, MistakesAreNamedWithTheirLine) {
  ExpectRefused("hello\n", "x.def:1: expected \"Key: value\"");
  ExpectRefused("", "no line \"Bootstrap");
  ExpectRefused("Bootstrap: debootsrap\n",
                "x.def:1: unknown bootstrap \"debootsrap\"; did you mean \"debootstrap\"?");
  ExpectRefused("Bootstrap: debootstrap\nOSVersoin: x\n",
                "x.def:2: unknown header \"osversoin\"; did you mean \"osversion\"?");
  ExpectRefused("Bootstrap: debootstrap\nOSVersion: bookworm\n%pots\n",
                "x.def:3: unknown section %pots; did you mean %post?");
  ExpectRefused("Bootstrap: debootstrap\n", "needs \"OSVersion");
  ExpectRefused("Bootstrap: localimage\n", "needs \"From");
  ExpectRefused("Bootstrap: localimage\nFrom:\n", "x.def:2: the header \"from\" has no value");
  ExpectRefused("Bootstrap: localimage\nFrom: a\n%files\n a b c\n", "x.def:4: %files takes");
  ExpectRefused("Bootstrap: debootstrap\nOSVersion: b\nInclude: --hook=x\n", "no package name");
  ExpectRefused(std::string("Bootstrap: x\0y\n", 15), "not a text file");
}

TEST(Recipe, WhatIsNotSupportedIsRefusedNotSkipped) {
  ExpectRefused("Bootstrap: library\nFrom: x\n", "x.def:1: Bootstrap: library is not supported",
                Code::kUnimplemented);
  ExpectRefused("Bootstrap: docker\nFrom: a\nFingerprints: x\n", "x.def:3: the header \"fingerprints\"",
                Code::kUnimplemented);
  ExpectRefused("Bootstrap: localimage\nFrom: a\n%files from build\n",
                "x.def:3: there is no stage \"build\"");
  ExpectRefused("Bootstrap: localimage\nFrom: a\nBootstrap: localimage\n", "a second \"Bootstrap\"");
  ExpectRefused("Bootstrap: docker\n%post\n", "needs \"From");
  ExpectRefused("Bootstrap: scratch\n%apprun\n", "x.def:2: %apprun needs the name");
  ExpectRefused("Bootstrap: scratch\n%apprun ../x\n", "needs the name");
}

TEST(Recipe, StagesAreReadAndCopiedFrom) {
  auto recipe = ParseRecipe(
      "Bootstrap: docker\nRegistry: h.example\nNamespace: hpc\nFrom: gcc:12\nStage: build\n%post\n make\n"
      "Bootstrap: scratch\n%files from build\n /a /b\n%files\n c\n%post\n true\n",
      "x.def");
  ASSERT_TRUE(recipe) << recipe.error().message;
  ASSERT_EQ(recipe->earlier.size(), 1U);
  EXPECT_EQ(recipe->earlier[0].Address(), "docker://h.example/hpc/gcc:12");
  EXPECT_EQ(recipe->earlier[0].post.text, " make\n");
  EXPECT_EQ(recipe->bootstrap, "scratch");
  EXPECT_FALSE(recipe->HasBase());
  ASSERT_EQ(recipe->files.size(), 2U);
  EXPECT_EQ(recipe->files[0].stage, "build");
  EXPECT_EQ(recipe->files[1].stage, "");
  EXPECT_EQ(ParseRecipe("Bootstrap: oci-archive\nFrom: a.tar:v1\n", "x")->Address(), "oci-archive:a.tar:v1");
}

TEST(Recipe, AppsAreReadByName) {
  auto recipe = ParseRecipe(
      "Bootstrap: scratch\n%apprun one\n 1\n%apprun two\n 2\n%appenv one\n E=1\n%applabels one\n A b\n"
      "%appfiles one\n x y\n%apprun one\n more\n",
      "x.def");
  ASSERT_TRUE(recipe) << recipe.error().message;
  ASSERT_EQ(recipe->apps.size(), 2U);
  EXPECT_EQ(recipe->apps[0].run.text, " 1\n more\n\n");
  EXPECT_EQ(recipe->apps[0].labels[0].second, "b");
  EXPECT_EQ(recipe->apps[0].files[0].destination, "y");
  EXPECT_EQ(recipe->apps[1].run.text, " 2\n");
}

TEST(Recipe, BracesAreFilledIn) {
  std::string text =
      "Bootstrap: docker\nFrom: a:{{ VERSION }}\n%arguments\n  VERSION=1\n  X=\n%post\n echo {{X}} '{{.Go}}' "
      "{{\n";
  EXPECT_NE(FillIn(text, "x", {})->find("a:1\n"), std::string::npos);
  EXPECT_NE(FillIn(text, "x", {{"VERSION", "2"}})->find("a:2\n"), std::string::npos);
  EXPECT_NE(FillIn(text, "x", {})->find("echo  '{{.Go}}' {{\n"), std::string::npos);
  EXPECT_NE(FillIn("a\n{{ B }}", "x", {}).error().message.find("x:2: {{ B }}"), std::string::npos);
  EXPECT_NE(FillIn("a", "x", {{"N", "1"}}).error().message.find("no {{ N }}"), std::string::npos);
}

TEST(AptSources, BothFormatsGiveTheSuiteWithUpdatesAndSecurity) {
  auto made = MakeTempDirectory(::testing::TempDir(), "slipway-apt-");
  ASSERT_TRUE(made);
  ASSERT_TRUE(MakeDirectories(*made + "/sources.list.d"));
  std::ofstream(*made + "/sources.list")
      << "# comment\ndeb http://m.example/debian bookworm main contrib # why\n"
      << "deb-src http://m.example/debian bookworm main\n"
      << "deb [arch=amd64 signed-by=/k.gpg] http://m.example/sec bookworm-security main\n";
  std::ofstream(*made + "/sources.list.d/a.sources")
      << "Types: deb deb-src\nURIs: http://n.example/debian\nSuites: bookworm-updates trixie\n"
      << "Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n\n"
      << "Enabled: no\nTypes: deb\nURIs: http://o.example\nSuites: bookworm\nComponents: main\n";
  std::ofstream(*made + "/sources.list.d/b.list") << "deb http://third.example bookworm stable\n";
  auto lines = HostAptLines("bookworm", *made);
  ASSERT_TRUE(lines) << lines.error().message;
  EXPECT_EQ(*lines,
            (std::vector<std::string>{
                "deb http://m.example/debian bookworm main contrib",
                "deb [arch=amd64 signed-by=/k.gpg] http://m.example/sec bookworm-security main",
                "deb [signed-by=/usr/share/keyrings/k.gpg] http://n.example/debian bookworm-updates main"}));
  EXPECT_EQ(*HostAptLines("sid", *made), std::vector<std::string>{"deb http://m.example/debian sid main"});
  ASSERT_TRUE(RemoveTree(*made));
  EXPECT_EQ(HostAptLines("sid", *made).error().code, Code::kNotFound);
}

TEST(Labels, BadJsonIsAnError) {
  EXPECT_FALSE(ParseLabels("[1]"));
  EXPECT_FALSE(ParseLabels("{"));
  EXPECT_EQ(ParseLabels("{\"a\":\"b\",\"n\":1}")->size(), 1U);
}

}  // namespace
}  // namespace slipway::build
