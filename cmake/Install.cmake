# cmake --install, and find_package(perceive) for other projects: examples/consumer uses it, and a test builds that.
include(CMakePackageConfigHelpers)
install(TARGETS perceive_library perceive_headers EXPORT perceive)
install(DIRECTORY perceive DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "pch.h" EXCLUDE)
install(EXPORT perceive NAMESPACE perceive:: FILE perceiveTargets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/perceive)
configure_package_config_file(cmake/perceiveConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/perceiveConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/perceive)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/perceiveConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/perceiveConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/perceiveConfigVersion.cmake
        cmake/Libtorch.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/perceive)
