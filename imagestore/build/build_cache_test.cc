// SPDX-License-Identifier: Apache-2.0
// A build begins where an earlier one of the same words, files and base had come, and makes the same image.
#include "imagestore/build/build_cache.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "base/os/process.h"
#include "base/text/text.h"
#include "imagestore/build/build.h"
#include "imagestore/build/inspect.h"
#include "imagestore/build/root_dir.h"

namespace slipway::build {
namespace {

class CachedBuild : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "sections need root, or subordinate ids";
    top_ = *MakeTempDirectory(::testing::TempDir(), "slipway-build-cache-");
    ASSERT_TRUE(MakeDirectories(top_ + "/tree/etc"));
    ::setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    auto ldd = RunAndCapture({.argv = {"ldd", "/bin/sh"}});
    if (!ldd || ldd->status.exit_code() != 0) GTEST_SKIP() << "no ldd here";
    auto root = RootDir::Open(top_ + "/tree");
    std::vector<std::string> files = {"/bin/sh", "/bin/sleep"};
    for (const std::string& line : Split(ldd->out, '\n'))
      for (const std::string& word : Split(Trim(line), ' '))
        if (word.starts_with('/')) files.push_back(word);
    for (const std::string& file : files) {
      ASSERT_TRUE(root->MakeDirectories(file.substr(0, file.find_last_of('/'))));
      ASSERT_TRUE(root->CopyIn(file, file));
    }
    ASSERT_TRUE(Build({.source = top_ + "/tree", .output = top_ + "/base.sif"}));
    Write("input", "one");
  }
  void TearDown() override {
    ::unsetenv("SOURCE_DATE_EPOCH");
    if (!top_.empty()) {
      EXPECT_TRUE(RemoveTree(top_));
    }
  }
  void Write(const std::string& name, const std::string& text) { std::ofstream(top_ + "/" + name) << text; }

  struct Words {
    std::string post = "echo in post; umask 027; echo made > /etc/made";
    std::string environment = "export A=1", runscript = "echo run", app = "echo in app; echo x > made";
    std::string more;
  };
  std::string RecipeOf(const Words& words) const {
    return Cat("Bootstrap: localimage\nFrom: ", top_, "/base.sif\n%files\n  ", top_,
               "/input /etc/input\n%post\n  ", words.post, "\n%environment\n  ", words.environment,
               "\n%runscript\n  ", words.runscript, "\n%appinstall tool\n  ", words.app, "\n", words.more);
  }
  Result<BuildSummary> MakeImage(const std::string& recipe, bool cached = true,
                                 std::uint64_t most = kBuildCacheBytes,
                                 std::function<void(const BuildProgress&)> progress = {}) {
    Write("x.def", recipe);
    log_.clear();
    return Build({.source = top_ + "/x.def",
                  .output = top_ + "/made.sif",
                  .force = true,
                  .cache_folder = cached ? top_ + "/cache" : "",
                  .cache_bytes_max = most,
                  .progress = std::move(progress),
                  .log = [this](std::string_view line) { log_ += Cat(line, "\n"); }});
  }
  // What ran, by what it said.
  std::string Ran() const {
    std::string ran;
    for (const char* name : {"post", "app", "one"})
      if (Cat("\n", log_).find(Cat("\nin ", name, "\n")) != std::string::npos)
        ran += Cat(ran.empty() ? "" : " ", name);
    return ran;
  }
  std::vector<std::string> States() const {
    return NamesIn(top_ + "/cache").value_or(std::vector<std::string>());
  }
  std::string top_, log_;
};

TEST_F(CachedBuild, OnlyWhatChangedAndWhatComesAfterItIsDoneAgain) {
  auto first = MakeImage(RecipeOf({}));
  ASSERT_TRUE(first) << first.error().message << log_;
  EXPECT_EQ(Ran(), "post app");
  auto second = MakeImage(RecipeOf({}));
  ASSERT_TRUE(second) << second.error().message << log_;
  EXPECT_EQ(Ran(), "");
  EXPECT_EQ(second->digest, first->digest) << "the image is the same to the byte";
  EXPECT_EQ(MakeImage(RecipeOf({}), false)->digest, first->digest);
  EXPECT_EQ(Ran(), "post app") << "without a cache";

  auto ran = [&](const Words& words) {
    auto built = MakeImage(RecipeOf(words));
    EXPECT_TRUE(built) << built.error().message;
    return Ran();
  };
  EXPECT_EQ(ran({.app = "echo in app; echo y > made"}), "app");
  EXPECT_EQ(ran({.runscript = "echo other"}), "") << "no section asks what the image will run";
  EXPECT_NE(Inspect(top_ + "/made.sif")->runscript.find("echo other"), std::string::npos);
  EXPECT_EQ(ran({.more = "%labels\n  Author me\n"}), "");
  EXPECT_EQ(Inspect(top_ + "/made.sif")->labels.at("Author"), "me");
  EXPECT_EQ(ran({.environment = "export A=2"}), "post app") << "a section may read it";
  EXPECT_EQ(ran({.more = "%help\n  words\n"}), "post app") << "the kept state has no help";
  EXPECT_EQ(ran({}), "") << "the first recipe's states are still there";
  Write("input", "two");
  EXPECT_EQ(ran({}), "post app") << "a file that is copied in";
  ASSERT_EQ(::chmod((top_ + "/input").c_str(), 0600), 0);
  EXPECT_EQ(ran({}), "post app") << "its mode";
  Write("tree/etc/more", "x");
  ASSERT_TRUE(Build({.source = top_ + "/tree", .output = top_ + "/base.sif", .force = true}));
  EXPECT_EQ(ran({}), "post app") << "the base's bytes";
}

TEST_F(CachedBuild, AStageThatNobodyNeedsAnyMoreIsNotMade) {
  std::string stage =
      Cat("Bootstrap: localimage\nFrom: ", top_, "/base.sif\nStage: one\n%post\n  echo in one; echo ");
  auto recipe = [&](const std::string& made, const std::string& post) {
    return Cat(stage, made, " > /etc/made\nBootstrap: localimage\nFrom: ", top_,
               "/base.sif\n%files from one\n  /etc/made /etc/got\n%post\n  echo in post\n%appinstall t\n  ",
               post, "\n");
  };
  auto first = MakeImage(recipe("1", "true"));
  ASSERT_TRUE(first) << first.error().message << log_;
  EXPECT_EQ(Ran(), "post one");
  EXPECT_EQ(MakeImage(recipe("1", "true"))->digest, first->digest);
  EXPECT_EQ(Ran(), "");
  std::string phases;
  ASSERT_TRUE(MakeImage(recipe("1", "echo other"), true, kBuildCacheBytes,
                        [&](const BuildProgress& now) { phases += Cat(now.phase, " ", now.detail, "\n"); }));
  EXPECT_EQ(Ran(), "");
  EXPECT_EQ(phases.find("unpacking"), std::string::npos) << phases;
  ASSERT_TRUE(MakeImage(recipe("2", "true")));
  EXPECT_EQ(Ran(), "post one") << "another stage, another image";
}

TEST_F(CachedBuild, WhatRunsOnTheHostOrWritesTheDescriptionIsDoneEachTime) {
  std::string setup = RecipeOf({.more = "%setup\n  echo host\n"});
  ASSERT_TRUE(MakeImage(setup));
  ASSERT_TRUE(MakeImage(setup));
  EXPECT_EQ(Ran(), "post app") << "nobody knows what %setup brought";
  std::string own = RecipeOf({.post = "echo in post; echo x > /.singularity.d/runscript"});
  ASSERT_TRUE(MakeImage(own));
  ASSERT_TRUE(MakeImage(own));
  EXPECT_EQ(Ran(), "post app");
}

TEST_F(CachedBuild, ADamagedStateIsAsIfItHadNeverBeenKept) {
  auto first = MakeImage(RecipeOf({}));
  ASSERT_TRUE(first) << first.error().message;
  std::vector<std::string> states = States();
  for (off_t size : {off_t{5000}, off_t{10}, off_t{0}}) {
    for (const std::string& name : states) ASSERT_EQ(::truncate(Cat(top_, "/cache/", name).c_str(), size), 0);
    auto mended = MakeImage(RecipeOf({}));
    ASSERT_TRUE(mended) << mended.error().message;
    EXPECT_EQ(mended->digest, first->digest);
    EXPECT_EQ(Ran(), "post app");
    EXPECT_NE(log_.find("of the build cache was damaged and is taken out"), std::string::npos) << log_;
    ASSERT_TRUE(MakeImage(RecipeOf({})));
    EXPECT_EQ(Ran(), "") << "it is kept again";
  }
}

TEST_F(CachedBuild, AStageIsMadeAfterAllWhenTheStateThatHadItIsDamaged) {
  std::string recipe = Cat("Bootstrap: localimage\nFrom: ", top_,
                           "/base.sif\nStage: one\n%post\n  echo in one; echo x > /etc/made\n"
                           "Bootstrap: localimage\nFrom: ",
                           top_, "/base.sif\n%files from one\n  /etc/made /etc/got\n%post\n  echo in post\n");
  auto first = MakeImage(recipe);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(Ran(), "post one");
  ASSERT_TRUE(MakeImage(recipe));
  EXPECT_EQ(Ran(), "");
  for (const std::string& name : States()) ASSERT_EQ(::truncate(Cat(top_, "/cache/", name).c_str(), 5000), 0);
  auto mended = MakeImage(recipe);
  ASSERT_TRUE(mended) << mended.error().message;
  EXPECT_EQ(mended->digest, first->digest);
  EXPECT_EQ(Ran(), "post one");
}

TEST_F(CachedBuild, IsBoundedAndLetsTheLongestUnusedGo) {
  ASSERT_TRUE(MakeImage(RecipeOf({})));
  ASSERT_EQ(States().size(), 2u);
  std::uint64_t bytes = 0;
  for (const std::string& name : States()) {
    struct stat info;
    ASSERT_EQ(::stat(Cat(top_, "/cache/", name).c_str(), &info), 0);
    bytes += static_cast<std::uint64_t>(info.st_size);
  }
  std::vector<std::string> before = States();
  ASSERT_TRUE(MakeImage(RecipeOf({.post = "echo in post; echo other"}), true, bytes + 4096));
  EXPECT_EQ(States().size(), 2u);
  for (const std::string& name : before)
    EXPECT_NE(::access(Cat(top_, "/cache/", name).c_str(), F_OK), 0) << name;
  auto none = MakeImage(RecipeOf({.post = "echo in post; echo third"}), true, 4096);
  EXPECT_TRUE(none) << none.error().message;
  EXPECT_NE(log_.find("not kept in the build cache: it is more than"), std::string::npos) << log_;
}

TEST_F(CachedBuild, WhereNoCacheCanBeAnImageIsBuiltAllTheSame) {
  Write("cache", "a file, not a folder");
  auto built = MakeImage(RecipeOf({}));
  EXPECT_TRUE(built) << built.error().message;
  EXPECT_NE(log_.find("build cache: "), std::string::npos) << log_;
}

// SIGXFSZ ends it in the middle of writing a state.
TEST_F(CachedBuild, AKilledBuildLeavesNoHalfState) {
  Process child = *Clone3({});
  if (!child) {
    ::signal(SIGXFSZ, SIG_DFL);
    (void)MakeImage(RecipeOf({}), true, kBuildCacheBytes, [](const BuildProgress& now) {
      rlimit limit{100'000, 100'000};
      if (now.detail.starts_with("keeping")) ::setrlimit(RLIMIT_FSIZE, &limit);
    });
    ::_exit(0);
  }
  auto status = child.Wait();
  ASSERT_TRUE(status->signaled()) << "it was to die while it kept a state";
  EXPECT_EQ(status->signal(), SIGXFSZ);
  EXPECT_TRUE(States().empty());
  auto built = MakeImage(RecipeOf({}));
  EXPECT_TRUE(built) << built.error().message;
  EXPECT_EQ(Ran(), "post app");
}

}  // namespace
}  // namespace slipway::build
