// SPDX-License-Identifier: Apache-2.0
// A SIF around a squashfs, and keys that sign it, as a site's own would.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/os/process.h"
#include "imagestore/sif/edit.h"
#include "imagestore/sif/sif.h"
#include "imagestore/trust/dsse.h"
#include "imagestore/trust/trust.h"

namespace slipway {

// DIR/NAME, beside which lie NAME.pem (secret) and NAME.pub.
inline std::string NewKeyPair(const std::string& dir, const std::string& name) {
  std::string path = Cat(dir, "/", name);
  for (std::vector<std::string> argv :
       {std::vector<std::string>{"openssl", "genpkey", "-algorithm", "ed25519", "-out", path + ".pem"},
        {"openssl", "pkey", "-in", path + ".pem", "-pubout", "-out", path + ".pub"}})
    EXPECT_EQ(RunAndCapture({.argv = argv})->status.wait_status, 0);
  return path;
}

inline std::string SifAround(const std::string& dir, const std::string& squashfs) {
  std::string path = dir + "/image.sif";
  auto writer = sif::Writer::Create(path);
  EXPECT_TRUE(writer->AddObject(
      {.type = sif::DataType::kPartition,
       .name = "fs",
       .extra = sif::PartitionExtra(sif::FsType::kSquashfs, sif::PartType::kPrimarySystem, "amd64")},
      *ReadFile(squashfs, 64 << 20)));
  EXPECT_TRUE(writer->Commit());
  return path;
}

inline void SignSif(const std::string& sif, const std::string& key) {
  auto editor = sif::Editor::Open(sif);
  ASSERT_TRUE(editor);
  ASSERT_TRUE(trust::Sign(*editor, **trust::PemSigner(key + ".pem")));
}

}  // namespace slipway
