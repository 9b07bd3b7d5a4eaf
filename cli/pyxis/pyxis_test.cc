// SPDX-License-Identifier: Apache-2.0
#include "cli/pyxis/pyxis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace slipway::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<std::string> Image(std::string_view text) {
  return PyxisImage(text, [](const std::string& path) { return path == "there"; });
}
Parsed Given(const std::vector<std::string>& words) {
  return *ParseOptions({.name = "t", .options = PyxisOptions()}, words);
}

TEST(Pyxis, ImagesAreAddressesOfRegistries) {
  EXPECT_EQ(*Image("ubuntu"), "docker://ubuntu");
  EXPECT_EQ(*Image("nvidia/cuda:12.4.1-base-ubuntu22.04"), "docker://nvidia/cuda:12.4.1-base-ubuntu22.04");
  EXPECT_EQ(*Image("nvcr.io#nvidia/pytorch:24.01-py3"), "docker://nvcr.io/nvidia/pytorch:24.01-py3");
  EXPECT_EQ(*Image("docker://nvcr.io#nvidia/pytorch"), "docker://nvcr.io/nvidia/pytorch");
  EXPECT_EQ(*Image("localhost:5000#a@sha256:00"), "docker://localhost:5000/a@sha256:00");
  EXPECT_EQ(*Image("oras://reg.example.org/a:1"), "oras://reg.example.org/a:1");
}

TEST(Pyxis, FilesStayFiles) {
  for (const char* path : {"/images/a.sqsh", "./a", "../a", "a/b.sqsh", "there"})
    EXPECT_EQ(*Image(path), path);
}

TEST(Pyxis, AnImageThatCannotBeHadIsRefusedWithTheCure) {
  EXPECT_THAT(Image("bob@nvcr.io#a").error().message, HasSubstr("login"));
  EXPECT_THAT(Image("myregistry#a").error().message, HasSubstr("whole name"));
  EXPECT_FALSE(Image("a.b#"));
  EXPECT_FALSE(Image(""));
}

TEST(Pyxis, MountsAreBinds) {
  EXPECT_THAT(*PyxisMounts("/a,/b:/c,/d:/e:ro,./f:/g:x-create=dir+ro+rprivate,/h:/i:rw"),
              ElementsAre("/a", "/b:/c", "/d:/e:ro", "./f:/g:ro", "/h:/i"));
  for (const char* wrong : {"", ":/a", "/a:", "/a:b", "/a:/b:shiny", "/a:/b:ro:x", "/a,,/b"})
    EXPECT_FALSE(PyxisMounts(wrong)) << wrong;
}

TEST(Pyxis, WhatIsNotHadIsNeverIgnored) {
  for (const char* word : {"--container-name=x", "--container-save=/x", "--container-remap-root"}) {
    auto wishes = PyxisWishesOf(Given({word}));
    ASSERT_FALSE(wishes) << word;
    EXPECT_THAT(wishes.error().message, HasSubstr("slipway"));
  }
  EXPECT_FALSE(PyxisWishesOf(Given({"--container-writable", "--container-readonly"})));
  EXPECT_FALSE(PyxisWishesOf(Given({"--container-entrypoint", "--no-container-entrypoint"})));
  EXPECT_FALSE(PyxisWishesOf(Given({"--container-workdir=here"})));
  EXPECT_FALSE(PyxisWishesOf(Given({"--container-env=A=1"})));
}

TEST(Pyxis, WishesAreRead) {
  auto wishes =
      PyxisWishesOf(Given({"--container-mounts=/a:/b", "--container-mounts", "/c", "--container-workdir=/w",
                           "--container-writable", "--no-container-mount-home", "--container-entrypoint",
                           "--container-env=A,B", "--container-entrypoint-log"}));
  ASSERT_TRUE(wishes);
  EXPECT_THAT(wishes->mounts, ElementsAre("/a:/b", "/c"));
  EXPECT_EQ(wishes->cwd, "/w");
  EXPECT_TRUE(wishes->writable && wishes->no_home && wishes->entrypoint);
  EXPECT_THAT(wishes->variables, ElementsAre("A", "B"));
}

TEST(Pyxis, ItsVariablesSayTheSame) {
  Command command{.name = "t", .options = PyxisOptions()};
  Parsed parsed = Given({});
  ASSERT_TRUE(TakeFromEnvironment(command, {"PYXIS_"},
                                  {"PYXIS_CONTAINER_IMAGE=ubuntu", "PYXIS_CONTAINER_WRITABLE=1"}, parsed));
  EXPECT_EQ(parsed.Value("container-image"), "ubuntu");
  EXPECT_TRUE(parsed.Has("container-writable"));
}

TEST(Pyxis, AScriptsStepsNameImages) {
  EXPECT_THAT(
      ImagesOfSteps("#!/bin/sh\n#SBATCH --container-image=directive\n"
                    "srun --container-image=a:1 x; srun --container-image \"b c\" y\n"
                    "srun --container-image=$IMAGE z\nsrun --container-image=a:1 w\n# --container-image=no\n"
                    "srun --container-image-x=3\n"),
      ElementsAre("a:1", "b c"));
}

}  // namespace
}  // namespace slipway::cli
