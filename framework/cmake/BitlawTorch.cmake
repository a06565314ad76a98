# Finds libtorch and sets BITLAW_TORCH_INCLUDES and BITLAW_TORCH_LIBRARIES.
#
# Without BITLAW_TORCH: what find_package(Torch) finds, Debian's libtorch-dev. With -DBITLAW_TORCH=<folder>: the folder of a
# libtorch archive, or `torch` of a Python package, taken file by file. Its own CMake package is passed by: that of a build
# for CUDA asks for a CUDA toolkit, which nothing here compiles with; its architecture probe asks nvcc for "CUDA20" under
# CMAKE_CXX_STANDARD 20; and it finds Debian's libc10.so beside its own libraries.
set(BITLAW_TORCH "" CACHE PATH "Folder of a libtorch or of the Python package torch; empty: what find_package(Torch) finds")

if(NOT BITLAW_TORCH)
  find_package(Torch REQUIRED)
  set(BITLAW_TORCH_INCLUDES ${TORCH_INCLUDE_DIRS})
  set(BITLAW_TORCH_LIBRARIES ${TORCH_LIBRARIES})
  set(BITLAW_TORCH_OPTIONS "")
  return()
endif()

set(bitlaw_torch_folder ${BITLAW_TORCH})
if(EXISTS ${BITLAW_TORCH}/torch/lib)  # The folder of Python packages was named.
  set(bitlaw_torch_folder ${BITLAW_TORCH}/torch)
endif()
set(BITLAW_TORCH_INCLUDES ${bitlaw_torch_folder}/include ${bitlaw_torch_folder}/include/torch/csrc/api/include)
set(BITLAW_TORCH_LIBRARIES "")
foreach(library torch torch_cpu c10)
  if(NOT EXISTS ${bitlaw_torch_folder}/lib/lib${library}.so)
    message(FATAL_ERROR "BITLAW_TORCH=${BITLAW_TORCH} has no lib/lib${library}.so. Name the folder of a libtorch archive, or what "
                        "python3 -c 'import torch; print(torch.__path__[0])' prints.")
  endif()
  list(APPEND BITLAW_TORCH_LIBRARIES ${bitlaw_torch_folder}/lib/lib${library}.so)
endforeach()
set(bitlaw_torch_config ${bitlaw_torch_folder}/share/cmake/Torch/TorchConfig.cmake)
if(EXISTS ${bitlaw_torch_config})
  file(STRINGS ${bitlaw_torch_config} bitlaw_old_abi REGEX "_GLIBCXX_USE_CXX11_ABI=0")
  if(bitlaw_old_abi)
    message(FATAL_ERROR "BITLAW_TORCH=${BITLAW_TORCH} was built for the C++ ABI of before GCC 5. Take a libtorch of 'cxx11 ABI', "
                        "or a Python package of version 2.6 or later.")
  endif()
endif()
# libtorch.so loads the CUDA half, by an entry of its own that must not be dropped for want of a symbol; what that half needs in
# turn (cuBLAS and so on) is found when the program runs.
set(BITLAW_TORCH_OPTIONS -Wl,--no-as-needed -Wl,--allow-shlib-undefined)
if(EXISTS ${bitlaw_torch_folder}/lib/libtorch_cuda.so)
  message(STATUS "libtorch with CUDA: ${bitlaw_torch_folder}")
else()
  message(STATUS "libtorch for the CPU: ${bitlaw_torch_folder}")
endif()
