# SPDX-License-Identifier: Apache-2.0
# Static: it is started for every `slipway exec`, and mapping libraries would be half of its time. The archives are
# named one by one because launcher_spec's credentials want libcrypto, of which nothing is used here.
slipway_program(slipway-starter SOURCES starter.cc DESTINATION libexec/slipway)
foreach(library launcher_container launcher_hook launcher_spec base_wire base_os base_result)
  target_link_libraries(slipway-starter PRIVATE $<TARGET_FILE:${library}>)
  add_dependencies(slipway-starter ${library})
endforeach()
if(NOT SLIPWAY_SANITIZE)
  target_link_options(slipway-starter PRIVATE -static)
endif()
