# find_package(keepwell) gives the targets keepwell::keepwell and keepwell::static. Lies in <prefix>/lib/cmake/keepwell.
get_filename_component(keepwell_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET keepwell::keepwell)
  add_library(keepwell::keepwell SHARED IMPORTED)
  set_target_properties(keepwell::keepwell PROPERTIES
    IMPORTED_LOCATION "${keepwell_prefix}/lib/${CMAKE_SHARED_LIBRARY_PREFIX}keepwell_c${CMAKE_SHARED_LIBRARY_SUFFIX}"
    # Programs look for it by its name, not where it was when they were linked.
    IMPORTED_NO_SONAME TRUE
    INTERFACE_INCLUDE_DIRECTORIES "${keepwell_prefix}/include")
  add_library(keepwell::static STATIC IMPORTED)
  set_target_properties(keepwell::static PROPERTIES
    IMPORTED_LOCATION "${keepwell_prefix}/lib/${CMAKE_STATIC_LIBRARY_PREFIX}keepwell_c${CMAKE_STATIC_LIBRARY_SUFFIX}"
    INTERFACE_INCLUDE_DIRECTORIES "${keepwell_prefix}/include"
    INTERFACE_LINK_LIBRARIES "crypto;pthread;dl;m")
endif()
