// SPDX-License-Identifier: Apache-2.0
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#include <fstream>

#include "base/os/fd.h"
#include "imagestore/squashfs/pack.h"
#include "imagestore/squashfs/reader.h"
#include "imagestore/squashfs/stream_pack.h"
#include "imagestore/squashfs/tar_out.h"

namespace slipway::squashfs {
namespace {

using testing::HasSubstr;

// One tar, made in memory by libarchive.
class Tar {
 public:
  explicit Tar(int filter = ARCHIVE_FILTER_NONE) {
    a_ = archive_write_new();
    archive_write_set_format_pax_restricted(a_);
    archive_write_add_filter(a_, filter);
    archive_write_set_bytes_in_last_block(a_, 1);
    archive_write_open(
        a_, this, nullptr,
        [](archive*, void* self, const void* bytes, std::size_t size) -> la_ssize_t {
          static_cast<Tar*>(self)->bytes_.append(static_cast<const char*>(bytes), size);
          return static_cast<la_ssize_t>(size);
        },
        nullptr);
  }
  Tar& File(const std::string& path, const std::string& bytes, unsigned mode = 0644) {
    return Put(path, AE_IFREG | mode, bytes, {}, {});
  }
  Tar& Dir(const std::string& path, unsigned mode = 0755) { return Put(path, AE_IFDIR | mode, {}, {}, {}); }
  Tar& Soft(const std::string& path, const std::string& target) {
    return Put(path, AE_IFLNK | 0777, {}, target, {});
  }
  Tar& Hard(const std::string& path, const std::string& target) {
    return Put(path, AE_IFREG | 0644, {}, {}, target);
  }
  Tar& Device(const std::string& path) { return Put(path, AE_IFCHR | 0666, {}, {}, {}); }
  Tar& WithXattr(const std::string& path, const std::string& key, const std::string& value) {
    return Put(path, AE_IFREG | 0644, "x", {}, {}, key, value);
  }
  // A file that is a hole but for `bytes` at `at`.
  Tar& Sparse(const std::string& path, std::size_t size, std::size_t at, const std::string& bytes) {
    archive_entry* e = archive_entry_new();
    archive_entry_set_pathname(e, path.c_str());
    archive_entry_set_mode(e, AE_IFREG | 0644);
    archive_entry_set_size(e, static_cast<la_int64_t>(size));
    archive_entry_sparse_add_entry(e, static_cast<la_int64_t>(at), static_cast<la_int64_t>(bytes.size()));
    EXPECT_EQ(archive_write_header(a_, e), ARCHIVE_OK) << archive_error_string(a_);
    std::string whole(size, '\0');
    whole.replace(at, bytes.size(), bytes);
    archive_write_data(a_, whole.data(), whole.size());
    archive_entry_free(e);
    return *this;
  }
  std::string Bytes() {
    if (a_ != nullptr) archive_write_free(a_);
    a_ = nullptr;
    return bytes_;
  }

 private:
  Tar& Put(const std::string& path, unsigned mode, const std::string& bytes, const std::string& soft,
           const std::string& hard, const std::string& key = {}, const std::string& value = {}) {
    archive_entry* e = archive_entry_new();
    archive_entry_set_pathname(e, path.c_str());
    archive_entry_set_mode(e, static_cast<mode_t>(mode));
    archive_entry_set_uid(e, 1000);
    archive_entry_set_mtime(e, 1'600'000'000, 0);
    archive_entry_set_size(e, static_cast<la_int64_t>(bytes.size()));
    if (!soft.empty()) archive_entry_set_symlink(e, soft.c_str());
    if (!hard.empty()) archive_entry_set_hardlink(e, hard.c_str());
    if (!key.empty()) archive_entry_xattr_add_entry(e, key.c_str(), value.data(), value.size());
    EXPECT_EQ(archive_write_header(a_, e), ARCHIVE_OK) << archive_error_string(a_);
    archive_write_data(a_, bytes.data(), bytes.size());
    archive_entry_free(e);
    return *this;
  }
  archive* a_;
  std::string bytes_;
};

std::string Gzipped(const std::string& bytes) {
  z_stream z{};
  CHECK(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&z, bytes.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

class Layers : public ::testing::Test {
 protected:
  Result<PackSummary> Pack(std::vector<std::string> tars, const LayerPackOptions& options = {}) {
    files_.clear();
    std::vector<Layer> layers;
    for (const std::string& tar : tars) {
      files_.push_back(std::move(*MakeSealedMemfd("layer", tar)));
      int fd = files_.back().get();
      std::uint64_t size = tar.size();
      layers.push_back({Cat("layer ", layers.size()), [fd, size]() -> Result<std::unique_ptr<ByteSource>> {
                          return FilePart(fd, 0, size);
                        }});
    }
    out_ = UniqueFd(::memfd_create("out", MFD_CLOEXEC));
    return PackLayers(layers, out_.get(), options);
  }
  Reader Packed(std::vector<std::string> tars, const LayerPackOptions& options = {}) {
    auto summary = Pack(std::move(tars), options);
    EXPECT_TRUE(summary) << summary.error().message;
    if (summary) summary_ = *summary;
    return std::move(*Reader::Open(Out()));
  }
  Window Out() const {
    struct stat info;
    EXPECT_EQ(::fstat(out_.get(), &info), 0);
    return {out_.get(), 0, static_cast<std::uint64_t>(info.st_size)};
  }
  std::string Bytes() const {
    std::string bytes(Out().size, '\0');
    EXPECT_TRUE(ReadExactlyAt(out_.get(), std::as_writable_bytes(std::span(bytes)), 0));
    return bytes;
  }
  static std::string Read(const Reader& reader, const std::string& path) {
    return reader.ReadFile(path, 1 << 20).value_or("(none)");
  }
  std::vector<UniqueFd> files_;
  UniqueFd out_;
  PackSummary summary_;
};

TEST_F(Layers, TheUpperLayerWinsAndWhiteoutsDelete) {
  auto reader = Packed({Tar().Dir("etc").File("etc/a", "lower").File("etc/b", "b").File("etc/c", "c").Bytes(),
                        Tar().File("etc/a", "upper").File("etc/.wh.b", "").File("./new/x", "x").Bytes()});
  EXPECT_EQ(Read(reader, "/etc/a"), "upper");
  EXPECT_EQ(Read(reader, "/etc/b"), "(none)");
  EXPECT_EQ(Read(reader, "/etc/c"), "c");
  EXPECT_EQ(Read(reader, "/new/x"), "x");
  EXPECT_FALSE(reader.Find("/etc/.wh.b"));
}

TEST_F(Layers, AnOpaqueDirectoryHidesWhatIsBelow) {
  std::string lower = Tar().Dir("d").File("d/old", "1").Dir("d/sub").File("d/sub/old", "2").Bytes();
  for (bool first : {true, false}) {
    Tar upper;
    if (first) upper.File("d/.wh..wh..opq", "");
    upper.Dir("d").File("d/new", "3").File("d/sub/new", "4");
    if (!first) upper.File("d/.wh..wh..opq", "");
    auto reader = Packed({lower, upper.Bytes()});
    EXPECT_EQ(Read(reader, "/d/old"), "(none)");
    EXPECT_EQ(Read(reader, "/d/sub/old"), "(none)");
    EXPECT_EQ(Read(reader, "/d/new"), "3");
    EXPECT_EQ(Read(reader, "/d/sub/new"), "4");
  }
}

TEST_F(Layers, ADirectoryDeletedAndMadeAgainIsEmptyOfTheOld) {
  auto reader = Packed({Tar().Dir("d").File("d/old", "1").Bytes(),
                        Tar().File(".wh.d", "").Dir("d").File("d/new", "2").Bytes()});
  EXPECT_EQ(Read(reader, "/d/old"), "(none)");
  EXPECT_EQ(Read(reader, "/d/new"), "2");
}

TEST_F(Layers, FileAndDirectoryReplaceEachOther) {
  auto reader = Packed({Tar().Dir("a").File("a/x", "1").File("b", "file").Bytes(),
                        Tar().File("a", "now a file").File("b/y", "now a directory").Bytes()});
  EXPECT_EQ(Read(reader, "/a"), "now a file");
  EXPECT_EQ(Read(reader, "/b/y"), "now a directory");
}

TEST_F(Layers, ADirectorysAttributesComeFromTheHighestLayerThatNamesIt) {
  auto reader =
      Packed({Tar().Dir("d", 0700).Dir("e", 0711).Bytes(), Tar().File("d/x", "").Dir("e", 0750).Bytes()});
  EXPECT_EQ(reader.Find("/d")->mode, 0700U);
  EXPECT_EQ(reader.Find("/e")->mode, 0750U);
}

TEST_F(Layers, HolesAreZerosAlsoAtTheEnd) {
  for (std::size_t at : {0, 70'000, 299'998}) {
    std::string whole(300'000, '\0');
    whole.replace(at, 2, "ab");
    auto reader = Packed({Tar().Sparse("f", whole.size(), at, "ab").File("g", "behind it").Bytes()});
    EXPECT_TRUE(Read(reader, "/f") == whole) << at << ": " << Read(reader, "/f").size();
    EXPECT_EQ(Read(reader, "/g"), "behind it");
  }
  auto reader = Packed({Tar().Sparse("f", 300'000, 0, "").Bytes()});
  EXPECT_TRUE(Read(reader, "/f") == std::string(300'000, '\0'));
  LayerPackOptions small;
  small.pack.limits.bytes_max = 299'999;
  EXPECT_EQ(Pack({Tar().Sparse("f", 300'000, 0, "x").Bytes()}, small).error().code, Code::kOutOfRange);
}

// Reading ahead ends with whoever reads; looking at the headers reads no data.
TEST_F(Layers, AnErrorOfTheSourceAtAnyPointEndsThePackingWithIt) {
  std::string tar = Tar().File("a", std::string(900'000, 'a')).File("b", "b").Bytes();
  for (const std::string& bytes : {tar, Gzipped(tar)}) {
    for (int good = 0;; ++good) {
      class Stumbling : public ByteSource {
       public:
        Stumbling(const std::string& bytes, int good) : bytes_(bytes), left_(good) {}
        Result<std::size_t> Read(std::span<char> buffer) override {
          if (left_-- == 0) return Fail(Code::kDataLoss, "the disk");
          // In ten reads or so, whatever it is.
          std::size_t n = std::min({buffer.size(), bytes_.size() - at_, bytes_.size() / 10 + 1});
          std::copy_n(bytes_.data() + at_, n, buffer.data());
          at_ += n;
          return n;
        }

       private:
        const std::string& bytes_;
        std::size_t at_ = 0;
        int left_;
      };
      UniqueFd out(::memfd_create("out", MFD_CLOEXEC));
      auto open = [&]() -> Result<std::unique_ptr<ByteSource>> {
        return std::make_unique<Stumbling>(bytes, good);
      };
      auto packed = PackLayers({{"layer", open}}, out.get());
      if (packed) {
        EXPECT_GE(good, 10);
        break;
      }
      EXPECT_EQ(packed.error().message, "layer: the disk") << good;
    }
  }
}

TEST_F(Layers, ALookAtTheHeadersReadsNoData) {
  class Counting : public ByteSource {
   public:
    Counting(std::unique_ptr<ByteSource> source, std::size_t& read)
        : source_(std::move(source)), read_(read) {}
    Result<std::size_t> Read(std::span<char> buffer) override {
      std::size_t n = TRY(source_->Read(buffer));
      read_ += n;
      return n;
    }
    std::uint64_t Skip(std::uint64_t bytes) override { return source_->Skip(bytes); }

   private:
    std::unique_ptr<ByteSource> source_;
    std::size_t& read_;
  };
  std::string bytes = Tar().File("a", std::string(20'000'000, 'a')).File("b", "b").Bytes();
  UniqueFd file = std::move(*MakeSealedMemfd("layer", bytes));
  std::size_t read = 0;
  auto tar = TarStream::Open(std::make_unique<Counting>(FilePart(file.get(), 0, bytes.size()), read),
                             TarStream::Reading::kHere);
  ASSERT_TRUE(tar);
  EXPECT_EQ((*tar->Next())->entry.path, "a");
  auto second = tar->Next();
  ASSERT_TRUE(second && *second);
  EXPECT_EQ((*second)->entry.path, "b");
  EXPECT_EQ(bytes.substr((*second)->data_offset, 1), "b") << "where the data is, is known all the same";
  EXPECT_LT(read, 2'000'000U);
}

TEST_F(Layers, HardLinksAreOneFile) {
  auto reader = Packed({Tar().File("z", "data").Hard("a", "z").Hard("m", "a").Bytes()});
  for (const char* name : {"/z", "/a", "/m"}) EXPECT_EQ(Read(reader, name), "data");
  EXPECT_EQ(reader.super().inodes, 2U);
}

TEST_F(Layers, ALinkKeepsItsFileThatALayerAboveHides) {
  auto reader = Packed({Tar().File("perl", "old").Hard("perl5", "perl").Hard("perl5.36", "perl").Bytes(),
                        Tar().File("perl", "new").Bytes()});
  EXPECT_EQ(Read(reader, "/perl"), "new");
  EXPECT_EQ(Read(reader, "/perl5"), "old");
  EXPECT_EQ(Read(reader, "/perl5.36"), "old");
  EXPECT_EQ(reader.super().inodes, 3U);
}

TEST_F(Layers, ALinkMayLeadToALayerBelow) {
  auto reader = Packed(
      {Tar().File("f", "below").Bytes(), Tar().Hard("g", "f").Bytes(), Tar().File("f", "above").Bytes()});
  EXPECT_EQ(Read(reader, "/f"), "above");
  EXPECT_EQ(Read(reader, "/g"), "below");
  reader = Packed({Tar().File("f", "below").Bytes(), Tar().Hard("g", "f").Bytes()});
  EXPECT_EQ(Read(reader, "/g"), "below");
  EXPECT_EQ(reader.super().inodes, 2U);
  auto refused = Pack({Tar().Hard("g", "nowhere").Bytes()});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("nowhere"));
}

TEST_F(Layers, TheLastEntryOfANameWins) {
  auto reader = Packed({Tar()
                            .File("f", "one")
                            .Hard("l", "f")
                            .File("f", "two")
                            .Dir("d")
                            .File("d/x", "")
                            .File("d", "file")
                            .Bytes()});
  EXPECT_EQ(Read(reader, "/f"), "two");
  EXPECT_EQ(Read(reader, "/l"), "one");
  EXPECT_EQ(Read(reader, "/d"), "file");
}

TEST_F(Layers, NamesBelowASymlinkLandWhereItLeads) {
  // In one layer, and where the layer above did not name the directory.
  std::string lower =
      Tar().Dir("usr/lib").Soft("lib", "usr/lib").File("lib/same", "1").File("usr/lib/x", "old").Bytes();
  auto reader = Packed({lower, Tar().File("lib/above", "2").File("lib/x", "new").Bytes()});
  EXPECT_EQ(Read(reader, "/usr/lib/same"), "1");
  EXPECT_EQ(Read(reader, "/usr/lib/above"), "2");
  EXPECT_EQ(Read(reader, "/usr/lib/x"), "new");
  EXPECT_EQ(reader.Find("/lib", false)->kind, Kind::kSymlink);
}

TEST_F(Layers, NothingLeadsOut) {
  for (const char* name : {"../evil", "a/../../evil", "/../evil"}) {
    auto refused = Pack({Tar().File(name, "x").Bytes()});
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  }
  auto reader = Packed({Tar().File("/abs", "1").Soft("up", "../../..").File("up/inside", "2").Bytes()});
  EXPECT_EQ(Read(reader, "/abs"), "1");
  EXPECT_EQ(Read(reader, "/inside"), "2");
  EXPECT_FALSE(Pack({Tar().Soft("a", "b").Soft("b", "a").File("a/x", "1").Hard("l", "a/x").Bytes()}) &&
               !Reader::Open(Out()));
}

TEST_F(Layers, WhatThePolicyDropsIsListedAndHidesWhatIsBelow) {
  auto reader =
      Packed({Tar().File("dev/null", "lower").Bytes(),
              Tar().Device("dev/null").File("su", "s", 04755).WithXattr("n", "user.note", "v").Bytes()});
  EXPECT_EQ(Read(reader, "/dev/null"), "(none)");
  EXPECT_EQ(reader.Find("/su")->mode, 0755U);
  EXPECT_EQ(summary_.dropped_count, 2U);
  LayerPackOptions refuse;
  refuse.pack.policy.devices = Treatment::kRefuse;
  EXPECT_EQ(Pack({Tar().Device("dev/null").Bytes()}, refuse).error().code, Code::kPermissionDenied);
}

TEST_F(Layers, EveryCompressionIsReadAndWritten) {
  for (int filter : {ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_ZSTD, ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_BZIP2}) {
    auto reader = Packed({Tar(filter).File("f", "data").Bytes()});
    EXPECT_EQ(Read(reader, "/f"), "data") << filter;
  }
  for (const char* name : {"zstd", "gzip", "xz", "lz4"}) {
    LayerPackOptions options;
    options.pack.compressor = *CompressorOf(name);
    auto reader = Packed({Tar().File("f", std::string(300'000, 'x')).Bytes()}, options);
    EXPECT_EQ(reader.super().compressor, name);
    EXPECT_EQ(Read(reader, "/f").size(), 300'000U);
  }
  EXPECT_FALSE(CompressorOf("rar"));
}

TEST_F(Layers, SeveralGzipFilesInARowAreOneLayer) {
  std::string tar = Tar().File("f", std::string(200'000, 'q')).File("g", "g").Bytes();
  std::string zipped;
  for (std::size_t at = 0; at < tar.size(); at += 50'000) zipped += Gzipped(tar.substr(at, 50'000));
  for (const std::string& layer : {zipped, zipped + std::string(5000, '\0')}) {
    auto reader = Packed({layer});
    EXPECT_EQ(Read(reader, "/f"), std::string(200'000, 'q'));
    EXPECT_EQ(Read(reader, "/g"), "g");
  }
}

TEST_F(Layers, EveryChangedByteOfAGzipIsNoticedOrHarmless) {
  std::string plain = Tar().File("f", "some words that are packed").Bytes(), zipped = Gzipped(plain);
  ASSERT_TRUE(Pack({zipped}));
  std::string good = Bytes();
  int refused = 0;
  for (std::size_t i = 0; i < zipped.size(); ++i) {
    std::string bad = zipped;
    bad[i] = static_cast<char>(bad[i] ^ 0x55);
    auto summary = Pack({bad});
    refused += !summary;
    if (summary) {
      EXPECT_EQ(Bytes(), good) << i;
    }
  }
  EXPECT_GT(refused, static_cast<int>(zipped.size()) / 2);
}

// Debian's certificates have such names, and some old files have bytes that no charset knows.
TEST_F(Layers, NamesBeyondAsciiGoOutAndComeBackWhateverTheLocale) {
  std::string top = MakeTempDirectory(::testing::TempDir(), "layers-test-").value();
  const std::string named = "Tan\xc3\xbas\xc3\xadtv\xc3\xa1ny.pem", bytes = "latin-\xe9.txt";
  for (const std::string& name : {named, bytes}) std::ofstream(Cat(top, "/", name)) << name;
  ASSERT_EQ(::symlink(named.c_str(), Cat(top, "/soft").c_str()), 0);
  ASSERT_EQ(::link(Cat(top, "/", bytes).c_str(), Cat(top, "/zz-hard").c_str()), 0);
  UniqueFd image(::memfd_create("image", MFD_CLOEXEC)), layer(::memfd_create("layer", MFD_CLOEXEC));
  auto folder = Open(top, O_RDONLY | O_DIRECTORY);
  auto packed = PackDirectory(folder->get(), image.get(), {});
  EXPECT_TRUE(RemoveTree(top));
  ASSERT_TRUE(packed) << packed.error().message;
  auto written = WriteTarGz({image.get(), 0, packed->bytes_out}, layer.get(), {});
  ASSERT_TRUE(written) << written.error().message;
  Reader reader = Packed({*ReadFile(Cat("/proc/self/fd/", layer.get()))});
  EXPECT_EQ(*reader.ReadFile(named, 100), named);
  EXPECT_EQ(*reader.ReadFile("soft", 100), named);
  EXPECT_EQ(*reader.ReadFile("zz-hard", 100), bytes);
}

TEST_F(Layers, EqualLayersGiveEqualBytes) {
  std::vector<std::string> tars;
  for (int i = 0; i < 3; ++i) {
    Tar tar;
    for (int j = 0; j < 300; ++j)
      tar.File(Cat("d", j % 7, "/f", j * (i + 1)),
               std::string(static_cast<std::size_t>(j * 977), static_cast<char>('a' + j % 26)));
    tars.push_back(tar.Bytes());
  }
  ASSERT_TRUE(Pack(tars));
  std::string first = Bytes();
  for (unsigned workers : {1U, 4U}) {
    LayerPackOptions options;
    options.pack.workers = workers;
    ASSERT_TRUE(Pack(tars, options));
    EXPECT_EQ(Bytes(), first);
  }
}

TEST_F(Layers, AddedFilesLieOverAndUnder) {
  LayerPackOptions options;
  options.over = {{"meta/run", S_IFREG | 0755, "ours"}, {"meta/link", S_IFLNK | 0777, "run"}};
  options.under = {
      {"tmp", S_IFDIR | 01777, {}}, {"etc/hosts", S_IFREG | 0644, ""}, {"etc/empty", S_IFREG | 0644, ""}};
  auto reader = Packed(
      {Tar().File("meta/run", "theirs").File("etc/hosts", "theirs").File(".wh.tmp", "").Bytes()}, options);
  EXPECT_EQ(Read(reader, "/meta/run"), "ours");
  EXPECT_EQ(Read(reader, "/meta/link"), "ours");
  EXPECT_EQ(Read(reader, "/etc/hosts"), "theirs");
  EXPECT_EQ(Read(reader, "/etc/empty"), "");
  EXPECT_EQ(reader.Find("/tmp")->mode, 01777U);
}

TEST_F(Layers, LimitsHoldAgainstBombs) {
  std::string bomb = Tar(ARCHIVE_FILTER_GZIP).File("zeros", std::string(3'000'000, '\0')).Bytes();
  LayerPackOptions options;
  options.pack.limits.bytes_max = 1'000'000;
  EXPECT_EQ(Pack({bomb}, options).error().code, Code::kOutOfRange);
  // Hidden bytes are unpacked, too.
  EXPECT_EQ(Pack({bomb, Tar().File("zeros", "").Bytes()}, options).error().code, Code::kOutOfRange);
  options.pack.limits.entries_max = 10;
  Tar many;
  for (int i = 0; i < 20; ++i) many.File(Cat("f", i), "");
  EXPECT_EQ(Pack({many.Bytes()}, options).error().code, Code::kOutOfRange);
  options.pack.limits.depth_max = 5;
  EXPECT_EQ(Pack({Tar().File("a/b/c/d/e/f/g", "").Bytes()}, options).error().code, Code::kOutOfRange);
}

TEST_F(Layers, EveryTruncationIsAnError) {
  std::string tar = Tar(ARCHIVE_FILTER_GZIP).File("f", std::string(100'000, 'q')).File("g", "g").Bytes();
  for (std::size_t size = 1; size + 8 < tar.size(); size += 7) {
    auto summary = Pack({tar.substr(0, size)});
    EXPECT_FALSE(summary) << size;
  }
  EXPECT_FALSE(Pack({"this is no tar at all, but long enough to be looked at"}));
}

}  // namespace
}  // namespace slipway::squashfs
