# perceive_folder(NAME [LIBRARIES lib…] [NO_TORCH]): the OBJECT library of perceive/NAME, all its .cpp files.
#
# OBJECT libraries, linked whole into libperceive.so: a static archive would drop operator registrations without a word.
# Which folder may include which is held by tests/include_order_test.cpp.
function(perceive_folder name)
  cmake_parse_arguments(arg "NO_TORCH" "" "LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  set(target perceive_${name})
  add_library(${target} OBJECT ${sources})
  target_link_libraries(${target} PUBLIC perceive_options ${arg_LIBRARIES})
  if(NOT arg_NO_TORCH)
    target_link_libraries(${target} PUBLIC libtorch)
    target_precompile_headers(${target} REUSE_FROM perceive_pch)
  endif()
  target_link_libraries(perceive_library PRIVATE ${target})
endfunction()
