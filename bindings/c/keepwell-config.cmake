# find_package(keepwell) gives the target keepwell::keepwell. Lies in <prefix>/lib/cmake/keepwell.
get_filename_component(keepwell_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET keepwell::keepwell)
  add_library(keepwell::keepwell SHARED IMPORTED)
  set_target_properties(keepwell::keepwell PROPERTIES
    IMPORTED_LOCATION "${keepwell_prefix}/lib/${CMAKE_SHARED_LIBRARY_PREFIX}keepwell_c${CMAKE_SHARED_LIBRARY_SUFFIX}"
    INTERFACE_INCLUDE_DIRECTORIES "${keepwell_prefix}/include")
endif()
