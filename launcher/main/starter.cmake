# SPDX-License-Identifier: Apache-2.0
# Static: it is started for every `slipway exec`, and mapping libraries would be half of its time. The archives are
# named one by one because launcher_spec's credentials and the broker want libcrypto, of which nothing is used here.
# Installed 0755, the rootless way; a site that wants the setuid way says chmod 4755 (docs/starter-conf.md).
slipway_program(slipway-starter SOURCES starter.cc setuid.cc DESTINATION libexec/slipway)
foreach(library launcher_container launcher_hook launcher_broker launcher_spec base_crypto base_wire base_os base_result)
  target_link_libraries(slipway-starter PRIVATE $<TARGET_FILE:${library}>)
  add_dependencies(slipway-starter ${library})
endforeach()
if(NOT SLIPWAY_SANITIZE)
  target_link_options(slipway-starter PRIVATE -static)
endif()

if(SLIPWAY_LAUNCHER_ONLY)
  return()  # the tests are of all ways, with the broker's programs
endif()
slipway_gtest(launcher_main_ways_test LABEL unit SOURCES ways_test.cc ways_policy_test.cc
  DEPS launcher_broker imagestore_sif imagestore_trust base_text util TIMEOUT 180)
add_dependencies(launcher_main_ways_test slipway slipway-starter slipway-broker slipway-holder slipway-import broker_fake_stepd broker_fake_import)
target_compile_definitions(launcher_main_ways_test PRIVATE SLIPWAY_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
  SLIPWAY_BROKER="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/slipway-broker" SLIPWAY_HOLDER="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/slipway-holder"
  SLIPWAY_IMPORT="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/slipway-import"
  BROKER_FAKE_stepd="$<TARGET_FILE:broker_fake_stepd>" BROKER_FAKE_import="$<TARGET_FILE:broker_fake_import>")
# It looks at every process of user 20001, whom other tests become too: never beside them.
set_tests_properties(launcher_main_ways_test PROPERTIES RESOURCE_LOCK user_20001)
