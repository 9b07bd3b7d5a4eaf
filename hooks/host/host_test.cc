// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hooks/host/elf_library.h"
#include "hooks/host/host_tree.h"
#include "hooks/host/loader_cache.h"
#include "hooks/host/testdata/fake_host.h"

namespace slipway {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

TEST(HostTree, LinksStayInTheTree) {
  FakeHost host;
  host.File("/usr/lib/libx.so.1.2", "x");
  host.Link("/usr/lib/libx.so.1", "/usr/lib/libx.so.1.2");
  host.Link("/lib", "usr/lib");
  host.Link("/out", "/../../../../etc/passwd");
  HostTree tree = host.tree();
  EXPECT_EQ(tree.Resolve("/lib/libx.so.1"), "/usr/lib/libx.so.1.2");
  EXPECT_EQ(tree.FromHere("/lib"), host.root() + "/lib");
  EXPECT_FALSE(tree.Has("/out"));
  EXPECT_THAT(tree.Names("/lib"), ElementsAre("libx.so.1", "libx.so.1.2"));
  EXPECT_TRUE(tree.Names("/nothing").empty());
}

TEST(HostTree, NumbersAreReadAsTheKernelWritesThem) {
  FakeHost host;
  host.Files({{"/a", "-1\n"}, {"/b", "0x10de\n"}, {"/c", "many\n"}, {"/d", ""}});
  HostTree tree = host.tree();
  EXPECT_EQ(tree.Number("/a"), -1);
  EXPECT_EQ(tree.Number("/b"), 0x10de);
  EXPECT_EQ(tree.Number("/c"), std::nullopt);
  EXPECT_EQ(tree.Number("/d"), std::nullopt);
  EXPECT_EQ(tree.Number("/e"), std::nullopt);
}

TEST(HostTree, OfTheHostItselfOnlyADeviceIsADevice) {
  HostTree tree = *HostTree::At("/");
  EXPECT_TRUE(tree.HasDevice("/dev/null"));
  EXPECT_FALSE(tree.HasDevice("/etc/passwd"));
  EXPECT_EQ(tree.FromHere("/etc"), "/etc");
}

TEST(ElfLibrary, SonameAndNeededVersionsAreRead) {
  auto library = ReadElfLibrary(ElfBytesOf({.soname = "libcuda.so.1",
                                            .needed = {"libc.so.6"},
                                            .versions = {{"libc.so.6", "GLIBC_2.9"},
                                                         {"libm.so.6", "GLIBC_2.29"},
                                                         {"libc.so.6", "GLIBC_PRIVATE"},
                                                         {"libstdc++.so.6", "GLIBCXX_3.4.30"}}}));
  ASSERT_TRUE(library) << library.error().message;
  EXPECT_EQ(library->soname, "libcuda.so.1");
  EXPECT_EQ(library->machine, ThisElfMachine());
  EXPECT_THAT(library->needed, ElementsAre("libc.so.6"));
  EXPECT_THAT(library->versions, Contains(Pair("libm.so.6", "GLIBC_2.29")));
  EXPECT_EQ(GlibcNeeded(*library), "2.29");
}

TEST(ElfLibrary, ThisProgramsOwnNeedsAreThoseThatReadelfShows) {
  auto fd = Open("/proc/self/exe", O_RDONLY);
  ASSERT_TRUE(fd);
  auto self = ReadElfLibrary(fd->get());
  ASSERT_TRUE(self) << self.error().message;
  EXPECT_THAT(self->needed, Contains("libc.so.6"));
  EXPECT_FALSE(OlderVersion(GlibcNeeded(*self), "2.2.5"));
}

TEST(ElfLibrary, EveryCutAndEveryFlippedByteHasADefinedEnd) {
  std::string whole = ElfBytesOf({.soname = "libx.so.1", .versions = {{"libc.so.6", "GLIBC_2.34"}}});
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(ReadElfLibrary(std::string_view(whole).substr(0, size))) << size;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    auto read = ReadElfLibrary(damaged);
    EXPECT_TRUE(read || !read.error().message.empty()) << at;
  }
}

TEST(ElfLibrary, VersionsAreComparedByNumber) {
  EXPECT_TRUE(OlderVersion("2.9", "2.36"));
  EXPECT_TRUE(OlderVersion("2.2.5", "2.3"));
  EXPECT_FALSE(OlderVersion("2.36", "2.36.0"));
  EXPECT_TRUE(OlderVersion("", "2.2.5"));
}

// As ldconfig writes it: one entry, {name, path}.
std::string CacheOf(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string bytes = "glibc-ld.so.cache1.1";
  auto number = [](std::uint32_t value) { return std::string(reinterpret_cast<char*>(&value), 4); };
  std::string strings, table;
  auto base = static_cast<std::uint32_t>(48 + entries.size() * 24);
  for (const auto& [name, path] : entries) {
    auto key = static_cast<std::uint32_t>(base + strings.size());
    strings += name + '\0';
    auto value = static_cast<std::uint32_t>(base + strings.size());
    strings += path + '\0';
    table += number(0x0303) + number(key) + number(value) + number(0) + number(0) + number(0);
  }
  bytes += number(static_cast<std::uint32_t>(entries.size())) +
           number(static_cast<std::uint32_t>(strings.size())) + number(0) + number(0) + number(0) +
           number(0) + number(0);
  return bytes + table + strings;
}

TEST(LoaderCache, BothOfItsFormsAreRead) {
  std::string cache = CacheOf({{"libcuda.so.1", "/opt/nv/libcuda.so.1"}, {"libc.so.6", "/lib/libc.so.6"}});
  auto plain = ParseLoaderCache(cache);
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_THAT(*plain,
              ElementsAre(Pair("libcuda.so.1", "/opt/nv/libcuda.so.1"), Pair("libc.so.6", "/lib/libc.so.6")));
  std::string old("ld.so-1.7.0\0\1\0\0\0", 16);
  old += std::string(12, '\0') + std::string(4, '\0');
  auto behind = ParseLoaderCache(old + cache);
  ASSERT_TRUE(behind) << behind.error().message;
  EXPECT_EQ(behind->size(), 2U);
}

TEST(LoaderCache, EveryCutHasADefinedEnd) {
  std::string cache = CacheOf({{"libcuda.so.1", "/opt/nv/libcuda.so.1"}});
  for (std::size_t size = 0; size < cache.size(); ++size)
    EXPECT_FALSE(ParseLoaderCache(std::string_view(cache).substr(0, size))) << size;
  EXPECT_THAT(ParseLoaderCache("x").error().message, HasSubstr("ld.so.cache"));
}

TEST(LoaderCache, ItsFoldersComeFirstAndEachOnce) {
  FakeHost host;
  host.File("/opt/nv/libcuda.so.1");
  host.File("/usr/lib64/libc.so.6");
  host.Link("/lib64", "usr/lib64");
  host.File("/etc/ld.so.cache",
            CacheOf({{"libcuda.so.1", "/opt/nv/libcuda.so.1"}, {"libc.so.6", "/lib64/libc.so.6"}}));
  EXPECT_THAT(LibraryFolders(host.tree()), ElementsAre("/opt/nv", "/usr/lib64"));
}

TEST(LoaderCache, ThisHostsOwnIsRead) {
  auto bytes = ReadFile("/etc/ld.so.cache", kLoaderCacheMax);
  if (!bytes) GTEST_SKIP() << "this host has no ld.so.cache";
  auto entries = ParseLoaderCache(*bytes);
  ASSERT_TRUE(entries) << entries.error().message;
  EXPECT_FALSE(entries->empty());
}

}  // namespace
}  // namespace slipway
