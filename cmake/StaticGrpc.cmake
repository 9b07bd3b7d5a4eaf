# SPDX-License-Identifier: Apache-2.0
# slipway-remote is started for every command and is bound into images of any distribution, so it is linked
# statically, libc too. Debian ships the archives, but its CMake packages and grpc++.pc know the shared libraries
# only. So each library that a folder found by pkg-config gets two faces: the shared object for every program, the
# archive (with what pkg-config --static adds) for programs whose property SLIPWAY_STATIC is on.

# Called by slipway_library(): the PkgConfig:: targets of the folder that is being read.
function(slipway_give_static_face)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target ${targets})
    get_target_property(done ${target} SLIPWAY_HAS_STATIC_FACE)
    if(NOT target MATCHES "^PkgConfig::(.*)$" OR done)
      continue()
    endif()
    set(prefix ${CMAKE_MATCH_1})
    get_target_property(libraries ${target} INTERFACE_LINK_LIBRARIES)
    if(NOT libraries)
      continue()
    endif()
    set(shared)
    foreach(library ${libraries})
      list(APPEND shared "$<$<NOT:$<BOOL:$<TARGET_PROPERTY:SLIPWAY_STATIC>>>:${library}>")
    endforeach()
    set(archives)
    foreach(name ${${prefix}_STATIC_LIBRARIES})
      find_library(archive_of_${name} NAMES lib${name}.a HINTS ${${prefix}_STATIC_LIBRARY_DIRS} NO_CACHE)
      if(archive_of_${name})
        list(APPEND archives "$<$<BOOL:$<TARGET_PROPERTY:SLIPWAY_STATIC>>:${archive_of_${name}}>")
      endif()
    endforeach()
    list(REMOVE_DUPLICATES archives)
    set_target_properties(${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${shared};${archives}"
                          SLIPWAY_HAS_STATIC_FACE ON)
  endforeach()
endfunction()

# Archives that refer to one another in circles need a group; ld closes it at the end of its command line. What it
# warns about (getaddrinfo and dlopen in a static program) is not on a path that we use: names are resolved by c-ares.
function(slipway_link_statically program)
  if(SLIPWAY_SANITIZE OR SLIPWAY_FUZZ)
    return()
  endif()
  set_target_properties(${program} PROPERTIES SLIPWAY_STATIC ON)
  target_link_options(${program} PRIVATE -static LINKER:--start-group LINKER:--no-warnings)
endfunction()

# The functions of a statically linked program that SCRIPT names lie together, in its order (decision 92). Beside the build is the
# linker's map, of which tests/perf/start_path.py makes the script.
function(slipway_order_text program script)
  if(SLIPWAY_SANITIZE OR SLIPWAY_FUZZ)
    return()
  endif()
  set(script ${CMAKE_CURRENT_SOURCE_DIR}/${script})
  target_link_options(${program} PRIVATE LINKER:-T,${script} LINKER:-Map=${CMAKE_BINARY_DIR}/${program}.map)
  set_target_properties(${program} PROPERTIES LINK_DEPENDS ${script})
endfunction()
