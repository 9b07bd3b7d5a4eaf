// SPDX-License-Identifier: Apache-2.0
// People write "2G" and "1-02:30:00"; programs need bytes and seconds. Spellings are Slurm's.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result/result.h"

namespace slipway {

// "512", "512K", "2G", "1.5T" (powers of 1024; a suffix may end in B or iB). Without a suffix the number
// counts `unit_bytes` (Slurm's --mem: MiB).
Result<std::uint64_t> ParseBytes(std::string_view text, std::uint64_t unit_bytes = 1);
std::string FormatBytes(std::uint64_t bytes);  // "1.5 GiB"

// Slurm's time limit forms: "90" (minutes), "MM:SS", "HH:MM:SS", "D-HH", "D-HH:MM", "D-HH:MM:SS", "UNLIMITED"
// (seconds::max()), and ours with units: "90s", "15m", "2h", "3d".
Result<std::chrono::seconds> ParseTimeLimit(std::string_view text);
std::string FormatTimeLimit(std::chrono::seconds limit);  // "1-02:30:00"

// RFC 3339 in UTC with milliseconds: "2026-11-23T03:36:30.125Z".
std::string FormatTime(std::chrono::system_clock::time_point time);

// A whole decimal number in [low, high], nothing before or after it.
Result<std::uint64_t> ParseNumber(std::string_view text, std::uint64_t low, std::uint64_t high);

}  // namespace slipway
