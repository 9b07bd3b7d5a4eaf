// SPDX-License-Identifier: Apache-2.0
#include "hooks/gpu/xid.h"

#include <gtest/gtest.h>

namespace slipway {
namespace {

TEST(Xid, IsReadFromARecordOfTheKernelsLog) {
  Xid lost{"0000:07:00.0", 79};
  EXPECT_EQ(
      ParseXid("3,1234,5678901,-;NVRM: Xid (PCI:0000:07:00): 79, pid=1234, GPU has fallen off the bus.\n"
               " SUBSYSTEM=pci\n"),
      lost);
  EXPECT_EQ(ParseXid("[ 1234.5] NVRM: Xid (PCI:0000:07:00): 79, GPU has fallen off the bus."), lost);
  EXPECT_EQ(ParseXid("NVRM: Xid (0000:07:00): 79"), lost) << "as older drivers write it";
  EXPECT_EQ(ParseXid("6,1,1,-;NVRM: Xid (PCI:0000:C1:00.0): 13 Graphics"), (Xid{"0000:c1:00.0", 13}));
}

TEST(Xid, WhatOnlyLooksLikeOneIsNone) {
  for (const char* record : {
           "",
           "NVRM: loading NVIDIA UNIX x86_64 Kernel Module",
           "NVRM: Xid (PCI:0000:07:00)",
           "NVRM: Xid (PCI:0000:07:00): ",
           "NVRM: Xid (PCI:0000:07:00): 79x",
           "NVRM: Xid (PCI:0000:07): 79",
           "NVRM: Xid (PCI:0000:07:zz): 79",
           "NVRM: Xid (PCI:0000:07:00): -1",
           "NVRM: Xid (PCI:0000:07:00): 99999999999999",
           "12,1,1,-;alice says NVRM: Xid (PCI:0000:07:00): 79, nonsense",
           "6,1,1,-;usb 1-1: new device\n NVRM: Xid (PCI:0000:07:00): 79",
       })
    EXPECT_FALSE(ParseXid(record)) << record;
}

TEST(Xid, AProgramsFaultIsNotTheGpus) {
  XidList list;
  list.Note("NVRM: Xid (PCI:0000:07:00): 13, Graphics Exception");
  list.Note("NVRM: Xid (PCI:0000:07:00): 31, MMU Fault");
  EXPECT_TRUE(list.fatal().empty());
  list.Note("NVRM: Xid (PCI:0000:07:00): 79, GPU has fallen off the bus.");
  list.Note("NVRM: Xid (PCI:0000:07:00): 48, later");
  ASSERT_EQ(list.fatal().size(), 1U);
  EXPECT_EQ(DescribeXid("0000:07:00.0", list.fatal().at("0000:07:00.0")),
            "GPU 0000:07:00.0: Xid 79, it has fallen off the bus; it needs a reset or a reboot");
}

}  // namespace
}  // namespace slipway
