# SPDX-License-Identifier: Apache-2.0
slipway_program(slipway-broker SOURCES broker.cc DEPS launcher_broker launcher_container base_log DESTINATION libexec/slipway)
# It forks for every container: no libraries are the fewest mappings and relocated pages to copy, and what is root
# loads nothing.
slipway_link_statically(slipway-broker)
slipway_order_text(slipway-broker broker_order.ld)

slipway_gtest(launcher_main_broker_test LABEL unit SOURCES broker_test.cc DEPS launcher_broker imagestore_sif imagestore_trust)
add_dependencies(launcher_main_broker_test slipway-broker slipway-holder slipway-import broker_fake_stepd broker_fake_import)
target_compile_definitions(launcher_main_broker_test PRIVATE
  SLIPWAY_BROKER="$<TARGET_FILE:slipway-broker>" SLIPWAY_HOLDER="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/slipway-holder"
  SLIPWAY_IMPORT="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/slipway-import"
  BROKER_FAKE_stepd="$<TARGET_FILE:broker_fake_stepd>" BROKER_FAKE_import="$<TARGET_FILE:broker_fake_import>")
set_tests_properties(launcher_main_broker_test PROPERTIES RESOURCE_LOCK user_20001)
