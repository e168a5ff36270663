# perceive_folder(NAME [LIBRARIES lib…] [NO_TORCH]): the OBJECT library of perceive/NAME, all its .cpp files.
#
# OBJECT libraries, linked whole into libperceive.so: a static archive would drop operator registrations without a word.
# Which folder may include which is held by tests/include_order_test.cpp.
function(perceive_folder name)
  cmake_parse_arguments(arg "NO_TORCH" "" "LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_kernel\\.cpp$")  # perceive_kernels()
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

# perceive_kernels(SOURCE): compiles SOURCE once an instruction set into perceive_kernels; which one runs is chosen at
# run time (kernels/cpu/dispatch.cpp). Each copy defines its table under the name in PERCEIVE_KERNELS.
function(perceive_kernels source)
  foreach(variant "Default:" "Avx2:-mavx2 -mfma" "Avx512:-mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512")
    string(REGEX MATCH "^[^:]+" name ${variant})
    string(REGEX REPLACE "^[^:]+:" "" flags ${variant})
    separate_arguments(flags)
    add_library(perceive_kernels_${name} OBJECT ${source})
    target_link_libraries(perceive_kernels_${name} PRIVATE perceive_options)
    target_compile_definitions(perceive_kernels_${name} PRIVATE PERCEIVE_KERNELS=k${name}Kernels)
    # A multiplication and an addition may become one instruction; the sums stay in the order written.
    target_compile_options(perceive_kernels_${name} PRIVATE -O3 -ffp-contract=fast -fno-math-errno -Wno-psabi ${flags})
    target_link_libraries(perceive_library PRIVATE perceive_kernels_${name})
  endforeach()
endfunction()
