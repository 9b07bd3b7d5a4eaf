// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/os/fd.h"
#include "imagestore/content/inspect.h"
#include "imagestore/content/mpi_doctor.h"
#include "imagestore/content/mpi_library.h"
#include "imagestore/content/packages.h"
#include "imagestore/content/sbom.h"

namespace slipway::content {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Texts of a library, each with its zero byte.
std::string Library(const std::vector<std::string>& texts) {
  std::string bytes =
      "\x7f"
      "ELF";
  for (const std::string& text : texts) bytes += std::string("\0\x01", 2) + text + std::string(1, '\0');
  return bytes;
}

class Inside : public testing::Test {
 protected:
  void SetUp() override { top_ = *MakeTempDirectory(testing::TempDir(), "slipway-content-"); }
  void TearDown() override { EXPECT_TRUE(RemoveTree(top_)); }
  void Put(const std::string& path, const std::string& bytes) {
    std::string whole = Cat(top_, "/root/", path);
    ASSERT_TRUE(MakeDirectories(whole.substr(0, whole.rfind('/'))));
    ASSERT_TRUE(WriteFileAtomically(whole, bytes));
  }
  Content Look() {
    auto dir = Open(top_ + "/root", O_RDONLY | O_DIRECTORY);
    auto out = Open(top_ + "/image", O_RDWR | O_CREAT | O_TRUNC, 0600);
    EXPECT_TRUE(squashfs::PackDirectory(dir->get(), out->get()));
    struct stat info;
    EXPECT_EQ(::fstat(out->get(), &info), 0);
    auto content = InspectImage({out->get(), 0, static_cast<std::uint64_t>(info.st_size)});
    EXPECT_TRUE(content) << content.error().message;
    return content ? std::move(*content) : Content{};
  }
  std::string top_;
};

TEST_F(Inside, PackagesOfEachKindAreListedOnce) {
  Put("var/lib/dpkg/status",
      "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: amd64\n\n"
      "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: bash\n"
      "Status: install ok installed\nArchitecture: amd64\nVersion: 5.2-2\nDescription: x\n Package: no\n");
  Put("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4\nArchitecture: all\n");
  Put("lib/apk/db/installed", "C:Q1\nP:musl\nV:1.2.4-r2\nA:x86_64\n\nP:busybox\nV:1.36\nA:x86_64\n");
  Put("usr/lib/python3/dist-packages/numpy-1.24.2.dist-info/METADATA", "Name: numpy\n");
  Put("usr/lib/python3/dist-packages/mpi4py-3.1.4.egg-info", "x");
  Put("opt/conda/conda-meta/scipy-1.11.4-py311h64a7726_0.json", "{}");
  Content content = Look();
  std::vector<std::string> seen;
  for (const Package& one : content.packages) seen.push_back(Cat(one.kind, " ", one.name, " ", one.version));
  EXPECT_THAT(
      seen, ElementsAre("apk busybox 1.36", "apk musl 1.2.4-r2", "conda scipy 1.11.4", "dpkg base-files 12.4",
                        "dpkg bash 5.2-2", "dpkg libc6 2.36-9", "pip mpi4py 3.1.4", "pip numpy 1.24.2"));
  EXPECT_THAT(content.notes, IsEmpty());
}

std::string Big(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

std::string Header(const std::vector<std::pair<std::uint32_t, std::string>>& tags) {
  std::string index, store;
  for (auto& [tag, text] : tags) {
    index += Big(tag) + Big(6) + Big(static_cast<std::uint32_t>(store.size())) + Big(1);
    store += text + std::string(1, '\0');
  }
  return Big(static_cast<std::uint32_t>(tags.size())) + Big(static_cast<std::uint32_t>(store.size())) +
         index + store;
}

TEST_F(Inside, RpmsDatabaseIsReadAlsoInWalMode) {
  std::string path = top_ + "/rpmdb.sqlite";
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(
      sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB)",
                   nullptr, nullptr, nullptr),
      SQLITE_OK);
  for (const std::string& header :
       {Header({{1000, "glibc"}, {1001, "2.34"}, {1002, "60.el9"}, {1022, "x86_64"}}),
        Header({{1000, "gpg-pubkey"}, {1001, "1"}}), std::string("garbage")}) {
    sqlite3_stmt* insert = nullptr;
    sqlite3_prepare_v2(db, "INSERT INTO Packages (blob) VALUES (?)", -1, &insert, nullptr);
    sqlite3_bind_blob(insert, 1, header.data(), static_cast<int>(header.size()), SQLITE_TRANSIENT);
    sqlite3_step(insert);
    sqlite3_finalize(insert);
  }
  sqlite3_close(db);
  Put("usr/lib/sysimage/rpm/rpmdb.sqlite", *ReadFile(path));
  Content content = Look();
  ASSERT_EQ(content.packages.size(), 1U);
  EXPECT_EQ(content.packages[0], (Package{"rpm", "glibc", "2.34-60.el9", "x86_64"}));
}

TEST_F(Inside, WhatCannotBeReadIsNoted) {
  Put("usr/lib/sysimage/rpm/rpmdb.sqlite", std::string(5000, 'x'));
  Put(".singularity.d/labels.json", "[]");
  EXPECT_THAT(Look().notes, ElementsAre(HasSubstr("rpm's database"), HasSubstr("labels.json")));
  ASSERT_EQ(::unlink((top_ + "/root/usr/lib/sysimage/rpm/rpmdb.sqlite").c_str()), 0);
  Put("var/lib/rpm/Packages", "bdb");
  EXPECT_THAT(Look().notes, Contains(HasSubstr("older kind")));
}

TEST_F(Inside, SystemArchitectureLibraryAndLabelsAreFound) {
  std::string program(64, '\0');
  program.replace(0, 6,
                  "\x7f"
                  "ELF\x02\x01");
  program[18] = '\xb7';
  Put("usr/bin/dash", program);
  ASSERT_EQ(::symlink("dash", (top_ + "/root/usr/bin/sh").c_str()), 0);
  ASSERT_EQ(::symlink("usr/bin", (top_ + "/root/bin").c_str()), 0);
  Put("etc/os-release", "NAME=Debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
  Put("lib/aarch64-linux-gnu/libc.so.6",
      Library({"GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\n" +
               std::string(400, 'x')}));
  Put("usr/local/cuda/lib64/libcudart.so.12.4.127", "x");
  ASSERT_EQ(::symlink("libcudart.so.12.4.127", (top_ + "/root/usr/local/cuda/lib64/libcudart.so.12").c_str()),
            0);
  Put(".singularity.d/labels.json", R"({"Author": "me\n\u001b[31m", "number": 3})");
  Content content = Look();
  EXPECT_EQ(content.arch, "arm64");
  EXPECT_EQ(content.system, "Debian GNU/Linux 12 (bookworm)");
  EXPECT_EQ(content.libc, "glibc 2.36");
  EXPECT_EQ(content.cuda, "12.4.127");
  ASSERT_EQ(content.labels.size(), 1U);
  EXPECT_EQ(content.labels[0].second, "me??[31m");
}

TEST_F(Inside, AnOpenMpiWithItsPmixComponentIsStartedByPmix) {
  Put("usr/lib/x/libmpi.so.40.30.4", Library({"Open MPI v%d.%d.%d", "4.1.4", "libopen-pal.so.40"}));
  Put("usr/lib/x/openmpi/lib/openmpi3/mca_pmix_ext3x.so", Library({"PMIx_Init", "libpmix.so.2"}));
  Put("usr/lib/x/libpmix.so.2.6.2", Library({"OpenPMIx 4.2.2rc2 (PMIx Standard: 4.2, Stable ABI: 0.0)"}));
  Content content = Look();
  ASSERT_EQ(content.mpi.size(), 1U);
  EXPECT_EQ(content.pmix, "4.2.2");
  MpiVerdict verdict = Diagnose(content.mpi[0]);
  EXPECT_TRUE(verdict.can);
  EXPECT_EQ(verdict.how, "PMIx");
  EXPECT_EQ(verdict.says,
            "Open MPI 4.1.4 (usr/lib/x/libmpi.so.40.30.4) speaks PMIx 4.2.2; it is started by PMIx");
  EXPECT_FALSE(WhyNot(content.mpi, WireUp::kAny));
  EXPECT_THAT(*WhyNot(content.mpi, WireUp::kPmi), HasSubstr("say --mpi=pmix"));
}

TEST_F(Inside, AnOpenMpiWithoutPmixIsRefusedWithWhatToChange) {
  Put("opt/mpi/lib/libmpi.so.12.0.3", Library({"Open MPI v1.10.7, package: x", "libopen-pal.so.13"}));
  Content content = Look();
  ASSERT_EQ(content.mpi.size(), 1U);
  EXPECT_EQ(content.mpi[0].version, "1.10.7");
  auto why = WhyNot(content.mpi, WireUp::kAny);
  ASSERT_TRUE(why);
  EXPECT_THAT(*why, HasSubstr("neither PMIx nor PMI"));
  EXPECT_THAT(*why, HasSubstr("--with-pmix"));
  // With a second one that can, the image can.
  Put("usr/lib/libmpich.so.12.2.2", Library({"MPICH Version:\t%s", "4.0.2", "PMI_FD"}));
  EXPECT_FALSE(WhyNot(Look().mpi, WireUp::kAny));
  EXPECT_TRUE(WhyNot(Look().mpi, WireUp::kPmix));
}

TEST(MpiLibrary, FamiliesAreToldApartByTheirTexts) {
  struct Case {
    std::vector<std::string> texts;
    const char *family, *version, *how;
  };
  for (const Case& one :
       {Case{{"MPICH Version:\t%s", "4.0.2", "PMI_FD"}, "MPICH", "4.0.2", "PMI-1"},
        Case{{"Intel(R) MPI Library 2021.10 for Linux* OS", "MPICH Version:", "PMI_FD"},
             "Intel MPI",
             "2021.10",
             "PMI-1"},
        Case{{"MVAPICH Version      :\t3.0", "libpmi2.so.0"}, "MVAPICH", "3.0", "PMI-2"},
        Case{{"CRAY MPICH version 8.1.25", "libpmi.so.0"}, "Cray MPICH", "8.1.25", "PMI-1"},
        Case{{"MPICH Version:\t%s", "4.2.1", "libpmix.so.2", "PMIx_Init"}, "MPICH", "4.2.1", "PMIx"},
        Case{{"nothing of the kind"}, "unknown MPI", "", ""}}) {
    Mpi mpi = DescribeMpi("usr/lib/libmpi.so.12", TextsOf(Library(one.texts)));
    EXPECT_EQ(mpi.family, one.family);
    EXPECT_EQ(mpi.version, one.version);
    EXPECT_EQ(Diagnose(mpi).how, one.how) << one.family;
  }
  EXPECT_FALSE(Diagnose({.family = "Open MPI", .pmix_version = "1.2.5", .pmix = true}).can);
}

TEST_F(Inside, OfSeveralVersionsInALibraryThePackageDecides) {
  Put("usr/lib/x/libmpich.so.12.2.2", Library({"MPICH Version:\t%s", "0.13.99", "4.0.2", "PMI_FD"}));
  EXPECT_EQ(Look().mpi[0].version, "");
  Put("var/lib/dpkg/status",
      "Package: libmpich-dev\nStatus: install ok installed\nVersion: 9\n\n"
      "Package: libmpich12\nStatus: install ok installed\nVersion: 1:4.0.2-3\nArchitecture: amd64\n");
  EXPECT_EQ(Look().mpi[0].version, "4.0.2");
}

// The libraries of this host, where they are.
TEST(MpiLibrary, DebiansOwnAreKnown) {
  const std::string folder = "/usr/lib/x86_64-linux-gnu/";
  auto mpich = ReadFile(folder + "libmpich.so.12", 96 << 20);
  auto open_mpi = ReadFile(folder + "libmpi.so.40", 96 << 20);
  auto pmix = ReadFile(folder + "libpmix.so.2", 96 << 20);
  if (!mpich || !open_mpi || !pmix) GTEST_SKIP() << "MPICH, Open MPI or PMIx is not installed";
  Mpi of_mpich = DescribeMpi("libmpich.so.12.2.2", TextsOf(*mpich));
  EXPECT_EQ(of_mpich.family, "MPICH");
  EXPECT_TRUE(of_mpich.pmi1);
  EXPECT_FALSE(of_mpich.pmix);
  Mpi of_open_mpi = DescribeMpi("libmpi.so.40.30.4", TextsOf(*open_mpi));
  EXPECT_EQ(of_open_mpi.family, "Open MPI");
  EXPECT_THAT(of_open_mpi.version, HasSubstr("."));
  EXPECT_THAT(PmixVersion(TextsOf(*pmix)), HasSubstr("."));
}

TEST(Told, WhatBoundedGivesIsReadAndNothingElse) {
  Content content{.arch = "amd64", .system = std::string(2000, 'x'), .notes = {"a\nb"}};
  content.packages = {{"pip", "b", "1", ""}, {"pip", "a", "1", ""}, {"pip", "b", "1", ""}};
  auto read = DecodeContent(EncodeContent(content));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->system.size(), kTextMax);
  EXPECT_EQ(read->notes[0], "a?b");
  EXPECT_EQ(read->packages.size(), 2U);
  EXPECT_FALSE(DecodeContent(Encode(content)));  // neither sorted nor plain
  EXPECT_FALSE(DecodeContent(""));
  EXPECT_FALSE(DecodeContent(EncodeContent(content) + "x"));
  EXPECT_FALSE(DecodeContent(Encode(Content{.format = 2})));
}

TEST(Sbom, BothFormsNameEveryPackage) {
  Content content{.system = "Debian GNU/Linux 12 (bookworm)",
                  .packages = {{"dpkg", "g++", "4:12.2.0-3", "amd64"}, {"pip", "My_Package", "1.0", ""}}};
  SbomSubject subject{"physics/mpi:1", "sha256:" + std::string(64, 'a'), 1'700'000'000};
  auto spdx = nlohmann::json::parse(SpdxJson(content, subject));
  EXPECT_EQ(spdx["spdxVersion"], "SPDX-2.3");
  EXPECT_EQ(spdx["packages"].size(), 3U);
  EXPECT_EQ(spdx["packages"][1]["externalRefs"][0]["referenceLocator"],
            "pkg:deb/debian/g++@4:12.2.0-3?arch=amd64");
  EXPECT_EQ(spdx["creationInfo"]["created"], "2023-11-14T22:13:20Z");
  auto cyclone = nlohmann::json::parse(CycloneDxJson(content, subject));
  EXPECT_EQ(cyclone["components"].size(), 2U);
  EXPECT_EQ(cyclone["components"][1]["purl"], "pkg:pypi/my-package@1.0");
  EXPECT_EQ(SpdxJson(content, subject), SpdxJson(content, subject));
}

TEST(Sbom, APackageThatIsThereTwiceHasTwoReferences) {
  Content content{.packages = {{"pip", "numpy", "1.26", ""}, {"pip", "numpy", "1.26", ""}}};
  auto cyclone =
      nlohmann::json::parse(CycloneDxJson(content, {"a/b:1", "sha256:" + std::string(64, 'a'), 1}));
  EXPECT_NE(cyclone["components"][0]["bom-ref"], cyclone["components"][1]["bom-ref"]);
  EXPECT_EQ(cyclone["components"][0]["purl"], cyclone["components"][1]["purl"]);
}

}  // namespace
}  // namespace slipway::content
