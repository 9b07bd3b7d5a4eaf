# SPDX-License-Identifier: Apache-2.0
# Static: it is started for every `slipway exec`, and mapping libraries would be half of its time. The archives are
# named one by one because launcher_spec's credentials and the broker want libcrypto, of which nothing is used here.
# Installed 0755, the rootless way; a site that wants the setuid way says chmod 4755 (docs/starter-conf.md).
slipway_program(slipway-starter SOURCES starter.cc setuid.cc DESTINATION libexec/slipway)
foreach(library launcher_container launcher_broker launcher_spec base_crypto base_wire base_os base_result)
  target_link_libraries(slipway-starter PRIVATE $<TARGET_FILE:${library}>)
  add_dependencies(slipway-starter ${library})
endforeach()
if(NOT SLIPWAY_SANITIZE)
  target_link_options(slipway-starter PRIVATE -static)
endif()
