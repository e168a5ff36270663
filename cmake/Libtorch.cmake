# Finds a CPU libtorch and makes the imported target `libtorch`.
#
# In this order: a `lib/libtorch_cpu.so` under CMAKE_PREFIX_PATH; the active Python's torch, with PERCEIVE_TORCH=python in
# the environment or the cache; the pinned wheel in the cache (tools/fetch_libtorch). find_package(Torch) is not used: on a
# CUDA wheel it demands a CUDA toolkit, and a CPU program needs two libraries only.
set(perceive_oldest_torch 2.11)

function(perceive_active_python_torch result)
  find_program(perceive_python python3 REQUIRED)
  execute_process(
    COMMAND ${perceive_python} -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT folder)
    message(FATAL_ERROR "PERCEIVE_TORCH=python, but ${perceive_python} has no torch; install torch ${perceive_oldest_torch} or later there, or leave PERCEIVE_TORCH unset")
  endif()
  set(${result} ${folder} PARENT_SCOPE)
endfunction()

function(perceive_pinned_torch result)
  if(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(cache $ENV{XDG_CACHE_HOME})
  else()
    set(cache $ENV{HOME}/.cache)
  endif()
  file(SHA256 ${CMAKE_CURRENT_SOURCE_DIR}/tools/wheels.txt pins)
  string(SUBSTRING ${pins} 0 12 pins)
  set(folder ${cache}/perceive/libtorch-${pins}/torch)
  if(NOT EXISTS ${folder})
    message(FATAL_ERROR "no libtorch in ${folder}; run tools/setup, or name a libtorch ${perceive_oldest_torch} or later by CMAKE_PREFIX_PATH")
  endif()
  set(${result} ${folder} PARENT_SCOPE)
endfunction()

find_path(PERCEIVE_LIBTORCH lib/libtorch_cpu.so PATHS ${CMAKE_PREFIX_PATH} ENV CMAKE_PREFIX_PATH NO_DEFAULT_PATH
          DOC "folder of the libtorch in use, holding include/ and lib/")
if(NOT PERCEIVE_LIBTORCH)
  if("$ENV{PERCEIVE_TORCH}" STREQUAL "python" OR PERCEIVE_TORCH STREQUAL "python")
    perceive_active_python_torch(found)
  else()
    perceive_pinned_torch(found)
  endif()
  set(PERCEIVE_LIBTORCH ${found} CACHE PATH "folder of the libtorch in use, holding include/ and lib/" FORCE)
endif()

if(NOT EXISTS ${PERCEIVE_LIBTORCH}/include/torch/headeronly/version.h)  # there since 2.9
  message(FATAL_ERROR "perceive needs libtorch ${perceive_oldest_torch} or later; ${PERCEIVE_LIBTORCH} holds an older one, or no headers")
endif()
file(STRINGS ${PERCEIVE_LIBTORCH}/include/torch/headeronly/version.h version_lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+).*" "\\1.\\2.\\3" PERCEIVE_LIBTORCH_VERSION "${version_lines}")
if(PERCEIVE_LIBTORCH_VERSION VERSION_LESS perceive_oldest_torch)
  message(FATAL_ERROR "perceive needs libtorch ${perceive_oldest_torch} or later; ${PERCEIVE_LIBTORCH} holds ${PERCEIVE_LIBTORCH_VERSION}")
endif()
message(STATUS "libtorch ${PERCEIVE_LIBTORCH_VERSION} in ${PERCEIVE_LIBTORCH}")

# Behind the system's folders: torch carries an fmt and a protobuf of its own that would hide Debian's.
add_library(libtorch INTERFACE IMPORTED)
target_compile_options(libtorch INTERFACE -idirafter${PERCEIVE_LIBTORCH}/include -idirafter${PERCEIVE_LIBTORCH}/include/torch/csrc/api/include)
# parallel_for is serial, silently, in a file compiled without OpenMP. The runtime linked is the one that libtorch brings:
# a second one in the process would fight it for the cores.
target_compile_options(libtorch INTERFACE -fopenmp)
file(GLOB openmp_runtime ${PERCEIVE_LIBTORCH}/lib/libgomp*.so* ${PERCEIVE_LIBTORCH}/../torch.libs/libgomp*.so*)
if(NOT openmp_runtime)
  set(openmp_runtime gomp)
endif()
target_link_libraries(libtorch INTERFACE ${PERCEIVE_LIBTORCH}/lib/libtorch_cpu.so ${PERCEIVE_LIBTORCH}/lib/libc10.so ${openmp_runtime})
