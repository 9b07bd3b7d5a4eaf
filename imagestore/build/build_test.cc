// SPDX-License-Identifier: Apache-2.0
#include "imagestore/build/build.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "base/os/fd.h"
#include "base/os/process.h"
#include "base/text/text.h"
#include "imagestore/build/image_window.h"
#include "imagestore/build/inspect.h"
#include "imagestore/build/root_dir.h"
#include "imagestore/sif/sif.h"
#include "imagestore/squashfs/reader.h"

namespace slipway::build {
namespace {

class ImageBuild : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = MakeTempDirectory(::testing::TempDir(), "slipway-build-test-");
    ASSERT_TRUE(made);
    top_ = *made;
    tree_ = top_ + "/tree";
    for (const char* dir : {"", "/bin", "/etc"}) ASSERT_EQ(::mkdir((tree_ + dir).c_str(), 0755), 0);
    ::setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
  }
  void TearDown() override {
    ::unsetenv("SOURCE_DATE_EPOCH");
    EXPECT_TRUE(RemoveTree(top_));
  }
  // This host's shell and what it links, as the smallest image that can run a section.
  bool CopyShell() {
    auto ldd = RunAndCapture({.argv = {"ldd", "/bin/sh"}});
    if (!ldd || ldd->status.exit_code() != 0) return false;
    std::vector<std::string> files = {"/bin/sh", "/bin/sleep"};
    for (const std::string& line : Split(ldd->out, '\n')) {
      for (const std::string& word : Split(Trim(line), ' ')) {
        if (word.starts_with('/')) files.push_back(word);
      }
    }
    auto root = RootDir::Open(tree_);
    for (const std::string& file : files) {
      EXPECT_TRUE(root->MakeDirectories(file.substr(0, file.find_last_of('/'))));
      EXPECT_TRUE(root->CopyIn(file, file));
    }
    return true;
  }
  std::string Recipe(const std::string& text) {
    std::string path = top_ + "/x.def";
    std::ofstream(path) << text;
    return path;
  }
  Result<BuildSummary> BuildTo(const std::string& source, const std::string& name,
                               const std::atomic<bool>* cancelled = nullptr) {
    return Build({.source = source,
                  .output = top_ + "/" + name,
                  .force = true,
                  .log = [this](std::string_view line) { log_ += Cat(line, "\n"); },
                  .cancelled = cancelled});
  }
  std::size_t Entries() {
    auto listed = RunAndCapture({.argv = {"ls", "-A", top_}});
    return Split(listed->out, '\n').size() - 1;
  }
  std::string top_, tree_, log_;
};

TEST_F(ImageBuild, DirectoryBecomesAReproducibleSif) {
  std::ofstream(tree_ + "/etc/a") << "a";
  auto one = BuildTo(tree_, "one.sif"), two = BuildTo(tree_, "two.sif");
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->digest, two->digest);
  auto inspection = Inspect(top_ + "/one.sif");
  ASSERT_TRUE(inspection) << inspection.error().message;
  EXPECT_EQ(inspection->format, "sif");
  EXPECT_EQ(inspection->arch, sif::HostArch());
  EXPECT_EQ(inspection->digest, one->digest);
  EXPECT_FALSE(inspection->has_shell);
  EXPECT_EQ(inspection->created, 1'700'000'000);
  auto again = Build({.source = tree_, .output = top_ + "/one.sif"});
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
}

TEST_F(ImageBuild, NoDigestIsMadeForWhoWantsNone) {
  std::ofstream(tree_ + "/etc/a") << "a";
  auto told = BuildTo(tree_, "one.sif");
  auto untold = Build({.source = tree_, .output = top_ + "/two.sif", .digest = false});
  ASSERT_TRUE(told && untold);
  EXPECT_EQ(untold->digest, "");
  EXPECT_EQ(untold->size, told->size);
  EXPECT_EQ(Inspect(top_ + "/two.sif")->digest, told->digest);
}

TEST_F(ImageBuild, TheCompressionIsTheOneThatWasAskedFor) {
  std::ofstream(tree_ + "/etc/a") << std::string(300'000, 'a');
  for (const char* name : {"zstd", "gzip", "xz", "lz4"}) {
    std::string output = Cat(top_, "/", name, ".sif");
    auto built = Build({.source = tree_, .output = output, .compressor = *squashfs::CompressorOf(name)});
    ASSERT_TRUE(built) << built.error().message;
    EXPECT_EQ(Inspect(output)->compressor, name);
  }
}

TEST_F(ImageBuild, LimitsAreSettings) {
  for (int i = 0; i < 20; ++i) std::ofstream(Cat(tree_, "/etc/f", i)) << std::string(1000, 'a');
  auto refused = [&](squashfs::Limits limits) {
    return Build({.source = tree_, .output = top_ + "/no.sif", .limits = limits}).error().code;
  };
  EXPECT_EQ(refused({.entries_max = 10}), Code::kOutOfRange);
  EXPECT_EQ(refused({.bytes_max = 10'000}), Code::kOutOfRange);
  EXPECT_EQ(refused({.depth_max = 1}), Code::kOutOfRange);
  EXPECT_NE(::access((top_ + "/no.sif").c_str(), F_OK), 0);
}

TEST_F(ImageBuild, RecipeOnALocalImageRunsItsSections) {
  if (::geteuid() != 0) GTEST_SKIP() << "sections need root, or subordinate ids";
  if (!CopyShell()) GTEST_SKIP() << "no ldd here";
  ASSERT_TRUE(BuildTo(tree_, "base.sif"));
  std::ofstream(top_ + "/payload") << "payload";
  std::string recipe = Cat("Bootstrap: localimage\nFrom: ", top_, "/base.sif\n", "%files\n  ", top_,
                           "/payload /opt/\n  ", top_,
                           "/payload /opt/other\n"
                           "%post\n  echo made > /etc/made\n  read word < /opt/payload || true\n  echo "
                           "\"read $word\"\n  echo x > /dev/null\n  sleep 1000 &\n"
                           "%environment\n  export A=1\n%runscript\n  echo run\n%labels\n  Author "
                           "me\n%test\n  [ -e /etc/made ]\n%help\n  helpful\n");
  std::size_t before = Entries();
  auto built = BuildTo(Recipe(recipe), "made.sif");
  ASSERT_TRUE(built) << built.error().message << log_;
  EXPECT_EQ(Entries(), before + 2) << "more than the recipe and the image were left";
  EXPECT_NE(log_.find("read payload"), std::string::npos) << log_;
  auto inspection = Inspect(top_ + "/made.sif");
  ASSERT_TRUE(inspection) << inspection.error().message;
  EXPECT_EQ(inspection->labels.at("Author"), "me");
  EXPECT_EQ(inspection->deffile, recipe);
  EXPECT_NE(inspection->environment.find("export A=1"), std::string::npos);
  EXPECT_TRUE(inspection->runscript.starts_with("#!/bin/sh\n"));
  EXPECT_EQ(inspection->help, "  helpful\n\n");
  EXPECT_TRUE(inspection->has_shell);
  EXPECT_EQ(inspection->shell_arch, sif::HostArch());
  EXPECT_NE(InspectionJson(*inspection).find("\"Author\": \"me\""), std::string::npos);
  auto fd = Open(top_ + "/made.sif", O_RDONLY);
  auto image = sif::Read(fd->get());
  ASSERT_EQ(image->descriptors.size(), 3U);
  EXPECT_EQ(image->descriptors[0].type, sif::DataType::kDeffile);
  EXPECT_EQ(image->descriptors[1].type, sif::DataType::kGenericJson);
  EXPECT_EQ(image->descriptors[2].type, sif::DataType::kPartition);
}

TEST_F(ImageBuild, AFolderIsABaseLikeAnImage) {
  std::ofstream(tree_ + "/etc/a") << "a";
  std::string recipe = Recipe(Cat("Bootstrap: localimage\nFrom: ", tree_, "\n%labels\n  k v\n"));
  auto built = BuildTo(recipe, "made.sif");
  if (!built && built.error().message.find("subordinate ids") != std::string::npos) GTEST_SKIP();
  ASSERT_TRUE(built) << built.error().message;
  auto again = BuildTo(recipe, "again.sif");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->digest, built->digest);
  ASSERT_EQ(::chmod(tree_.c_str(), 0700), 0);
  EXPECT_EQ(Entries(), 4U) << "tree, recipe, two images and nothing else";
  UniqueFd fd = *Open(top_ + "/made.sif", O_RDONLY);
  auto window = FindImage(fd.get());
  ASSERT_TRUE(window);
  EXPECT_EQ(*squashfs::Reader::Open(window->squashfs)->ReadFile("/etc/a", 10), "a");
}

TEST_F(ImageBuild, FailedSectionShowsItsLineAndLastWords) {
  if (::geteuid() != 0) GTEST_SKIP() << "sections need root, or subordinate ids";
  if (!CopyShell()) GTEST_SKIP() << "no ldd here";
  ASSERT_TRUE(BuildTo(tree_, "base.sif"));
  auto built = BuildTo(
      Recipe(Cat("Bootstrap: localimage\nFrom: ", top_, "/base.sif\n%post\n  echo words\n  exit 7\n")),
      "made.sif");
  ASSERT_FALSE(built);
  EXPECT_NE(built.error().message.find("x.def:3: %post failed with exit code 7"), std::string::npos)
      << built.error().message;
  EXPECT_NE(built.error().message.find("\n  words\n"), std::string::npos) << built.error().message;
  EXPECT_NE(::access((top_ + "/made.sif").c_str(), F_OK), 0);
  EXPECT_EQ(Entries(), 3U);  // the tree, base.sif, the recipe
}

TEST_F(ImageBuild, CancelledBuildLeavesNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "sections need root, or subordinate ids";
  if (!CopyShell()) GTEST_SKIP() << "no ldd here";
  ASSERT_TRUE(BuildTo(tree_, "base.sif"));
  std::atomic<bool> cancelled{false};
  BuildOptions options{.source = Recipe(Cat("Bootstrap: localimage\nFrom: ", top_,
                                            "/base.sif\n%post\n  echo up\n  sleep 1000\n")),
                       .output = top_ + "/made.sif"};
  options.cancelled = &cancelled;
  options.log = [&](std::string_view line) { cancelled = cancelled || line == "up"; };
  EXPECT_EQ(Build(options).error().code, Code::kCancelled);
  EXPECT_EQ(Entries(), 3U);
}

TEST_F(ImageBuild, ImageWithoutAShellCannotRunASection) {
  if (::geteuid() != 0) GTEST_SKIP() << "sections need root, or subordinate ids";
  ASSERT_TRUE(BuildTo(tree_, "base.sif"));
  auto built =
      BuildTo(Recipe(Cat("Bootstrap: localimage\nFrom: ", top_, "/base.sif\n%post\n  true\n")), "made.sif");
  ASSERT_FALSE(built);
  EXPECT_NE(built.error().message.find("%post needs /bin/sh, which the image does not have"),
            std::string::npos)
      << built.error().message;
}

TEST_F(ImageBuild, MissingAndForeignSourcesAreClearErrors) {
  EXPECT_EQ(BuildTo(top_ + "/nothing.def", "made.sif").error().code, Code::kNotFound);
  auto no_base = BuildTo(Recipe("Bootstrap: localimage\nFrom: /nonexistent/base.sif\n"), "made.sif");
  EXPECT_NE(no_base.error().message.find("x.def:1: "), std::string::npos) << no_base.error().message;
  EXPECT_EQ(BuildTo(tree_, "missing/made.sif").error().code, Code::kNotFound);
  std::ofstream(top_ + "/junk") << "junk";
  EXPECT_NE(Inspect(top_ + "/junk").error().message.find("neither a SIF nor a squashfs"), std::string::npos);
}

// Links in the image cannot lead a build out of it.
TEST_F(ImageBuild, LinksOfTheImageStayInside) {
  std::string outside = top_ + "/outside";
  ASSERT_EQ(::mkdir(outside.c_str(), 0755), 0);
  ASSERT_EQ(::symlink(outside.c_str(), (tree_ + "/opt").c_str()), 0);
  ASSERT_EQ(::symlink("../../../../../../../../tmp", (tree_ + "/up").c_str()), 0);
  auto root = RootDir::Open(tree_);
  ASSERT_TRUE(root);
  EXPECT_FALSE(root->WriteFile("/opt/file", "x", 0644));
  EXPECT_FALSE(root->MakeDirectories("/a/../../b"));
  ASSERT_TRUE(root->MakeDirectories("/tmp", 01777));
  ASSERT_TRUE(root->WriteFile("/up/slipway-inside", "x", 0644));
  EXPECT_EQ(::access((tree_ + "/tmp/slipway-inside").c_str(), F_OK), 0);
  EXPECT_EQ(::rmdir(outside.c_str()), 0);
}

// The whole way with Debian's packages: minutes and a mirror, so only when asked for.
TEST_F(ImageBuild, DebianFromTheHostsMirror) {
  if (std::getenv("SLIPWAY_TEST_DEBOOTSTRAP") == nullptr)
    GTEST_SKIP() << "SLIPWAY_TEST_DEBOOTSTRAP is not set";
  auto built = BuildTo(Recipe("Bootstrap: debootstrap\nOSVersion: bookworm\n%post\n  test -x /usr/bin/apt\n"),
                       "debian.sif");
  ASSERT_TRUE(built) << built.error().message;
  EXPECT_TRUE(Inspect(top_ + "/debian.sif")->has_shell);
}

TEST_F(ImageBuild, StagesScratchSetupAppsAndArgumentsWorkTogether) {
  if (::geteuid() != 0) GTEST_SKIP() << "sections need root, or subordinate ids";
  if (!CopyShell()) GTEST_SKIP() << "no ldd here";
  ASSERT_EQ(::symlink("/etc/inside", (tree_ + "/etc/link").c_str()), 0);
  ASSERT_TRUE(BuildTo(tree_, "base.sif"));
  std::string recipe =
      "Bootstrap: docker\nFrom: some/image:{{ TAG }}\nStage: one\n%post\n  echo \"made {{ TAG }}\" > "
      "/etc/inside\n"
      "Bootstrap: scratch\n%setup\n  echo host > \"$APPTAINER_ROOTFS/etc/from-setup\"\n%files from one\n  "
      "/etc/link /etc/copied\n"
      "  /bin/* /bin/\n  /lib* /\n"
      "%apprun greet\n  echo greetings\n%appenv greet\n  export G=1\n";
  std::vector<std::string> asked;
  auto built = Build({.source = Recipe(recipe),
                      .output = top_ + "/made.sif",
                      .arguments = {{"TAG", "7"}},
                      .fetch = [&](const std::string& address) -> Result<std::string> {
                        asked.push_back(address);
                        return top_ + "/base.sif";
                      },
                      .log = [this](std::string_view line) { log_ += Cat(line, "\n"); }});
  ASSERT_TRUE(built) << built.error().message << log_;
  EXPECT_EQ(asked, std::vector<std::string>{"docker://some/image:7"});
  UniqueFd fd = std::move(*Open(top_ + "/made.sif", O_RDONLY));
  auto partition = *sif::PrimarySystemPartition(*sif::Read(fd.get()), fd.get());
  auto reader = std::move(*squashfs::Reader::Open({fd.get(), partition.offset, partition.size}));
  EXPECT_EQ(reader.ReadFile("/etc/copied", 100).value_or("?"), "made 7\n")
      << "a link of the stage leads into the stage";
  EXPECT_EQ(reader.ReadFile("/etc/from-setup", 100).value_or("?"), "host\n");
  EXPECT_EQ(reader.ReadFile("/scif/apps/greet/scif/runscript", 100).value_or("?"),
            "#!/bin/sh\n\n  echo greetings\n");
  EXPECT_EQ(Inspect(top_ + "/made.sif")->labels.at("org.label-schema.usage.singularity.deffile.bootstrap"),
            "scratch");
  // Without somebody who fetches, such recipes are refused, not skipped.
  EXPECT_EQ(
      Build({.source = Recipe("Bootstrap: docker\nFrom: x\n"), .output = top_ + "/no.sif"}).error().code,
      Code::kUnimplemented);
}

}  // namespace
}  // namespace slipway::build
