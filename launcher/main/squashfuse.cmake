# SPDX-License-Identifier: Apache-2.0
# Static: it is started with every container from a user's own file, and its seven libraries would be mapped each time.
pkg_check_modules(SQUASHFUSE REQUIRED squashfuse_ll fuse3)
slipway_program(slipway-squashfuse SOURCES squashfuse.cc DESTINATION libexec/slipway)
target_compile_definitions(slipway-squashfuse PRIVATE _FILE_OFFSET_BITS=64)  # FUSE's headers ask for it
target_link_libraries(slipway-squashfuse PRIVATE squashfuse_ll squashfuse fuse3 zstd lzma lz4 lzo2 z dl Threads::Threads)
if(NOT SLIPWAY_SANITIZE AND NOT SLIPWAY_FUZZ)
  target_link_options(slipway-squashfuse PRIVATE -static)
endif()
