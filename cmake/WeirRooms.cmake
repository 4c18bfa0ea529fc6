# Build rules shared by every room. A room's own CMakeLists.txt is one call:
#
#   weir_room(text DEPS base LIBS pcre2-8)
#
# which makes the library weir_text from src/text/**/*.cc and, where there are *_test.cc files, the program
# text_test whose cases CTest lists one by one as text.<Suite>.<Case>.

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD AND NOT WEIR_FUZZ)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Werror -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options(-Wno-restrict) # gcc 12 sees overlaps in std::string that are not there (gcc bug 105651)
endif()
# Kernels promise the same bits at any batch size, so no compiler may contract or reorder floats by itself.
add_compile_options(-ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  add_compile_options(-Wno-deprecated-declarations) # libstdc++ 12 calls get_temporary_buffer in stable_sort
endif()
if(WEIR_SANITIZE)
  add_compile_options(-fsanitize=${WEIR_SANITIZE} -fno-sanitize-recover=all)
  if(WEIR_SANITIZE MATCHES undefined)
    # They cost the compiler a good part of its time, and a null pointer or an object that is too small is reported by the
    # address sanitizer when it is used.
    add_compile_options(-fno-sanitize=null,object-size)
  endif()
  add_link_options(-fsanitize=${WEIR_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    add_compile_options(-Wno-maybe-uninitialized) # false alarms from the instrumented code
  endif()
  if(WEIR_SANITIZE MATCHES thread)
    add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK) # the sanitizer knows no fences
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
      add_compile_options(-Wno-tsan) # gcc warns at each one
    endif()
  endif()
endif()
# What a per-ISA kernel body is compiled with on top. Sanitizers leave these bodies alone: instrumented they take the
# compiler minutes and the tests hours, and every one is held to the scalar reference, bit for bit. The reference, the
# worker pool and everything else that synchronises stay instrumented, so no race is missed or invented.
set(WEIR_KERNEL_FLAGS "")
if(WEIR_SANITIZE)
  set(WEIR_KERNEL_FLAGS " -fno-sanitize=all -O3 -g0")
endif()
if(WEIR_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()
add_compile_definitions(FMT_HEADER_ONLY BOOST_ASIO_NO_DEPRECATED WEIR_VERSION="${PROJECT_VERSION}")

if(WEIR_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

function(weir_room name)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS;EXCLUDE" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  foreach(pattern ${ARG_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX "${pattern}")
    list(FILTER tests EXCLUDE REGEX "${pattern}")
  endforeach()
  list(TRANSFORM ARG_DEPS PREPEND weir_)
  if(sources)
    add_library(weir_${name} STATIC ${sources})
    target_include_directories(weir_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(weir_${name} PUBLIC ${ARG_DEPS} ${ARG_LIBS} Threads::Threads)
  else()
    add_library(weir_${name} INTERFACE)
    target_include_directories(weir_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(weir_${name} INTERFACE ${ARG_DEPS} ${ARG_LIBS} Threads::Threads)
  endif()
  if(WEIR_TESTS AND tests)
    weir_test_program(${name} SOURCES ${tests} DEPS weir_${name})
  endif()
endfunction()

# One GoogleTest program; its cases run one by one in CTest from the repository root.
function(weir_test_program name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300) # finds a hang; what takes seconds alone takes minutes on a machine that others keep busy
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name}_test PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  if(WEIR_SANITIZE)
    target_compile_options(${name}_test PRIVATE -O0) # half of the compiler's time, and the rooms themselves keep their -O1
  endif()
  gtest_discover_tests(${name}_test TEST_PREFIX ${name}. WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
                       DISCOVERY_TIMEOUT 120 PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()
