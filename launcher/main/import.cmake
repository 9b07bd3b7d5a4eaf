# SPDX-License-Identifier: Apache-2.0
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
slipway_program(slipway-import SOURCES import.cc import_confine.cc import_signers.cc
  DEPS imagestore_content imagestore_trust launcher_spec base_crypto imagestore_sif imagestore_squashfs base_os base_result PkgConfig::SECCOMP
  DESTINATION libexec/slipway)
slipway_gtest(slipway_import_test LABEL unit SOURCES import_test.cc import_confine.cc import_signers.cc
  DEPS imagestore_content imagestore_trust launcher_spec base_crypto imagestore_sif imagestore_squashfs base_os base_result PkgConfig::SECCOMP)
target_compile_definitions(slipway_import_test PRIVATE SLIPWAY_IMPORT="$<TARGET_FILE:slipway-import>")
add_dependencies(slipway_import_test slipway-import)
