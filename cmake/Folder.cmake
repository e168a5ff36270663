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

# perceive_kernels(SUFFIX [FLAG…]): compiles the *_kernel.cpp files of perceive/kernels once an instruction set, with the flags
# on top of their own; which one runs is chosen at run time (kernels/cpu/dispatch.cpp). The code of each lies in the namespace
# that PERCEIVE_ISA names. A set with a folder of that name beside them has those files, and no others. What links perceive_kernel_tables<SUFFIX> gets the objects of all.
function(perceive_kernels suffix)
  file(GLOB all_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/perceive/kernels/cpu/*_kernel.cpp)
  add_library(perceive_kernel_tables${suffix} INTERFACE)
  set(avx512 "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512")
  foreach(variant "portable:" "avx2:-mavx2 -mfma" "avx512:${avx512}" "amx:${avx512} -mavx512bf16 -mamx-tile -mamx-bf16")
    string(REGEX MATCH "^[^:]+" isa ${variant})
    string(REGEX REPLACE "^[^:]+:" "" flags ${variant})
    separate_arguments(flags)
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/perceive/kernels/cpu/${isa}/*_kernel.cpp)
    if(NOT sources)
      set(sources ${all_sources})
    endif()
    set(objects perceive_kernels_${isa}${suffix})
    add_library(${objects} OBJECT ${sources})
    target_link_libraries(${objects} PRIVATE perceive_options)
    target_compile_definitions(${objects} PRIVATE PERCEIVE_ISA=${isa})
    # A multiplication and an addition may become one instruction; the sums stay in the order written.
    # GCC 12 takes the undefined operand inside its own AVX-512 intrinsics for a mistake (GCC bug 105593).
    target_compile_options(${objects} PRIVATE -O3 -ffp-contract=fast -fno-math-errno -falign-loops=64 -Wno-psabi -Wno-maybe-uninitialized ${flags} ${ARGN})
    target_link_libraries(perceive_kernel_tables${suffix} INTERFACE $<TARGET_OBJECTS:${objects}>)
  endforeach()
endfunction()
